/**
 * The layer in an App Container Image: the entries below `rootfs/`, written as an archive of their own. The archive of the
 * image may have the manifest at its end, and the manifest decides on files; then a second pass knows the manifest.
 */
import { type ByteName, bytesOf } from '../../base/bytes.ts';
import { PluginError } from '../../base/errors/error.ts';
import { MAX_MANIFEST_BYTES } from '../../base/limits.ts';
import type { LayerEntry } from '../../layer/tar/entry.ts';
import { TarReader, type TarSink } from '../../layer/tar/reader.ts';
import { END_OF_ARCHIVE, paddingOf, tarHeader, type WrittenEntry } from '../../layer/tar/write-header.ts';
import { type AciManifest, parseAciManifest } from '../../oci/aci-manifest.ts';

const ROOT = 'rootfs';
const NOTHING = { uid: 0, gid: 0, mtime: { sec: 0, nsec: 0 }, xattrs: [], size: 0, target: '' as ByteName };

/** Ids of a file. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export class AciLayer implements TarSink {
  readonly #path: string;
  readonly #reader: TarReader;
  /** The manifest of an earlier pass. */
  readonly #known: AciManifest | undefined;
  #manifest: AciManifest | undefined;
  #document: Uint8Array[] | undefined;
  /** True once a file of the root was written before the manifest was known. */
  #early = false;
  #out: Uint8Array[] = [];
  /** Bytes of zeros after the content of the entry that is written; undefined while the content is left out. */
  #padding: number | undefined;
  readonly #owners = new Map<string, Owner>();
  /** Directories for volumes that the archive has. */
  readonly #there = new Set<string>();

  /**
   * @param path of the file, for errors
   * @param maxSize of a file in it, in bytes
   */
  constructor(path: string, maxSize: number, known?: AciManifest) {
    this.#path = path;
    this.#known = known;
    this.#manifest = known;
    this.#reader = new TarReader(this, maxSize);
  }

  /** The part of the layer's archive that these bytes of the image make. @throws IMAGE_BAD_ARCHIVE, LAYER_* */
  push(bytes: Uint8Array): Uint8Array[] {
    this.#reader.push(bytes);
    return this.#taken();
  }

  /** The rest of the layer's archive. @throws IMAGE_BAD_ARCHIVE, LAYER_TRUNCATED */
  end(): Uint8Array[] {
    this.#reader.end();
    for (const path of this.manifest.app?.mountPoints ?? []) {
      const name = nameOf(path);
      if (name === '' || this.#there.has(name)) continue;
      this.#there.add(name);
      this.#out.push(tarHeader({ ...NOTHING, path: name as ByteName, kind: 'directory', mode: 0o755 }));
    }
    return [...this.#taken(), END_OF_ARCHIVE];
  }

  /** @throws IMAGE_BAD_ARCHIVE for an archive without a manifest, which has been read to its end */
  get manifest(): AciManifest {
    if (this.#manifest === undefined) throw this.#bad('it has no file called manifest');
    return this.#manifest;
  }

  /** True when only a second pass, which knows the manifest, takes the right files. */
  get isTooEarly(): boolean {
    const { pathWhitelist, app } = this.manifest;
    const asksOwner = [app?.user, app?.group].some((name) => name?.startsWith('/'));
    return this.#early && (pathWhitelist.length > 0 || asksOwner);
  }

  /** The owner of a file of the root; undefined: the archive has no such file. */
  ownerOf(path: string): Owner | undefined {
    return this.#owners.get(nameOf(path));
  }

  entry(entry: LayerEntry): void {
    const name = nameOf(entry.name);
    this.#padding = undefined;
    if (name === 'manifest') {
      this.#beginManifest(entry);
      return;
    }
    if (name === '' && entry.kind === 'directory') return;
    if (name !== ROOT && !name.startsWith(`${ROOT}/`))
      throw this.#bad('it has other things beside manifest and rootfs');
    if (name === ROOT && entry.kind !== 'directory') throw this.#bad('its rootfs is no directory');
    this.#write(name.slice(ROOT.length + 1), entry);
  }

  content(bytes: Uint8Array): void {
    // The bytes are valid only during the call.
    if (this.#document !== undefined) this.#document.push(bytes.slice());
    else if (this.#padding !== undefined) this.#out.push(bytes.slice());
  }

  endOfContent(): void {
    const document = this.#document;
    this.#document = undefined;
    if (document !== undefined) {
      const read = parseAciManifest(Buffer.concat(document), this.#path);
      this.#manifest ??= read;
    } else if (this.#padding !== undefined && this.#padding > 0)
      this.#out.push(new Uint8Array(this.#padding));
    this.#padding = undefined;
  }

  #beginManifest(entry: LayerEntry): void {
    if (entry.kind !== 'file') throw this.#bad('its manifest is no file');
    if (this.#manifest !== this.#known) throw this.#bad('it has two manifests');
    if (entry.size > MAX_MANIFEST_BYTES)
      throw this.#bad(`its manifest has ${entry.size} bytes, more than the ${MAX_MANIFEST_BYTES} allowed`);
    this.#document = [];
  }

  #write(name: string, entry: LayerEntry): void {
    if (this.#manifest === undefined) this.#early = true;
    const { app, pathWhitelist = [] } = this.#manifest ?? {};
    if (entry.kind !== 'directory' && pathWhitelist.length > 0 && !pathWhitelist.includes(`/${utf8(name)}`))
      return;
    if ([app?.user, app?.group].some((path) => path?.startsWith('/') === true && nameOf(path) === name))
      this.#owners.set(name, { uid: entry.uid, gid: entry.gid });
    if (entry.kind === 'directory') this.#there.add(name);
    // The unpacker makes no devices either.
    if (entry.kind === 'device') return;
    this.#out.push(tarHeader(written(name as ByteName, entry, (reason) => this.#bad(reason))));
    if (entry.kind === 'file') this.#padding = paddingOf(entry.size);
  }

  #taken(): Uint8Array[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }

  #bad(reason: string): PluginError {
    return new PluginError('IMAGE_BAD_ARCHIVE', { path: this.#path, reason });
  }
}

type Kept = Exclude<LayerEntry, { kind: 'device' }>;

function written(path: ByteName, entry: Kept, bad: (reason: string) => PluginError): WrittenEntry {
  const { mode, uid, gid, mtime, xattrs, kind } = entry;
  const common = { path, kind, mode, uid, gid, mtime, xattrs };
  if (kind === 'symlink') return { ...common, size: 0, target: entry.target };
  if (kind === 'hardlink') {
    const target = nameOf(entry.target);
    if (!target.startsWith(`${ROOT}/`)) throw bad('a hard link leads out of its rootfs');
    return { ...common, size: 0, target: target.slice(ROOT.length + 1) as ByteName };
  }
  return { ...common, size: kind === 'file' ? entry.size : 0, target: '' as ByteName };
}

/** The name without `.`, empty parts and slashes at its ends. `..` stays, and the unpacker refuses it. */
function nameOf(name: string): string {
  return name
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');
}

function utf8(name: string): string {
  return new TextDecoder().decode(bytesOf(name as ByteName));
}
