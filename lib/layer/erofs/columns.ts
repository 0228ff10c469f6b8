/**
 * Columns of numbers that grow without being copied. An image of a million files would take a gigabyte as objects in
 * memory: a column takes the bytes of its numbers, and a growing array of numbers would for a moment take them twice.
 */

/** Numbers in each part of a column. */
const PART = 16 * 1024;

type Numbers = Uint8Array | Uint16Array | Uint32Array | Float64Array;

export class Column<T extends Numbers> {
  readonly #make: new (
    length: number,
  ) => T;
  readonly #parts: T[] = [];
  #length = 0;

  constructor(make: new (length: number) => T) {
    this.#make = make;
  }

  get length(): number {
    return this.#length;
  }

  /** The new number's index is the length before. */
  push(value: number): void {
    if (this.#length === this.#parts.length * PART) this.#parts.push(new this.#make(PART));
    this.#length += 1;
    this.set(this.#length - 1, value);
  }

  set(index: number, value: number): void {
    const part = this.#parts[Math.floor(index / PART)];
    if (part === undefined) throw new RangeError(`a column of ${this.#length} has no number ${index}`);
    part[index % PART] = value;
  }

  get(index: number): number {
    const value = this.#parts[Math.floor(index / PART)]?.[index % PART];
    if (value === undefined) throw new RangeError(`a column of ${this.#length} has no number ${index}`);
    return value;
  }
}

/** Bytes of names in each part; no name lies in two. */
const NAMES_PART = 1024 * 1024;

/** Names of up to 255 bytes, one behind the other. */
export class Names {
  readonly #parts: Uint8Array[] = [];
  #used = NAMES_PART;

  /** @param name one character a byte. @returns the address of the name; its length is the caller's to keep */
  add(name: string): number {
    if (this.#used + name.length > NAMES_PART) {
      this.#parts.push(new Uint8Array(NAMES_PART));
      this.#used = 0;
    }
    const at = (this.#parts.length - 1) * NAMES_PART + this.#used;
    const part = this.#part(at);
    for (let i = 0; i < name.length; i += 1) part[this.#used + i] = name.charCodeAt(i);
    this.#used += name.length;
    return at;
  }

  bytes(at: number, length: number): Uint8Array {
    const from = at % NAMES_PART;
    return this.#part(at).subarray(from, from + length);
  }

  /** Without a view of the name, of which a million would be garbage. */
  copy(at: number, length: number, to: Uint8Array, toAt: number): void {
    const [part, from] = [this.#part(at), at % NAMES_PART];
    for (let i = 0; i < length; i += 1) to[toAt + i] = part[from + i] ?? 0;
  }

  equal(at: number, length: number, name: string): boolean {
    if (length !== name.length) return false;
    const [part, from] = [this.#part(at), at % NAMES_PART];
    for (let i = 0; i < length; i += 1) if (part[from + i] !== name.charCodeAt(i)) return false;
    return true;
  }

  /** The order of two names by their bytes; a name comes before its continuations. */
  compare(a: number, aLength: number, b: number, bLength: number): number {
    const [one, other] = [this.#part(a), this.#part(b)];
    const [from, otherFrom] = [a % NAMES_PART, b % NAMES_PART];
    const shared = Math.min(aLength, bLength);
    for (let i = 0; i < shared; i += 1) {
      const difference = (one[from + i] ?? 0) - (other[otherFrom + i] ?? 0);
      if (difference !== 0) return difference;
    }
    return aLength - bLength;
  }

  #part(at: number): Uint8Array {
    const part = this.#parts[Math.floor(at / NAMES_PART)];
    if (part === undefined) throw new RangeError(`no name is at ${at}`);
    return part;
  }
}
