/** The worst images that the budgets let through, or refuse: small to make, and of no use but to hurt a neighbour. */
import { sha256Hex } from '../../lib/base/digest.ts';
import { OCI_CONFIG, OCI_LAYER, OCI_MANIFEST } from '../../lib/oci/media-types.ts';
import { LayoutBuilder, named, type RawDescriptor } from '../support/images/layout-builder.ts';
import { type EntrySpec, tar } from '../support/images/tar-writer.ts';

export interface HostileImage {
  readonly name: string;
  readonly reference: string;
  /** A part of the sentence that refuses the image; undefined where a container is made of it. */
  readonly refused?: string;
}

const MiB = 1024 ** 2;
const directory = (name: string, more: Partial<EntrySpec> = {}): EntrySpec => ({ name, type: '5', ...more });

/** One layer, stored with gzip: zeros take no room. */
function compressed(layout: LayoutBuilder, archive: Uint8Array): readonly [RawDescriptor, diffId: string] {
  const stored = Bun.gzipSync(new Uint8Array(archive), { level: 1 });
  return [layout.blob(`${OCI_LAYER}+gzip`, stored), `sha256:${sha256Hex(archive)}`];
}

function image(
  layout: LayoutBuilder,
  name: string,
  archives: readonly Uint8Array[],
  document: Readonly<Record<string, unknown>> = {},
): RawDescriptor {
  const layers = archives.map((archive) => compressed(layout, archive));
  const config = layout.config(layers.map(([, diffId]) => diffId));
  const body = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: layers.map(([blob]) => blob) };
  return layout.json(OCI_MANIFEST, { ...body, ...document }, named(name));
}

/** Each layer has directories that no entry names, and each is looked for in every layer below. */
function planningBomb(layers: number, directories: number): Uint8Array[] {
  return Array.from({ length: layers }, (_, layer) =>
    tar(Array.from({ length: directories }, (_, at) => ({ name: `${layer}-${at}/a/b/f` }))),
  );
}

/** A megabyte of directories' names, for kilobytes of a compressed image. */
function nameBomb(): Uint8Array {
  const part = '\x01'.repeat(240);
  return tar(
    Array.from({ length: 40 }, (_, at) => ({
      name: 'f',
      pax: { path: `${at}/${`${part}/`.repeat(14)}f` },
    })),
  );
}

/** Each link into the layer below copies its file: eight layers of one entry make 96 MiB of 12. */
function copies(): Uint8Array[] {
  const links = Array.from({ length: 8 }, (_, at) => tar([{ name: `link-${at}`, type: '1', link: 'large' }]));
  return [tar([{ name: 'large', content: new Uint8Array(12 * MiB) }]), ...links];
}

/** As many holes as a layer may have, beside 512 bytes. */
function sparse(): Uint8Array {
  const pax = {
    'GNU.sparse.major': '1',
    'GNU.sparse.minor': '0',
    'GNU.sparse.name': 'sparse',
    'GNU.sparse.realsize': String(4096 * MiB),
  };
  const map = Buffer.alloc(512);
  map.write('1\n0\n512\n');
  return tar([
    { name: 'GNUSparseFile.0/sparse', pax, content: Buffer.concat([map, Buffer.alloc(512, 'x')]) },
  ]);
}

/** As many attributes as a name may have, each of the size that XFS keeps outside of the inode. */
function attributes(): Uint8Array {
  const values = Array.from({ length: 14 }, (_, at) => [
    `SCHILY.xattr.user.x${at}`,
    Buffer.alloc(60_000, 'v'),
  ]);
  return tar([directory('./', { pax: Object.fromEntries(values) }), { name: 'f' }]);
}

/** Links and names that lead out of the layer, and then writing through them. */
function escapes(outside: string): Uint8Array {
  return tar([
    directory('./'),
    { name: 'up', type: '2', link: '../../../../../../../../../..' },
    { name: 'out', type: '2', link: outside },
    { name: 'out/evil', content: 'evil' },
    { name: `up${outside}/evil`, content: 'evil' },
    { name: 'out/.wh.kept' },
  ]);
}

/** Garden's root of a container for what is setuid here, and for a device that is not to be made. */
function privileged(): Uint8Array {
  return tar([directory('./', { mode: 0o7777 }), { name: 'setuid', mode: 0o4755, content: '#!/bin/sh\n' }]);
}

/**
 * Writes all of them to one OCI layout.
 * @param outside a directory of the machine that must stay as it is
 */
export function hostileImages(path: string, outside: string): HostileImage[] {
  const layout = new LayoutBuilder(path);
  const nested = JSON.parse(`${'['.repeat(200)}${']'.repeat(200)}`) as unknown;
  const made: [string, RawDescriptor, string?][] = [];
  const add = (name: string, descriptor: RawDescriptor, refused?: string) =>
    made.push(refused === undefined ? [name, descriptor] : [name, descriptor, refused]);
  add('planning', image(layout, 'planning', planningBomb(16, 40)));
  add('names', image(layout, 'names', [nameBomb()]));
  add('copies', image(layout, 'copies', copies()), 'most that is unpacked');
  add('sparse', image(layout, 'sparse', [sparse()]));
  add('attributes', image(layout, 'attributes', [attributes()]));
  add('escapes', image(layout, 'escapes', [escapes(outside)]));
  add('privileged', image(layout, 'privileged', [privileged()]));
  const poison = { rootfs: { diff_ids: [{ toString: 0, valueOf: 0 }] }, annotations: { a: 'b' } };
  add('poison', image(layout, 'poison', [tar([{ name: 'poison' }])], poison));
  add('nested', image(layout, 'nested', [tar([{ name: 'nested' }])], { nested }), 'manifest');
  add('device', image(layout, 'device', [tar([{ name: 'sda', type: '4' }])]));
  add('unmatched', unmatched(layout), 'configuration');
  layout.write(made.map(([, descriptor]) => descriptor));
  return made.map(([name, , refused]) => ({
    name,
    reference: layout.url(name),
    ...(refused !== undefined && { refused }),
  }));
}

/** A configuration that promises more layers than there are. */
function unmatched(layout: LayoutBuilder): RawDescriptor {
  const [layer, diffId] = compressed(layout, tar([{ name: 'unmatched' }]));
  const rootfs = { type: 'layers', diff_ids: [diffId, diffId] };
  const config = layout.json(OCI_CONFIG, { architecture: 'amd64', os: 'linux', rootfs });
  const document = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [layer] };
  return layout.json(OCI_MANIFEST, document, named('unmatched'));
}
