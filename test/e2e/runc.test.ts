/** The printed fragment, merged into a `runc spec`, starts the image's own command. */
import { expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { makeBusyboxImage } from '../support/images/images.ts';
import { must, run } from '../support/shell.ts';
import { testStore } from '../support/stores/store.ts';

interface Spec {
  process: { args?: string[]; terminal?: boolean; env?: string[] };
  root: { path: string; readonly?: boolean };
  [key: string]: unknown;
}

test('runc runs the image as the user, in the directory and with the environment that the image names', async () => {
  await using store = await testStore();
  const image = await makeBusyboxImage(store.dir.at('layout'));
  const fragment = JSON.parse(await store.must(['create', image.url, 'box'])) as Spec;
  expect(fragment.process).toEqual({
    user: { uid: 1000, gid: 1000 },
    args: ['/bin/sh'],
    env: ['PATH=/bin', 'GREETING=hello'],
    cwd: '/home/app',
  } as never);
  const bundle = store.dir.at('bundle');
  mkdirSync(bundle);
  await must('runc', ['spec'], { cwd: bundle });
  const spec = JSON.parse(await Bun.file(`${bundle}/config.json`).text()) as Spec;
  const merged = {
    ...spec,
    ...fragment,
    root: { ...fragment.root, readonly: false },
    process: {
      ...spec.process,
      ...fragment.process,
      terminal: false,
      args: [
        ...(fragment.process.args ?? []),
        '-c',
        'id -u; pwd; echo $GREETING; echo made > made; cat made',
      ],
    },
  };
  writeFileSync(`${bundle}/config.json`, JSON.stringify(merged));
  const name = `graft-test-${crypto.randomUUID()}`;
  const ran = await run('runc', ['run', '--bundle', bundle, name]);
  expect([ran.code, ran.stderr, ran.stdout]).toEqual([0, '', '1000\n/home/app\nhello\nmade\n']);
});
