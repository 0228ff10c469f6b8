/**
 * Leases: what running creates are about to use. The order of steps that makes `clean` safe is invariant 2
 * of layout.ts. A lease is one file made exclusively and written in one go before its owner looks at a layer;
 * one that is still empty therefore names nothing that its owner relies on yet.
 */

import { hasCode, SysError } from '../sys/errno.ts';
import { close, openAt, unlinkAt, writeAll } from '../sys/files.ts';
import { AT_FDCWD, O } from '../sys/libc.ts';
import { listNames, readTextIfThere } from '../sys/look.ts';
import { bytesOfText } from '../sys/utf8.ts';
import { MAX_LEASE_BYTES } from './ceilings.ts';
import type { ImageId } from './image-id.ts';
import type { Layout } from './layout.ts';
import { newOwnerName, type OwnerName, ownerIsAlive, ownerNameOf } from './owner-name.ts';
import { writeSmall } from './staging.ts';

export interface LeaseContent {
  /** The image being made, or undefined for a pull. */
  readonly image: ImageId | undefined;
  /** Layer and stack keys. */
  readonly uses: readonly string[];
}

/** A lease of this process. Dispose of it when what it protects is recorded elsewhere, or given up. */
export class Lease implements Disposable {
  readonly name: OwnerName;
  readonly #path: string;
  readonly #image: ImageId | undefined;
  readonly #uses = new Set<string>();
  #open = true;

  constructor(layout: Layout, image: ImageId | undefined, uses: Iterable<string>) {
    this.name = newOwnerName();
    this.#path = `${layout.leases}/${this.name}`;
    this.#image = image;
    for (const use of uses) this.#uses.add(use);
    this.#write();
  }

  /** Adds what the create learned on the way. The old names stay readable throughout: lines are appended. */
  add(uses: Iterable<string>): void {
    const fresh = [...uses].filter((use) => !this.#uses.has(use));
    if (fresh.length === 0) return;
    for (const use of fresh) this.#uses.add(use);
    this.#append(fresh);
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    try {
      unlinkAt(AT_FDCWD, this.#path);
    } catch (error) {
      // What was made is made. A lease that stays is a dead owner's as soon as this process ends.
      if (!(error instanceof SysError)) throw error;
    }
  }

  #write(): void {
    try {
      writeSmall(this.#path, bytesOfText(lines(this.#image, this.#uses)));
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  #append(uses: readonly string[]): void {
    const fd = openAt(AT_FDCWD, this.#path, O.WRONLY | O.APPEND);
    try {
      writeAll(fd, bytesOfText(`${uses.join('\n')}\n`), this.#path);
    } finally {
      close(fd);
    }
  }
}

function lines(image: ImageId | undefined, uses: Iterable<string>): string {
  return `image ${image ?? ''}\n${[...uses].map((use) => `${use}\n`).join('')}`;
}

export interface FoundLease extends LeaseContent {
  readonly name: OwnerName;
  readonly alive: boolean;
}

/** All leases, those of dead owners too. One that vanishes while it is read is no lease any more. */
export function readLeases(layout: Layout): FoundLease[] {
  const found: FoundLease[] = [];
  for (const file of listNames(layout.leases)) {
    const name = ownerNameOf(file);
    if (name === undefined) continue;
    const text = readLease(`${layout.leases}/${file}`);
    if (text === undefined) continue;
    const [first = '', ...uses] = text.split('\n').filter((line) => line !== '');
    const image = first.startsWith('image ') && first.length > 6 ? (first.slice(6) as ImageId) : undefined;
    found.push({ name, image, uses, alive: ownerIsAlive(name) });
  }
  return found;
}

/** A directory in its place says nothing, and belongs to nobody. One that cannot be read may say anything. */
function readLease(path: string): string | undefined {
  try {
    return readTextIfThere(path, MAX_LEASE_BYTES);
  } catch (error) {
    if (hasCode(error, 'EISDIR')) return '';
    throw error;
  }
}
