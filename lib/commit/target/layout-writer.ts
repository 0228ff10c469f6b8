/**
 * Writes images into a local OCI layout (image-spec, image-layout.md). Each file is staged under a temporary name, synced
 * and renamed to its digest; index.json comes last. A process that is killed leaves a layout without the new image, and
 * temporary files, which the next writer removes.
 */
import { type Digest, digestOf, hexOf } from '../../base/digest.ts';
import { PluginError } from '../../base/errors/error.ts';
import { MAX_MANIFEST_BYTES } from '../../base/limits.ts';
import { JsonRefused, parseJson } from '../../oci/json.ts';
import { parseManifest } from '../../oci/manifest.ts';
import { OCI_INDEX } from '../../oci/media-types.ts';
import { throughGate } from '../../sys/exclusive/gate.ts';
import { isTemporaryName, temporaryOwner, temporaryPath } from '../../sys/files/temporary.ts';
import { hasCode, SysError } from '../../sys/kernel/errno.ts';
import {
  close,
  fsync,
  mkdirAt,
  openAt,
  openDir,
  renameAt,
  unlinkAt,
  writeAll,
} from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { listNames, lookIfThere, readTextIfThere } from '../../sys/kernel/look.ts';
import { formatOwner, isAlive, owner, parseOwner } from '../../sys/kernel/process.ts';
import { bytesOfText } from '../../sys/kernel/utf8.ts';

const VERSION = '{"imageLayoutVersion":"1.0.0"}';
const REF_NAME = 'org.opencontainers.image.ref.name';
/** How long another writer of the same layout is waited for. That writer only replaces index.json. */
const WAIT_MS = 30_000;

/** A blob that is being written. The digest of its bytes, which the caller computes, becomes its name. */
export interface StagedBlob {
  write(bytes: Uint8Array): void;
  /** Syncs the blob and gives it its name. */
  publish(digest: Digest): void;
  /** Removes the blob, unless it was published. */
  [Symbol.dispose](): void;
}

export class LayoutWriter {
  readonly #directory: string;

  /**
   * Makes the directories where they are missing, and removes what killed writers left.
   * @throws COMMIT_TARGET for a directory that holds something else; COMMIT_TARGET_FULL; SysError
   */
  constructor(directory: string) {
    this.#directory = directory;
    this.#told(() => {
      makeDirectory(directory);
      if (lookIfThere(`${directory}/oci-layout`) === undefined) this.#requireUnused();
      for (const path of [`${directory}/blobs`, `${directory}/blobs/sha256`]) makeDirectory(path);
      this.#sweep();
    });
  }

  /** True where the layout has the whole blob. */
  has(digest: Digest, size: number): boolean {
    return lookIfThere(this.#path(digest))?.size === size;
  }

  stage(): StagedBlob {
    const path = temporaryPath(this.#directory, formatOwner(owner()));
    let fd: number | undefined = this.#told(() => openAt(AT_FDCWD, path, O.WRONLY | O.CREAT | O.EXCL, 0o644));
    let isPublished = false;
    const open = (): number => {
      if (fd === undefined) throw new Error('a published blob was used');
      return fd;
    };
    const end = () => {
      if (fd !== undefined) close(fd);
      fd = undefined;
    };
    return {
      write: (bytes) => this.#told(() => writeAll(open(), bytes, path)),
      publish: (digest) => {
        this.#told(() => {
          fsync(open(), path);
          renameAt(AT_FDCWD, path, AT_FDCWD, this.#path(digest));
        });
        isPublished = true;
        end();
      },
      [Symbol.dispose]: () => {
        end();
        if (!isPublished) discard(path);
      },
    };
  }

  /** Writes a document as a blob. */
  put(text: string): { readonly digest: Digest; readonly size: number } {
    const bytes = bytesOfText(text);
    const digest = digestOf(bytes);
    using blob = this.stage();
    blob.write(bytes);
    blob.publish(digest);
    return { digest, size: bytes.length };
  }

  /**
   * Names a manifest in index.json. Another image of this name loses it, and its blobs stay.
   * @throws COMMIT_TARGET where index.json is no index; STORE_BUSY
   */
  publish(ref: string, descriptor: Readonly<Record<string, unknown>>): void {
    this.#told(() => {
      syncDirectory(`${this.#directory}/blobs/sha256`);
      throughGate(
        this.#directory,
        'alone',
        `another writer of ${this.#directory}`,
        () => {
          const named = { ...descriptor, annotations: { [REF_NAME]: ref } };
          const index = this.#index();
          const others = manifestsIn(index).filter((entry) => refOf(entry) !== ref);
          this.#replace('oci-layout', VERSION);
          this.#replace(
            'index.json',
            JSON.stringify({
              schemaVersion: 2,
              mediaType: OCI_INDEX,
              ...index,
              manifests: [...others, named],
            }),
          );
          syncDirectory(this.#directory);
        },
        WAIT_MS,
      );
    });
  }

  #index(): Record<string, unknown> {
    const text = readTextIfThere(`${this.#directory}/index.json`, MAX_MANIFEST_BYTES);
    if (text === undefined) return {};
    const bytes = bytesOfText(text);
    try {
      if (parseManifest(bytes, undefined, this.#directory).kind !== 'index')
        throw this.#refuse('its index.json is a manifest');
      return parseJson(bytes, MAX_MANIFEST_BYTES) as Record<string, unknown>;
    } catch (error) {
      if (error instanceof JsonRefused || error instanceof PluginError)
        throw this.#refuse('its index.json is not valid', error);
      throw error;
    }
  }

  #replace(name: string, text: string): void {
    const staged = temporaryPath(this.#directory, formatOwner(owner()));
    try {
      const fd = openAt(AT_FDCWD, staged, O.WRONLY | O.CREAT | O.EXCL, 0o644);
      try {
        writeAll(fd, bytesOfText(text), staged);
        fsync(fd, staged);
      } finally {
        close(fd);
      }
      renameAt(AT_FDCWD, staged, AT_FDCWD, `${this.#directory}/${name}`);
    } catch (error) {
      discard(staged);
      throw error;
    }
  }

  /** A directory with other files is no place for a layout. */
  #requireUnused(): void {
    const others = listNames(this.#directory).filter((name) => name !== 'blobs' && !isTemporaryName(name));
    const first = others.find((name) => name !== 'index.json');
    if (first !== undefined) throw this.#refuse(`it holds other files, ${JSON.stringify(first)} for one`);
  }

  #sweep(): void {
    for (const name of listNames(this.#directory)) {
      if (!isTemporaryName(name)) continue;
      const who = parseOwner(temporaryOwner(name) ?? '');
      if (who !== undefined && !isAlive(who)) discard(`${this.#directory}/${name}`);
    }
  }

  #path(digest: Digest): string {
    return `${this.#directory}/blobs/sha256/${hexOf(digest)}`;
  }

  #refuse(reason: string, cause?: unknown): PluginError {
    return new PluginError('COMMIT_TARGET', { target: this.#directory, reason }, { cause });
  }

  /** @throws COMMIT_TARGET_FULL for an error of a full disk, so that the store is not blamed for it */
  #told<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!hasCode(error, 'ENOSPC', 'EDQUOT')) throw error;
      throw new PluginError('COMMIT_TARGET_FULL', { path: this.#directory }, { cause: error });
    }
  }
}

function manifestsIn(index: Readonly<Record<string, unknown>>): readonly unknown[] {
  return Array.isArray(index['manifests']) ? index['manifests'] : [];
}

function refOf(entry: unknown): unknown {
  const annotations = (entry as { annotations?: unknown } | null)?.annotations;
  return (annotations as Record<string, unknown> | null | undefined)?.[REF_NAME];
}

function makeDirectory(path: string): void {
  try {
    mkdirAt(AT_FDCWD, path, 0o755);
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
  }
}

function syncDirectory(path: string): void {
  const fd = openDir(path);
  try {
    fsync(fd, path);
  } finally {
    close(fd);
  }
}

/** Removes a staged file after an error or from a dead process; the next writer tries again. */
function discard(path: string): void {
  try {
    unlinkAt(AT_FDCWD, path);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
  }
}
