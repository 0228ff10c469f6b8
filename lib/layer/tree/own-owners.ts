/**
 * A tree that an ordinary user writes: everything belongs to that user, who may not give files away (chown(2)). The
 * losses are counted, so that the user can be told.
 */
import type { ByteName } from '../../base/bytes.ts';
import { S } from '../../sys/kernel/stat.ts';
import type { LayerEntry } from '../tar/entry.ts';
import type { LostOwners } from './types.ts';

interface Ids {
  readonly uid: number;
  readonly gid: number;
}

/** Different owners that are told by their ids: an image has some ten at most. */
const MAX_LOST_IDS = 64;
/** Without one of these bits, the owner of a directory cannot make, remove or find names in it. */
const OPEN_TO_OWNER = 0o700;

export class OwnOwners {
  readonly #ids = new Set<string>();
  readonly #closed = new Map<ByteName, number>();
  #entries = 0;
  #setIdBits = 0;
  capabilities = 0;

  /** Notes an entry that belongs to other ids in the image than to `owner`. */
  count(entry: Ids, owner: Ids): void {
    if (entry.uid === owner.uid && entry.gid === owner.gid) return;
    this.#entries += 1;
    if (this.#ids.size < MAX_LOST_IDS) this.#ids.add(`${entry.uid}:${entry.gid}`);
  }

  /**
   * The mode of a file. A set-id bit is dropped where the file belongs to other ids than in the image: the bit would let
   * every user of the machine act as the owner of the tree.
   */
  fileMode(entry: LayerEntry, owner: Ids): number {
    this.count(entry, owner);
    const foreignUid = entry.uid === owner.uid ? 0 : S.ISUID;
    const foreignGid = entry.gid === owner.gid ? 0 : S.ISGID;
    const lost = entry.mode & (foreignUid | foreignGid);
    if (lost !== 0) this.#setIdBits += 1;
    return entry.mode & ~lost;
  }

  /** The mode of a directory while names go into it. A mode that is closed to its owner is noted for the end. */
  directoryMode(path: ByteName, entry: LayerEntry, owner: Ids): number {
    this.count(entry, owner);
    if ((entry.mode & OPEN_TO_OWNER) === OPEN_TO_OWNER) this.#closed.delete(path);
    else this.#closed.set(path, entry.mode);
    return entry.mode | OPEN_TO_OWNER;
  }

  forgetDirectory(path: ByteName): void {
    this.#closed.delete(path);
  }

  closedDirs(): readonly (readonly [path: ByteName, mode: number])[] {
    return [...this.#closed];
  }

  lost(): LostOwners {
    const { capabilities } = this;
    return { entries: this.#entries, ids: [...this.#ids], setIdBits: this.#setIdBits, capabilities };
  }
}
