/**
 * A repository on its release manager. Layers are unpacked and verified in a scratch directory, and one archive of all that
 * an image needs goes to one ingest command: the image becomes visible as a whole.
 */
import { posix } from 'node:path';
import type { Publication } from '../../layer/tree/types.ts';
import { removeTree } from '../../sys/files/remove-tree.ts';
import { close, mkdirAt, openDir, rmdirAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';
import { exists } from '../../sys/kernel/look.ts';
import { LAYERS, layerPath } from '../repository/paths.ts';
import { PublishedRepository } from '../repository/published.ts';
import type { StagedLayer } from '../tree/layer-records.ts';
import type { CvmfsServer } from './cvmfs-server.ts';
import { finishLayer } from './finish-layer.ts';
import { attributesIn, ingestTree } from './ingest-tree.ts';
import { type TarMember, tarEnd, tarHeader, tarPadding } from './tar-headers.ts';
import type { ImagePublication, PublishTarget } from './target.ts';

export interface CvmfsTargetOptions {
  /** The repository's fully qualified name. */
  readonly repository: string;
  /** Where the release manager has it mounted. */
  readonly mount: string;
  /** A directory of graft for unfinished layers, on a filesystem with room for the largest image. */
  readonly scratch: string;
  readonly server: CvmfsServer;
  /** Ids of records and catalogs. */
  readonly owner: { readonly uid: number; readonly gid: number };
}

export class CvmfsTarget implements PublishTarget {
  readonly shown: string;
  readonly repository: PublishedRepository;
  /** The archive has the attributes, so the files on the disk need none. */
  readonly publication: Publication = { attributes: 'record' };
  readonly keepsOwners = true;
  readonly #options: CvmfsTargetOptions;

  constructor(options: CvmfsTargetOptions) {
    this.#options = options;
    this.shown = `cvmfs:${options.repository}`;
    this.repository = new PublishedRepository(options.mount);
  }

  /** Removes what a killed publication left. The caller has the lock. */
  async prepare(): Promise<void> {
    removeAt(this.#options.scratch, 'stage');
    mkdirAt(AT_FDCWD, `${this.#options.scratch}/stage`, 0o700);
    await this.#options.server.recover();
  }

  stage(): string {
    const path = `${this.#options.scratch}/stage/${crypto.randomUUID()}`;
    mkdirAt(AT_FDCWD, path, 0o700);
    return path;
  }

  discard(directory: string): void {
    removeAt(posix.dirname(directory), posix.basename(directory));
  }

  async publish(image: ImagePublication, signal: AbortSignal): Promise<void> {
    for (const layer of image.layers) finishLayer(image, layer, this.keepsOwners);
    // Another tool may have begun a layer: names that are there stay, and the new layer would be mixed with them.
    const halves = image.layers.map(({ digest }) => digest).filter((one) => this.repository.hasAnyOf(one));
    if (halves.length > 0) await this.#options.server.remove(halves.map(layerPath));
    await this.#options.server.ingest(async (pipe) => {
      for (const bytes of this.#archive(image)) await pipe.write(bytes, signal);
      await pipe.end(signal);
    });
  }

  async remove(paths: readonly string[], signal: AbortSignal): Promise<void> {
    const { server, mount } = this.#options;
    const there = paths.filter((path) => exists(`${mount}/${path}`));
    const named = there.filter((path) => path.includes(':'));
    if (named.length > 0) await server.transaction(() => this.#removeInTransaction(named));
    signal.throwIfAborted();
    await server.remove(there.filter((path) => !path.includes(':')));
  }

  /** The directories of names go with the last name in them. */
  #removeInTransaction(paths: readonly string[]): void {
    const { mount } = this.#options;
    for (const path of paths) {
      removeAt(posix.join(mount, posix.dirname(path)), posix.basename(path));
      for (let at = posix.dirname(path); at !== '.' && at !== LAYERS; at = posix.dirname(at)) {
        if (at.startsWith('.') && !at.includes('/')) break;
        if (this.repository.list(at).length > 0) break;
        rmdirAt(AT_FDCWD, `${mount}/${at}`);
      }
    }
  }

  *#archive(image: ImagePublication): Generator<Uint8Array> {
    const members = new Members(this.#options.owner);
    for (const layer of image.layers) yield* this.#layer(members, layer);
    for (const { path, bytes } of image.files) {
      yield* members.parentsOf(path);
      yield* members.file(path, bytes);
    }
    if (image.link !== undefined) {
      yield* members.parentsOf(image.link.path);
      yield members.header({ type: 'symlink', path: image.link.path, link: Buffer.from(image.link.target) });
    }
    yield tarEnd();
  }

  *#layer(members: Members, { digest, directory }: StagedLayer): Generator<Uint8Array> {
    const path = layerPath(digest);
    yield* members.parentsOf(`${path}/layerfs`);
    for (const catalog of [LAYERS, posix.dirname(path)]) {
      const file = `${catalog}/.cvmfscatalog`;
      if (!exists(`${this.#options.mount}/${file}`)) yield* members.file(file, new Uint8Array());
    }
    const { owner } = this.#options;
    const attributes = attributesIn(`${directory}/manifest`);
    const layer = { source: `${directory}/layerfs`, path: `${path}/layerfs`, owner };
    const root = { mode: 0o755, uid: 0, gid: 0, mtime: 0 };
    yield* ingestTree({
      ...layer,
      attributes: (name) => attributes.get(name) ?? (name === '' ? root : undefined),
    });
    for (const name of ['whiteouts', '.metadata']) {
      members.note(`${path}/${name}`);
      yield* ingestTree({
        source: `${directory}/${name}`,
        path: `${path}/${name}`,
        owner,
        attributes: () => undefined,
      });
    }
  }
}

/** Members beside the trees of layers, each once and after its directories. */
class Members {
  readonly #owner: { readonly uid: number; readonly gid: number };
  readonly #mtime = Math.floor(Date.now() / 1000);
  readonly #seen = new Set<string>();

  constructor(owner: { readonly uid: number; readonly gid: number }) {
    this.#owner = owner;
  }

  note(path: string): void {
    this.#seen.add(path);
  }

  *parentsOf(path: string): Generator<Uint8Array> {
    const parts = posix.dirname(path).split('/');
    for (const [index] of parts.entries()) {
      const at = parts.slice(0, index + 1).join('/');
      if (this.#seen.has(at)) continue;
      this.#seen.add(at);
      yield this.header({ type: 'directory', path: at });
    }
  }

  *file(path: string, bytes: Uint8Array): Generator<Uint8Array> {
    if (this.#seen.has(path)) return;
    this.#seen.add(path);
    yield this.header({ type: 'file', path, size: bytes.length });
    yield bytes;
    yield tarPadding(bytes.length);
  }

  header({
    type,
    path,
    size = 0,
    link,
  }: Pick<TarMember, 'type' | 'link'> & { readonly path: string; readonly size?: number }): Buffer {
    const mode = type === 'directory' ? 0o755 : type === 'symlink' ? 0o777 : 0o644;
    const member = { type, name: Buffer.from(path), mode, ...this.#owner, mtime: this.#mtime, size };
    return tarHeader(link === undefined ? member : { ...member, link });
  }
}

function removeAt(directory: string, name: string): void {
  const fd = openDir(directory);
  try {
    removeTree(fd, name);
  } finally {
    close(fd);
  }
}
