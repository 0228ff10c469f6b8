/** An operator's machine that finds a small image under the names of the pages: in registries and in a layout. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { makeBusyboxImage } from '../support/images/images.ts';
import { push, startRegistry } from '../support/registries/registry.ts';
import { PROJECT } from '../support/shell.ts';
import { tempDir } from '../support/temp.ts';
import { type Machine, machine, redirectRegistries } from './machine.ts';

/** `docker:///library/busybox`, `docker://registry.example.com/team/app:1.0`, `oci:///srv/images:app` and the example settings. */
export async function machineWithRegistry(): Promise<Machine> {
  await using cleanup = new AsyncDisposableStack();
  const dir = cleanup.adopt(tempDir(), (made) => made.remove());
  const image = await makeBusyboxImage(dir.at('images'), 'app');
  const registry = cleanup.adopt(await startRegistry(dir.at('registry')), (started) => started.stop());
  for (const name of ['library/busybox:latest', 'team/app:1.0'])
    await push(`oci:${image.name}`, `docker://${registry.host}/${name}`);
  const here = cleanup.use(await machine(dir));
  redirectRegistries(here, registry.host, ['docker.io', 'registry.example.com']);
  cpSync(image.layout, dir.at('srv/images'), { recursive: true });
  cpSync(join(PROJECT, 'docs/examples/graft.yml'), dir.at('etc/graft/graft.yml'));
  const moved = cleanup.move();
  return { ...here, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}
