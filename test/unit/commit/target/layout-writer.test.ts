/** A layout that is written to: by several at once, by processes that die, beside other images. */
import { expect, test } from 'bun:test';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestOf } from '../../../../lib/base/digest.ts';
import { LayoutWriter } from '../../../../lib/commit/target/layout-writer.ts';
import { OCI_MANIFEST } from '../../../../lib/oci/media-types.ts';
import { formatOwner, owner } from '../../../../lib/sys/kernel/process.ts';
import { tempDir } from '../../../support/temp.ts';

interface Index {
  readonly manifests: readonly { readonly digest: string; readonly annotations: Record<string, string> }[];
}

function named(directory: string): string[] {
  const index = JSON.parse(readFileSync(join(directory, 'index.json'), 'utf8')) as Index;
  return index.manifests.map(
    ({ digest, annotations }) => `${annotations['org.opencontainers.image.ref.name']} ${digest.slice(7, 11)}`,
  );
}

function put(writer: LayoutWriter, ref: string, text: string): string {
  const blob = writer.put(text);
  writer.publish(ref, { mediaType: OCI_MANIFEST, ...blob });
  return `${ref} ${blob.digest.slice(7, 11)}`;
}

test('a further image goes beside the others, and takes the name of an earlier one', async () => {
  await using dir = tempDir();
  const layout = dir.at('layout');
  const first = put(new LayoutWriter(layout), 'a', '{"n":1}');
  const second = put(new LayoutWriter(layout), 'b', '{"n":2}');
  expect(named(layout)).toEqual([first, second]);
  const third = put(new LayoutWriter(layout), 'a', '{"n":3}');
  expect(named(layout)).toEqual([second, third]);
  expect(readdirSync(layout).sort()).toEqual(['blobs', 'index.json', 'oci-layout']);
  expect(readdirSync(`${layout}/blobs/sha256`).length).toBe(3);
});

test('keys of index.json and entries that graft does not know stay', async () => {
  await using dir = tempDir();
  const layout = dir.at('layout');
  const writer = new LayoutWriter(layout);
  const strange = {
    mediaType: OCI_MANIFEST,
    digest: digestOf('x'),
    size: 1,
    platform: { os: 'plan9', architecture: 'x' },
  };
  writeFileSync(
    `${layout}/index.json`,
    JSON.stringify({ schemaVersion: 2, manifests: [strange], annotations: { mine: 'yes' } }),
  );
  put(writer, 'a', '{}');
  const index = JSON.parse(readFileSync(`${layout}/index.json`, 'utf8')) as Record<string, unknown>;
  expect(index).toMatchObject({ annotations: { mine: 'yes' }, manifests: [strange, {}] });
});

test('a blob that is not published leaves nothing, and unfinished files of dead writers go', async () => {
  await using dir = tempDir();
  const layout = dir.at('layout');
  const writer = new LayoutWriter(layout);
  {
    using blob = writer.stage();
    blob.write(new Uint8Array(10));
    expect(readdirSync(layout).length).toBe(2);
  }
  expect(readdirSync(layout)).toEqual(['blobs']);
  const dead = formatOwner({ ...owner(), startTime: '1' });
  writeFileSync(`${layout}/.graft-tmp-abc.${dead}`, 'left');
  writeFileSync(`${layout}/.graft-tmp-abd.${formatOwner(owner())}`, 'in use');
  writeFileSync(`${layout}/oci-layout`, '{}');
  new LayoutWriter(layout);
  expect(readdirSync(layout).sort()).toEqual([
    `.graft-tmp-abd.${formatOwner(owner())}`,
    'blobs',
    'oci-layout',
  ]);
});

test.each([
  ['a directory with other files', 'holds other files', (at: string) => writeFileSync(`${at}/mine`, '')],
  ['an index.json that is none', 'not valid', (at: string) => writeFileSync(`${at}/index.json`, '[]')],
  [
    'an index.json that is a manifest',
    'index.json',
    (at: string) => writeFileSync(`${at}/index.json`, JSON.stringify({ config: {}, layers: [] })),
  ],
])('%s is refused and stays as it is', async (_, reason, make) => {
  await using dir = tempDir();
  mkdirSync(dir.at('layout'));
  make(dir.at('layout'));
  const before = readdirSync(dir.at('layout')).filter((name) => name !== 'blobs');
  try {
    put(new LayoutWriter(dir.at('layout')), 'a', '{}');
    expect.unreachable();
  } catch (error) {
    expect((error as { code?: string }).code).toBe('COMMIT_TARGET');
    expect((error as { subject: { reason: string } }).subject.reason).toContain(reason);
  }
  expect(readdirSync(dir.at('layout')).filter((name) => name !== 'blobs')).toEqual(before);
});
