/** An archive of images as a file: looked at once, read by its members, and held against that look at the end. */
import { PluginError } from '../../base/errors/error.ts';
import { type FileFacts, reasonOf } from '../../sys/files/regular-file.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { type ArchiveMembers, type Member, readMembers } from './archive-members.ts';
import { identityOf, imageFile, unreadable } from './local-file.ts';
import { type ArchiveLimits, PackedFile } from './packed-file.ts';
import type { LayerBytes } from './source.ts';

export class ArchiveFile {
  readonly path: string;
  readonly #limits: ArchiveLimits;
  #facts: FileFacts | undefined;
  #file: PackedFile | undefined;

  constructor(path: string, limits: ArchiveLimits) {
    this.path = path;
    this.#limits = limits;
  }

  /** Looks at the file, before any byte is read. @throws IMAGE_SOURCE_MISSING, IMAGE_SOURCE_UNREADABLE */
  begin(): PackedFile {
    this.#facts = this.#look();
    this.#file = new PackedFile(this.path, this.#limits);
    return this.#file;
  }

  /** @throws as `begin` and `readMembers` */
  async members(signal: AbortSignal): Promise<ArchiveMembers> {
    return readMembers(this.begin(), signal);
  }

  /** All bytes of the archive. @throws as `PackedFile.tar`; IMAGE_SOURCE_CHANGED */
  tar(): AsyncGenerator<Uint8Array> {
    this.verifyUnchanged();
    return (this.#file ?? this.begin()).tar();
  }

  open(member: Member, signal: AbortSignal): LayerBytes & { readonly size: number } {
    this.verifyUnchanged();
    if (this.#file === undefined)
      throw new TypeError('the members of an archive are read before one is opened');
    return { ...this.#file.open(member, signal), size: member.size };
  }

  /** @throws IMAGE_SOURCE_CHANGED */
  verifyUnchanged(): void {
    const before = this.#facts;
    if (before === undefined || identityOf(this.#look()) !== identityOf(before))
      throw new PluginError('IMAGE_SOURCE_CHANGED', { path: this.path });
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }

  #look(): FileFacts {
    try {
      return imageFile(this.path, 'follow');
    } catch (error) {
      if (error instanceof PluginError) throw error;
      if (hasCode(error, 'EISDIR')) throw new PluginError('IMAGE_SOURCE_DIRECTORY', { path: this.path });
      if (hasCode(error, 'ENOENT', 'ENOTDIR'))
        throw new PluginError('IMAGE_SOURCE_MISSING', { path: this.path }, { cause: error });
      throw unreadable(this.path, reasonOf(error), error);
    }
  }
}
