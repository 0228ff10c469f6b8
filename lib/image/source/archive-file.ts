/** An archive of images as a file: looked at once, read by its members, and held against that look at the end. */
import { PluginError } from '../../base/errors/error.ts';
import { type FileFacts, reasonOf } from '../../sys/files/regular-file.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { type ArchiveMembers, type Member, readMembers } from './archive-members.ts';
import { identityOf, imageFile, unreadable } from './local-file.ts';
import { PackedFile } from './packed-file.ts';
import type { LayerBytes } from './source.ts';

export class ArchiveFile {
  readonly path: string;
  readonly #programs: string;
  #facts: FileFacts | undefined;
  #file: PackedFile | undefined;

  /** @param programs where xz and bzip2 are looked for, as in PATH */
  constructor(path: string, programs: string) {
    this.path = path;
    this.#programs = programs;
  }

  /** @throws IMAGE_SOURCE_MISSING, IMAGE_SOURCE_UNREADABLE, and as `readMembers` */
  async members(signal: AbortSignal): Promise<ArchiveMembers> {
    this.#facts = this.#look();
    this.#file = new PackedFile(this.path, this.#programs);
    return readMembers(this.#file, signal);
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
