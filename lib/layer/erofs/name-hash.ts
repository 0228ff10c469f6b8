/**
 * Finds names by the directory that they are in: a hash table of entry numbers, with four bytes for each slot and for each
 * hash. The hash has a seed of this process, so that no layer can hold names that all meet in one slot.
 */
import { Column } from './columns.ts';

const FIRST_SLOTS = 1024;
const SEED = BigInt(Math.floor(Math.random() * 2 ** 52));
const FACTOR = Math.floor(Math.random() * 2 ** 31) * 2 + 1;
const STEP = Math.floor(Math.random() * 2 ** 31) * 2 + 1;
/** A longer name is hashed faster by the runtime's own code, which returns its result as an object. */
const SHORT = 32;
const LOW_32 = 0xffff_ffffn;

/** @param parent the number of a directory */
export function hashOf(parent: number, name: string): number {
  const own = name.length > SHORT ? Number(Bun.hash.wyhash(name, SEED) & LOW_32) : hashShort(name);
  return mixed(own ^ Math.imul(parent + 1, FACTOR));
}

function hashShort(name: string): number {
  let hash = FACTOR;
  for (let at = 0; at < name.length; at += 1) {
    hash = Math.imul(hash ^ name.charCodeAt(at), STEP);
    hash ^= hash >>> 15;
  }
  return hash;
}

/** Every bit of the argument changes half of the result's: slots are taken by the lowest ones (MurmurHash3, fmix32). */
function mixed(value: number): number {
  let hash = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

export class NameHash {
  /** Entry numbers plus 1; 0 is a free slot. */
  #slots = new Uint32Array(FIRST_SLOTS);
  /** The hash of each entry. */
  readonly #hashes = new Column(Uint32Array);

  /** Adds the next entry; entries are numbered from 0 on. */
  add(hash: number): void {
    this.#hashes.push(hash);
    // Three quarters full: searches stay short.
    if (this.#hashes.length * 4 > this.#slots.length * 3) this.#grow();
    this.#put(this.#hashes.length - 1, hash);
  }

  /** The first entry with this hash for which `isIt` holds. */
  find(hash: number, isIt: (entry: number) => boolean): number | undefined {
    const mask = this.#slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const entry = (this.#slots[slot] ?? 0) - 1;
      if (entry < 0) return undefined;
      if (this.#hashes.get(entry) === hash && isIt(entry)) return entry;
    }
  }

  #grow(): void {
    this.#slots = new Uint32Array(this.#slots.length * 2);
    for (let entry = 0; entry < this.#hashes.length - 1; entry += 1)
      this.#put(entry, this.#hashes.get(entry));
  }

  #put(entry: number, hash: number): void {
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = entry + 1;
  }
}
