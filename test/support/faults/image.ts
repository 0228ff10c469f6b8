/** A small image whose layers make a create do everything that unpacking and stacking can do. */
import { pack } from 'tar-stream';
import { LayoutBuilder, named } from '../images/layout-builder.ts';

interface Entry {
  readonly name: string;
  readonly type?: 'file' | 'directory' | 'symlink' | 'link' | 'fifo';
  readonly content?: string;
  readonly linkname?: string;
  readonly mode?: number;
  readonly xattrs?: Readonly<Record<string, string>>;
}

const BOTTOM: readonly Entry[] = [
  { name: './', type: 'directory', mode: 0o755 },
  { name: 'etc/', type: 'directory', mode: 0o2750 },
  { name: 'etc/name', content: 'bottom' },
  { name: 'etc/linked', type: 'link', linkname: 'etc/name' },
  { name: 'etc/pointer', type: 'symlink', linkname: 'name' },
  { name: 'etc/pipe', type: 'fifo' },
  { name: 'bin/tool', content: 'x'.repeat(100_000), mode: 0o4755, xattrs: { 'user.note': 'kept' } },
];
/** Directories that it only implies, a whiteout over something and one over nothing. */
const MIDDLE: readonly Entry[] = [
  { name: 'etc/.wh.pointer', content: '' },
  { name: 'bin/.wh.ghost', content: '' },
  { name: 'opt/deep/er/file', content: 'middle' },
  { name: 'opt/deep/.wh..wh..opq', content: '' },
];
/** A hard link into a lower layer: unpacked a second time, on top of the others. */
const TOP: readonly Entry[] = [{ name: 'etc/again', type: 'link', linkname: 'bin/tool' }];

/** The layers as tars, bottom first. */
export function faultLayers(): Promise<Uint8Array[]> {
  return Promise.all([BOTTOM, MIDDLE, TOP].map(tarOf));
}

/** An `oci:` reference to the image of those layers, whose layout is made in `directory`. */
export async function makeFaultImage(directory: string): Promise<string> {
  const layout = new LayoutBuilder(directory);
  const layers = (await faultLayers()).map((tar) => layout.layer(tar));
  layout.write([layout.image(layers, {}, named('fault'))]);
  return layout.url('fault');
}

async function tarOf(entries: readonly Entry[]): Promise<Uint8Array> {
  const tar = pack();
  for (const { name, type = 'file', content = '', linkname, mode = 0o644, xattrs = {} } of entries) {
    const pax = Object.fromEntries(
      Object.entries(xattrs).map(([key, value]) => [`SCHILY.xattr.${key}`, value]),
    );
    const header = { name, type, mode, mtime: new Date(1_700_000_000_000), pax };
    tar.entry(linkname === undefined ? header : { ...header, linkname }, content);
  }
  tar.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of tar) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}
