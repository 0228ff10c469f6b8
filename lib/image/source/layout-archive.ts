import { PluginError } from '../../base/errors/error.ts';
import { printable } from '../../base/text.ts';
import type { ArchiveFile } from './archive-file.ts';
import type { ArchiveMembers } from './archive-members.ts';
import type { LayoutFiles } from './layout-files.ts';
import type { LayerBytes } from './source.ts';

/** An OCI layout in a tar (`oci-archive:` of containers-transports(5)). */
export class LayoutArchive implements LayoutFiles {
  readonly #file: ArchiveFile;
  #members: ArchiveMembers | undefined;

  constructor(file: ArchiveFile) {
    this.#file = file;
  }

  async prepare(signal: AbortSignal): Promise<void> {
    this.#members = await this.#file.members(signal);
  }

  read(name: string, maxBytes: number): Uint8Array {
    const member = this.#find(name);
    if (member.size > maxBytes)
      throw this.#bad(`its ${printable(name)} has ${member.size} bytes, more than the ${maxBytes} allowed`);
    if (member.document === undefined) throw this.#bad(`its ${printable(name)} is no JSON document`);
    return member.document;
  }

  open(name: string, signal: AbortSignal): LayerBytes & { readonly size: number } {
    return this.#file.open(this.#find(name), signal);
  }

  verifyUnchanged(): void {
    this.#file.verifyUnchanged();
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  #find(name: string) {
    const member = this.#members?.find(name);
    if (member === undefined) throw this.#bad(`it lacks ${printable(name)}`);
    return member;
  }

  #bad(reason: string): PluginError {
    return new PluginError('IMAGE_BAD_ARCHIVE', { path: this.#file.path, reason });
  }
}
