import { PluginError } from '../../base/errors/error.ts';
import type { TarReference } from '../../oci/reference.ts';
import { type Grant, LOCAL } from '../../store/records/grants.ts';
import { type FileFacts, reasonOf } from '../../sys/files/regular-file.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { inflate } from './decompressor.ts';
import type { TarLayer } from './image-layer.ts';
import { identityOf, imageFile, unreadable } from './local-file.ts';
import { fileFormat } from './packed-file.ts';
import type { ImageSource, LayerBytes, ResolvedImage } from './source.ts';

/**
 * A local tar as an image with one layer and no configuration: the root filesystems of BOSH stacks
 * (`/var/vcap/packages/cflinuxfs4/rootfs.tar`, where `packages/…` are symbolic links, so links are followed). No digest
 * names its bytes. Their identity is the file itself: device, inode, size, modification time.
 */
export class TarSource implements ImageSource {
  readonly #path: string;
  readonly #programs: string;
  #resolved: FileFacts | undefined;

  /** @param options.programs where xz and bzip2 are looked for, as in PATH */
  constructor(options: { readonly reference: TarReference; readonly programs: string }) {
    this.#programs = options.programs;
    this.#path = options.reference.path;
  }

  /** @throws IMAGE_TAR_MISSING, IMAGE_SOURCE_DIRECTORY, IMAGE_SOURCE_UNREADABLE */
  async resolve(signal: AbortSignal): Promise<ResolvedImage> {
    signal.throwIfAborted();
    const facts = this.#look();
    this.#resolved = facts;
    const path = this.#path;
    const layer: TarLayer = { kind: 'tar', path, size: facts.size, identity: identityOf(facts) };
    return {
      name: path,
      manifestDigest: undefined,
      config: undefined,
      layers: [layer],
      place: LOCAL,
      grade: 'cell',
    };
  }

  /** @throws IMAGE_SOURCE_CHANGED when the file is no longer the one that was resolved */
  async open(_layer: unknown, signal: AbortSignal): Promise<LayerBytes> {
    signal.throwIfAborted();
    await this.verifyUnchanged();
    const path = this.#path;
    const format = fileFormat(path);
    if (format === 'xz' || format === 'bzip2')
      return { kind: 'stream', chunks: inflate(path, format, this.#programs), size: undefined };
    return { kind: 'file', path, size: this.#resolved?.size ?? 0 };
  }

  /** Refuses a file that was written to while it was read: its bytes are neither the old nor the new content. */
  async verifyUnchanged(): Promise<void> {
    const before = this.#resolved;
    if (before === undefined || identityOf(this.#look()) !== identityOf(before))
      throw new PluginError('IMAGE_SOURCE_CHANGED', { path: this.#path });
  }

  delivered(): Grant {
    return { to: 'cell', place: LOCAL };
  }

  async close(): Promise<void> {
    this.#resolved = undefined;
  }

  #look(): FileFacts {
    try {
      return imageFile(this.#path, 'follow');
    } catch (error) {
      if (error instanceof PluginError) throw error;
      if (hasCode(error, 'EISDIR')) throw new PluginError('IMAGE_SOURCE_DIRECTORY', { path: this.#path });
      if (hasCode(error, 'ENOENT', 'ENOTDIR'))
        throw new PluginError('IMAGE_TAR_MISSING', { path: this.#path }, { cause: error });
      throw unreadable(this.#path, reasonOf(error), error);
    }
  }
}
