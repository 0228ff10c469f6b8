/**
 * A plain directory in DUCC's layout: an NFS export, the source of a squashfs image, a replica. Each layer is filled in a
 * directory beside its final place, synced, and published by one rename; the image's manifest is the last file.
 */
import { posix } from 'node:path';
import type { Publication } from '../../layer/tree/types.ts';
import { replaceFile } from '../../sys/files/durable.ts';
import { removeTree } from '../../sys/files/remove-tree.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import {
  close,
  fsync,
  mkdirAt,
  openDir,
  renameAt,
  symlinkAt,
  syncfs,
  unlinkAt,
} from '../../sys/kernel/files.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';
import { exists, lookIfThere } from '../../sys/kernel/look.ts';
import { isDirectory } from '../../sys/kernel/stat.ts';
import { LAYERS, layerPath, WORK } from '../repository/paths.ts';
import { PublishedRepository } from '../repository/published.ts';
import type { StagedLayer } from '../tree/layer-records.ts';
import { finishLayer, openToAll } from './finish-layer.ts';
import type { ImagePublication, PublishedLink, PublishTarget } from './target.ts';

const CATALOG_FILE = '.cvmfscatalog';

export class DirectoryTarget implements PublishTarget {
  readonly shown: string;
  readonly repository: PublishedRepository;
  readonly publication: Publication;
  readonly keepsOwners: boolean;
  readonly #root: string;

  /** @param asRoot the process may give files away; without it, owners are recorded nowhere on the disk */
  constructor(root: string, asRoot: boolean) {
    this.#root = root;
    this.shown = `directory:${root}`;
    this.repository = new PublishedRepository(root);
    this.keepsOwners = asRoot;
    this.publication = { attributes: asRoot ? 'set' : 'record' };
  }

  /** Removes what a killed publication left. The caller has the lock. */
  prepare(): void {
    this.#makeDirectories(WORK);
    this.#remove(`${WORK}/stage`);
    this.#makeDirectories(`${WORK}/stage`);
  }

  stage(): string {
    const path = `${this.#root}/${WORK}/stage/${crypto.randomUUID()}`;
    mkdirAt(AT_FDCWD, path, 0o755);
    return path;
  }

  discard(directory: string): void {
    this.#remove(posix.relative(this.#root, directory));
  }

  async publish(image: ImagePublication, signal: AbortSignal): Promise<void> {
    for (const layer of image.layers) {
      unlinkAt(AT_FDCWD, `${layer.directory}/manifest`);
      finishLayer(image, layer, this.keepsOwners);
    }
    const files = image.files.map((file) => ({ path: file.path, staged: this.#stageFile(file.bytes) }));
    // A name that a power cut leaves must not lead to a file without its content.
    this.#sync();
    signal.throwIfAborted();
    for (const layer of image.layers) this.#publishLayer(layer);
    for (const { path, staged } of files) {
      this.#makeDirectories(posix.dirname(path));
      renameAt(AT_FDCWD, staged, AT_FDCWD, `${this.#root}/${path}`);
    }
    if (image.link !== undefined) this.#writeLink(image.link);
    this.#sync();
  }

  async remove(paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      this.#remove(path);
      this.#removeEmptyAbove(path);
    }
  }

  #publishLayer({ digest, directory }: StagedLayer): void {
    const final = layerPath(digest);
    this.#catalog(LAYERS);
    this.#catalog(posix.dirname(final));
    // The rest of a publication that another tool began; readers take a layer without its record for half published.
    if (exists(`${this.#root}/${final}`)) this.#remove(final);
    renameAt(AT_FDCWD, directory, AT_FDCWD, `${this.#root}/${final}`);
  }

  /** An empty file makes the directory a nested catalog when the tree is copied into CernVM-FS. */
  #catalog(directory: string): void {
    this.#makeDirectories(directory);
    const path = `${this.#root}/${directory}/${CATALOG_FILE}`;
    if (!exists(path)) renameAt(AT_FDCWD, this.#stageFile(new Uint8Array()), AT_FDCWD, path);
  }

  /** A file where the next run sweeps, should this one be killed. */
  #stageFile(bytes: Uint8Array): string {
    const staged = `${this.#root}/${WORK}/stage/${crypto.randomUUID()}`;
    replaceFile(staged, bytes, 0o644);
    return staged;
  }

  #writeLink({ path, target }: PublishedLink): void {
    this.#makeDirectories(posix.dirname(path));
    const staged = `${this.#root}/${WORK}/stage/${crypto.randomUUID()}`;
    symlinkAt(target, AT_FDCWD, staged);
    renameAt(AT_FDCWD, staged, AT_FDCWD, `${this.#root}/${path}`);
  }

  /** First under another name: a reader finds a layer whole or not at all. */
  #remove(path: string): void {
    const absolute = `${this.#root}/${path}`;
    if (!exists(absolute)) return;
    const inWork = path.startsWith(`${WORK}/`);
    const aside = inWork ? absolute : `${this.#root}/${WORK}/stage/${crypto.randomUUID()}`;
    if (!inWork) renameAt(AT_FDCWD, absolute, AT_FDCWD, aside);
    const parent = openDir(posix.dirname(aside));
    try {
      removeTree(parent, posix.basename(aside));
    } finally {
      close(parent);
    }
  }

  /** Directories of names are nothing by themselves. */
  #removeEmptyAbove(path: string): void {
    for (let at = posix.dirname(path); at !== '.' && at !== LAYERS; at = posix.dirname(at)) {
      const absolute = `${this.#root}/${at}`;
      if (at.startsWith(`${LAYERS}/`) || this.repository.list(at).length > 0 || !exists(absolute)) return;
      this.#remove(at);
    }
  }

  #makeDirectories(path: string): void {
    let at = this.#root;
    for (const part of path.split('/')) {
      at = `${at}/${part}`;
      try {
        mkdirAt(AT_FDCWD, at, 0o755);
      } catch (error) {
        const there = hasCode(error, 'EEXIST') ? lookIfThere(at) : undefined;
        if (there === undefined || !isDirectory(there)) throw error;
        continue;
      }
      openToAll(at);
    }
  }

  #sync(): void {
    const root = openDir(this.#root);
    try {
      syncfs(root, this.#root);
      fsync(root, this.#root);
    } finally {
      close(root);
    }
  }
}
