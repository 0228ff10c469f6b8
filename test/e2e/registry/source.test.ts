/** A registry is an ImageSource like every other. */
import { readFileSync } from 'node:fs';
import { PartialDirectory } from '../../../lib/registry/blobs/partial.ts';
import { imageSourceSuite } from '../../suites/image-source.suite.ts';
import { LayoutBuilder } from '../../support/images/layout-builder.ts';
import { makeNoiseImage } from '../../support/images/noise-image.ts';
import { push, startRegistry } from '../../support/registries/registry.ts';
import {
  RecordingLog,
  registrySource,
  type TestSourceOptions,
} from '../../support/registries/registry-client.ts';
import { tempDir } from '../../support/temp.ts';

async function world(options: (dir: string) => TestSourceOptions) {
  const cleanup = new AsyncDisposableStack();
  const dir = cleanup.use(tempDir());
  const registry = cleanup.use(await startRegistry(dir.at('registry')));
  // The longest has 8 MiB, more than sockets hold; and there are more layers than places at the gate.
  const sizes = [8 * 1024 * 1024, 10, 1000, 70_000, 1, 2, 3, 4, 5, 6];
  const image = makeNoiseImage(dir.at('image'), 'v1', sizes);
  await push(`oci:${image.name}`, `docker://${registry.host}/app:v1`);
  const layout = new LayoutBuilder(image.layout);
  const more = { ...options(dir.path), policy: { insecure: [registry.host], ...options(dir.path).policy } };
  return {
    create: () => registrySource(`docker://${registry.host}/app:v1`, more),
    createMissing: () => registrySource(`docker://${registry.host}/app:none`, more),
    blobs: image.layers.map((layer) => new Uint8Array(readFileSync(layout.blobPath(layer)))),
    dispose: () => cleanup.disposeAsync(),
  };
}

imageSourceSuite('A registry', () => world(() => ({})));
imageSourceSuite('A registry whose blobs are kept as they come', () =>
  world((dir) => ({
    policy: { resumeFromBytes: 0 },
    partials: new PartialDirectory(`${dir}/partial`, new RecordingLog(), undefined),
  })),
);
imageSourceSuite('A registry with one place at its gate', () => world(() => ({ policy: { parallel: 1 } })));
