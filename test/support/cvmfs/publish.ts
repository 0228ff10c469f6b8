/**
 * Writing a repository's tree as DUCC publishes it, into a plain directory: to be packed into a filesystem image, to
 * be served as a `type: directory` repository, or to be ingested. What a consumer relies on is as DUCC writes it,
 * byte for byte where the format is fixed:
 *
 *   .layers/<2>/<hex>/layerfs/                 the layer, keyed by the digest of its compressed blob
 *   .layers/<2>/<hex>/.metadata/layers.json    the digests of the blob and of the tar
 *   .layers/<2>/<hex>/.metadata/origin.json    images that use the layer
 *   .layers/<2>/<hex>/whiteouts/               our own: the layer's whiteouts as overlayfs wants them
 *   .layers/<2>/<hex>/.metadata/overlay.json   our own: what the tar said and the tree cannot say
 *   .metadata/<name>/manifest.json             written last: the image is complete
 *   .flat/<2>/<hex>/                           whole root filesystems, keyed by the digest of the configuration
 *   <registry>/<repository>:<tag>              -> ../../.flat/<2>/<hex>
 *
 * A layer is filled under another name and renamed, so that a reader of a live directory never sees half of one.
 */
import { existsSync } from 'node:fs';
import { posix } from 'node:path';
import { type DiffId, type Digest, hexOf, parseDiffId } from '../../../lib/base/digest.ts';
import { PluginError } from '../../../lib/base/errors/error.ts';
import { CATALOG } from '../../../lib/cvmfs/markers.ts';
import type { LayerDirectory } from '../../../lib/cvmfs/probe-protocol.ts';
import { podmanName } from '../../../lib/cvmfs/publish-names.ts';
import {
  formatDuccManifest,
  formatLayerRecord,
  formatOrigin,
  formatOverlayRecord,
  type ImpliedRecord,
  type OverlayRecord,
} from '../../../lib/cvmfs/records.ts';
import { planShims } from '../../../lib/cvmfs/shim-plan.ts';
import { walkTree } from '../../../lib/cvmfs/walk.ts';
import { SAME_OWNERS, writeShim } from '../../../lib/cvmfs/write-shim.ts';
import type { ImageManifest } from '../../../lib/oci/manifest.ts';
import { removeTree } from '../../../lib/sys/files/remove-tree.ts';
import { hasCode } from '../../../lib/sys/kernel/errno.ts';
import {
  close,
  fchown,
  futimes,
  mkdirAt,
  openAt,
  openDir,
  renameAt,
  symlinkAt,
  type Timespec,
  unlinkAt,
  writeAll,
} from '../../../lib/sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../../lib/sys/kernel/libc.ts';
import { statFd } from '../../../lib/sys/kernel/stat.ts';
import { ingestTar } from './ingest.ts';
import { dummyIds, type Ingested, type IngestOptions } from './ingested.ts';

export interface PublishOptions extends IngestOptions {
  /** The directory that becomes the repository's root. */
  readonly root: string;
  /** Publish `whiteouts/` and `overlay.json` beside each layer too. */
  readonly companion: boolean;
}

export interface LayerBlob {
  /** Of the compressed blob. Whoever reads it checks it: only the tar passes here. */
  readonly digest: Digest;
  /** What the tar must have; the layer is not published otherwise. */
  readonly diffId: DiffId;
  readonly tar: AsyncIterable<Uint8Array>;
}

/** Publishes trees of images. */
export class RepositoryWriter {
  readonly #options: PublishOptions;

  constructor(options: PublishOptions) {
    this.#options = options;
  }

  /**
   * Publishes one layer, or leaves it when it is there.
   * @throws IngestAborted, LAYER_* for what is wrong with the tar, LAYER_DIFFID_MISMATCH; nothing of the layer is left then
   */
  async publishLayer(blob: LayerBlob): Promise<void> {
    const hex = hexOf(blob.digest);
    const prefix = this.#directory(`.layers/${hex.slice(0, 2)}`);
    this.#catalog('.layers');
    this.#catalog(`.layers/${hex.slice(0, 2)}`);
    const final = `${prefix}/${hex}`;
    if (existsSync(`${final}/layerfs`)) return;
    await staged(prefix, hex, final, (path) => this.#fillLayer(path, blob));
  }

  async #fillLayer(staged: string, blob: LayerBlob): Promise<void> {
    for (const path of [`${staged}/layerfs`, `${staged}/.metadata`]) makeDirectory(path);
    const { ingested, bytes } = await this.#ingest(blob, `${staged}/layerfs`);
    const created = new Date(this.#options.publisher.time.sec * 1000).toISOString();
    const record = { digest: blob.digest, diffId: blob.diffId, tarBytes: bytes };
    writeFile(`${staged}/.metadata/layers.json`, formatLayerRecord(record, created));
    if (this.#options.companion) this.#writeCompanion(staged, blob.digest, ingested);
    this.#dressAsDummy(staged);
  }

  /** The directory around the layer: the same command made it up on the way to its base directory. */
  #dressAsDummy(directory: string): void {
    const { uid, gid } = dummyIds(this.#options);
    const fd = openDir(directory);
    fchown(fd, uid, gid);
    futimes(fd, this.#options.publisher.time, directory);
    close(fd);
  }

  /**
   * Publishes an image whose layers are published: back-links, then its manifest, which marks it complete.
   * @param name `<registry>/<repository>:<tag>`, or `.multiarch/<arch>/<registry>/<repository>:<tag>`
   */
  publishManifest(name: string, manifest: ImageManifest): void {
    for (const layer of manifest.layers) {
      const hex = hexOf(layer.digest);
      const origin = `${this.#options.root}/.layers/${hex.slice(0, 2)}/${hex}/.metadata/origin.json`;
      writeFile(origin, formatOrigin([manifest.config.digest]));
    }
    const directory = this.#directory(`.metadata/${name}`);
    writeFile(`${directory}/manifest.json`, formatDuccManifest(manifest));
  }

  /** The image configuration's bytes, where DUCC keeps them for podman. */
  publishConfig(config: Digest, bytes: Uint8Array): void {
    const directory = this.#directory(`podmanStore/overlay-images/${hexOf(config)}`);
    writeFile(`${directory}/${podmanName(config)}`, bytes);
  }

  /** The empty directory that `fill` makes a whole root filesystem of, and the public name that leads to it. */
  async publishFlat(
    name: string,
    config: Digest,
    fill: (directory: string) => Promise<void> | void,
  ): Promise<void> {
    const hex = hexOf(config);
    const prefix = this.#directory(`.flat/${hex.slice(0, 2)}`);
    this.#catalog('.flat');
    const final = `${prefix}/${hex}`;
    if (!existsSync(final)) {
      await staged(prefix, hex, final, async (path) => {
        await fill(path);
        const root = openDir(path);
        const { mtime } = statFd(root);
        writeFile(`${path}/${CATALOG}`, '');
        futimes(root, mtime, path);
        close(root);
      });
    }
    this.publishLink(name, `.flat/${hex.slice(0, 2)}/${hex}`);
  }

  /** A relative link from a public name to a path in the repository; replaces an older one. */
  publishLink(name: string, target: string): void {
    const directory = this.#directory(posix.dirname(name));
    const link = `${this.#options.root}/${name}`;
    const relative = posix.relative(posix.dirname(name), target);
    try {
      symlinkAt(relative, AT_FDCWD, link);
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
      const staged = `${directory}/.staged-link`;
      symlinkAt(relative, AT_FDCWD, staged);
      renameAt(AT_FDCWD, staged, AT_FDCWD, link);
    }
  }

  async #ingest(blob: LayerBlob, target: string): Promise<{ ingested: Ingested; bytes: number }> {
    const hasher = new Bun.CryptoHasher('sha256');
    let bytes = 0;
    const counted = async function* () {
      for await (const chunk of blob.tar) {
        hasher.update(chunk);
        bytes += chunk.length;
        yield chunk;
      }
    };
    const ingested = await ingestTar(target, counted(), this.#options);
    const actual = parseDiffId(`sha256:${hasher.digest('hex')}`);
    if (actual !== blob.diffId) {
      throw new PluginError('LAYER_DIFFID_MISMATCH', { expected: blob.diffId, actual });
    }
    return { ingested, bytes };
  }

  /** The shim of the layer as a directory of its own, and what only the tar says, as a record. */
  #writeCompanion(staged: string, digest: Digest, ingested: Ingested): void {
    const walk = walkTree(`${staged}/layerfs`, {
      sizes: true,
      xattrs: false,
      made: 'ingest',
      around: undefined,
      explicit: new Set(),
      alive: () => undefined,
    });
    const { shim } = planShims(walk);
    makeDirectory(`${staged}/whiteouts`);
    // An opaque marker cannot be published: CernVM-FS ingests no extended attributes. The record has it.
    const plain = shim.map((directory) => ({ ...directory, opaque: false, xattrs: [] }));
    writeShim(`${staged}/whiteouts`, plain, SAME_OWNERS);
    const record: OverlayRecord = {
      layer: digest,
      opaque: walk.directories.flatMap(({ opaque, path }) => (opaque ? [path] : [])).sort(),
      implied: impliedRecords(walk.directories, ingested.implied),
      late: [...ingested.late].sort(),
      ownersKept: this.#options.keepOwners,
      explicitRoot: ingested.explicitRoot,
      hidden: walk.directories.flatMap(hiddenPaths).sort(),
      fileBytes: walk.fileBytes,
      entries: walk.entries,
    };
    writeFile(`${staged}/.metadata/overlay.json`, formatOverlayRecord(record));
  }

  #directory(path: string): string {
    let at = this.#options.root;
    for (const part of path.split('/')) {
      at = `${at}/${part}`;
      makeDirectory(at);
    }
    return at;
  }

  /** An empty file makes its directory a nested catalog. */
  #catalog(directory: string): void {
    const path = `${this.#options.root}/${directory}/${CATALOG}`;
    if (existsSync(path)) return;
    writeFile(path, '');
    const fd = openAt(AT_FDCWD, path, O.RDONLY);
    futimes(fd, this.#options.publisher.time);
    close(fd);
  }
}

/** Fills a new directory under another name, and gives it its own when it is whole. What failed is removed. */
async function staged(
  prefix: string,
  hex: string,
  final: string,
  fill: (path: string) => Promise<void>,
): Promise<void> {
  const name = `.staged-${hex}`;
  const parent = openDir(prefix);
  try {
    removeTree(parent, Buffer.from(name));
    mkdirAt(parent, name, 0o755);
    await fill(`${prefix}/${name}`);
    renameAt(parent, name, AT_FDCWD, final);
  } catch (error) {
    removeTree(parent, Buffer.from(name));
    throw error;
  } finally {
    close(parent);
  }
}

/** As the tar has them, which a walk can only guess. */
function impliedRecords(
  directories: readonly LayerDirectory[],
  implied: ReadonlyMap<string, Timespec>,
): ImpliedRecord[] {
  return directories.flatMap((directory) => {
    const time = implied.get(directory.path);
    return directory.implied && time ? [{ path: directory.path, ...time, ...directory.implied }] : [];
  });
}

function hiddenPaths({ path, hidden }: LayerDirectory): string[] {
  return hidden.map((name) => (path === '' ? name : `${path}/${name}`));
}

function makeDirectory(path: string): void {
  try {
    mkdirAt(AT_FDCWD, path, 0o755);
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
  }
}

/** A new file; one of that name is replaced, never written into. */
function writeFile(path: string, content: string | Uint8Array): void {
  if (existsSync(path)) unlinkAt(AT_FDCWD, path);
  const fd = openAt(AT_FDCWD, path, O.WRONLY | O.CREAT | O.EXCL, 0o644);
  try {
    writeAll(fd, Buffer.from(content), path);
  } finally {
    close(fd);
  }
}
