/** Where the files of an OCI layout lie: a directory, or an archive of it. */
import { PluginError } from '../../base/errors/error.ts';
import { type FinalLink, reasonOf } from '../../sys/files/regular-file.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { imageFile, readImageFile, unreadable } from './local-file.ts';
import type { LayerBytes } from './source.ts';

export interface LayoutFiles {
  /** Called once, before any other method. */
  prepare(signal: AbortSignal): Promise<void>;
  /**
   * The bytes of a document.
   * @param name below the layout: `index.json`, `blobs/sha256/…`
   * @throws IMAGE_SOURCE_MISSING, IMAGE_SOURCE_UNREADABLE
   */
  read(name: string, maxBytes: number): Uint8Array;
  /** @throws IMAGE_SOURCE_UNREADABLE */
  open(name: string, signal: AbortSignal): LayerBytes & { readonly size: number };
  /** Checks that the bytes of layers are those of the file that was prepared. @throws IMAGE_SOURCE_CHANGED */
  verifyUnchanged(): void;
  close(): Promise<void>;
}

export class LayoutDirectory implements LayoutFiles {
  readonly #directory: string;
  /**
   * Garden makes a symbolic link from a blob to a stack's tar. Where digests are verified, a blob must be a file of the
   * layout.
   */
  readonly #link: FinalLink;

  constructor(directory: string, link: FinalLink) {
    this.#directory = directory;
    this.#link = link;
  }

  async prepare(): Promise<void> {}

  read(name: string, maxBytes: number): Uint8Array {
    const path = `${this.#directory}/${name}`;
    try {
      return readImageFile(path, maxBytes, name === 'index.json' ? 'follow' : this.#link);
    } catch (error) {
      if (error instanceof PluginError) throw error;
      if (hasCode(error, 'ENOENT', 'ENOTDIR'))
        throw new PluginError('IMAGE_SOURCE_MISSING', { path }, { cause: error });
      throw unreadable(path, reasonOf(error), error);
    }
  }

  open(name: string): LayerBytes & { readonly size: number } {
    const path = `${this.#directory}/${name}`;
    try {
      return { kind: 'file', path, size: imageFile(path, this.#link).size };
    } catch (error) {
      throw error instanceof PluginError ? error : unreadable(path, reasonOf(error), error);
    }
  }

  /** Digests name the bytes of a layout. */
  verifyUnchanged(): void {}

  async close(): Promise<void> {}
}
