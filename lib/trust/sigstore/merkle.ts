import { createHash } from 'node:crypto';

/**
 * The root of a Merkle tree to which hashes lead from a leaf (RFC 9162, 2.1.3.2).
 * @returns undefined where the number of hashes does not fit the size of the tree
 */
export function inclusionRoot(
  leaf: Buffer,
  proof: { readonly index: bigint; readonly treeSize: bigint; readonly hashes: readonly Uint8Array[] },
): Buffer | undefined {
  if (proof.index >= proof.treeSize) return undefined;
  let node = proof.index;
  let last = proof.treeSize - 1n;
  let hash = leaf;
  for (const sibling of proof.hashes) {
    if (last === 0n) return undefined;
    if (node % 2n === 1n || node === last) {
      hash = inner(sibling, hash);
      while (node % 2n === 0n && node !== 0n) {
        node /= 2n;
        last /= 2n;
      }
    } else {
      hash = inner(hash, sibling);
    }
    node /= 2n;
    last /= 2n;
  }
  return last === 0n ? hash : undefined;
}

function inner(left: Uint8Array, right: Uint8Array): Buffer {
  return createHash('sha256').update(Uint8Array.of(1)).update(left).update(right).digest();
}
