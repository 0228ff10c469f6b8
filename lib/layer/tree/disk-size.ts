/** The disk use of a layer's tree, computed while the tree is written: looking at every name again costs 5 % more. */
import { bytesOnDisk, inBlocks } from '../../base/disk-blocks.ts';
import { RootedTree } from '../../sys/files/rooted.ts';
import { type Stat, statIfThere } from '../../sys/kernel/stat.ts';
import { readTreeManifest } from '../manifest/reader.ts';
import type { Xattr } from '../tar/entry.ts';
import { splitName } from '../tar/entry-name.ts';

/** While a file above this size grows, XFS allocates more than was written, until the file is closed. */
const PREALLOCATED_FROM = 64 * 1024;
/** The longest link target that ext4 keeps in the inode; XFS keeps longer ones there too. */
const INLINE_TARGET = 59;

/** The sum for a tree from which nothing is removed again. Directories report their own part when they are closed. */
export class DiskSize {
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Adds a file.
   * @param written bytes of content that arrived; fewer than `size` where the file has holes
   * @param look returns the file's stat(2)
   */
  file(size: number, written: number, xattrs: readonly Xattr[], look: () => Stat): void {
    const whole = inBlocks(size);
    if (written < size) this.#bytes += Math.min(whole, bytesOnDisk(look()));
    else if (xattrs.length === 0) this.#bytes += whole;
    else if (size < PREALLOCATED_FROM) this.#bytes += bytesOnDisk(look());
    else this.#bytes += xattrs.reduce((sum, { value }) => sum + inBlocks(value.length), whole);
  }

  /** Adds a symbolic link or a FIFO. */
  node(target: string, xattrs: readonly Xattr[], look: () => Stat): void {
    if (target.length > INLINE_TARGET || xattrs.length > 0) this.#bytes += bytesOnDisk(look());
  }
}

/**
 * The disk use by a look at each name of the manifest, counting each inode once: for trees from which something was
 * removed.
 * @param checkpoint called for each line; throws to stop
 */
export function measureTree(tree: string, manifestPath: string, checkpoint: () => void): number {
  const never = (): undefined => undefined;
  const rooted = new RootedTree(tree, { linkBelow: never, implied: never, removed: never });
  let bytes = 0;
  try {
    for (const [type, path] of readTreeManifest(manifestPath)) {
      checkpoint();
      if (type !== 'd' && type !== 'f' && type !== 'l' && type !== 'p') continue;
      const [parent, name] = splitName(path);
      const directory = rooted.find(parent);
      const stat = directory && statIfThere(directory.fd, Buffer.from(path === '' ? '.' : name, 'latin1'));
      if (stat !== undefined) bytes += bytesOnDisk(stat);
    }
    return bytes;
  } finally {
    rooted.abandon();
  }
}
