/** Files that are not what they are taken for: no byte of them is in what graft says. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { graft, graftMust } from '../support/graft.ts';
import { pax, tar } from '../support/images/tar-writer.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const CANARY = 'CANARY';
let dir: TempDir;
let store: string;
beforeAll(async () => {
  dir = tempDir();
  store = dir.at('store');
  await graftMust(['--store', store, 'init-store']);
});
afterAll(() => dir.remove());

/** Shapes of files that root can read and others cannot. */
const FILES: [string, string | Uint8Array][] = [
  ['shadow', `${CANARY}:$6$${CANARY}:19000:0:99999:7:::\n`.repeat(60)],
  ['short', `${CANARY}=${CANARY}\n`],
  ['key', `-----BEGIN ${CANARY}-----\n${`${CANARY}\n`.repeat(100)}`],
  ['zipped', gzipSync(`${CANARY} `.repeat(200))],
  ['magic', Buffer.concat([Buffer.from([0x1f, 0x8b, 8]), Buffer.from(CANARY.repeat(100))])],
  ['zstd', Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), Buffer.from(CANARY.repeat(100))])],
  ['json', JSON.stringify({ [CANARY]: CANARY, list: [CANARY] })],
  ['broken-json', `{"a": ${CANARY}`],
  ['twice', `{"${CANARY}": 1, "${CANARY}": 2}`],
  ['folded', `{"${CANARY}": 1, "${CANARY.toLowerCase()}": 2}`],
  // No checksum covers the body of an extended header.
  ['pax', tar([pax({ uid: CANARY }), { name: 'x' }])],
];

for (const [name, content] of FILES)
  test(`${name}, as a tar, as a layout and as each of the settings' files`, async () => {
    const file = dir.at(name);
    writeFileSync(file, content);
    const layout = dir.at(`${name}.layout`);
    mkdirSync(layout);
    writeFileSync(`${layout}/index.json`, content);
    writeFileSync(`${layout}/oci-layout`, content);
    const settings = (registries: object) => {
      const path = dir.at(`${name}.yml`);
      writeFileSync(path, JSON.stringify({ registries }));
      return ['--extra-config', path];
    };
    const calls = [
      ['create', file, 'c'],
      ['inspect', file],
      ['create', `oci://${layout}`, 'c'],
      [...settings({ docker_config: file }), 'create', 'docker://127.0.0.1:1/x', 'c'],
      [...settings({ registries_conf: [file] }), 'create', 'docker://127.0.0.1:1/x', 'c'],
    ];
    for (const call of calls) {
      const ran = await graft(['--log-level', 'debug', '--store', store, ...call]);
      expect([call, ran.stdout + ran.stderr]).toEqual([call, expect.not.stringMatching(/canary/i)]);
      // What a tar holds, inspect does not look at.
      if (call[0] !== 'inspect') expect([call, ran.code]).toEqual([call, 1]);
    }
  });
