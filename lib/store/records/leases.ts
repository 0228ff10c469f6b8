/**
 * Leases: the layers that running creates will use. A lease is one file, made with O_EXCL. A create first appends
 * layer names, behind the gate that a clean closes while it chooses (invariant 2 of layout.ts), and looks for the
 * layers afterwards. So a layer that a lease names is either gone before the lease's owner looks, or it stays.
 */

import { isPluginError } from '../../base/errors/error.ts';
import { throughGate } from '../../sys/exclusive/gate.ts';
import { hasCode, SysError } from '../../sys/kernel/errno.ts';
import { close, openAt, unlinkAt, writeAll } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { listNames } from '../../sys/kernel/look.ts';
import { bytesOfText } from '../../sys/kernel/utf8.ts';
import { MAX_LEASE_BYTES } from '../layout/ceilings.ts';
import type { ImageId } from '../layout/image-id.ts';
import type { Layout } from '../layout/layout.ts';
import { newOwnerName, type OwnerName, ownerIsAlive, ownerNameOf } from '../layout/owner-name.ts';
import { readRecord } from '../layout/read-file.ts';
import { writeSmall } from '../layout/staging.ts';

interface LeaseContent {
  /** The image being made, or undefined for a pull. */
  readonly image: ImageId | undefined;
  /** Keys of layers and stacks. */
  readonly uses: readonly string[];
}

/** A lease of this process. Dispose of it when an image record names the layers, or when the create has failed. */
export class Lease implements Disposable {
  readonly name: OwnerName;
  readonly #path: string;
  readonly #image: ImageId | undefined;
  readonly #leases: string;
  readonly #uses = new Set<string>();
  #open = true;
  #lockingMs = 0;

  constructor(layout: Layout, image: ImageId | undefined, uses: Iterable<string>) {
    this.name = newOwnerName();
    this.#path = `${layout.leases}/${this.name}`;
    this.#image = image;
    this.#leases = layout.leases;
    const started = performance.now();
    this.#write();
    this.#lockingMs = performance.now() - started;
    try {
      this.add(uses);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Appends the keys that the create will look for next. The earlier keys stay readable during the write.
   * @throws STORE_BUSY when a stopped clean keeps the gate closed
   */
  add(uses: Iterable<string>): void {
    const fresh = [...uses].filter((use) => !this.#uses.has(use));
    if (fresh.length === 0) return;
    const started = performance.now();
    throughGate(this.#leases, 'shared', DECIDING, () => {
      this.#lockingMs += performance.now() - started;
      this.#append(fresh);
    });
    for (const use of fresh) this.#uses.add(use);
  }

  /** The keys that this lease names. */
  get uses(): readonly string[] {
    return [...this.#uses];
  }

  /** Milliseconds until now for making the lease and for waiting at the gate while a clean chooses. */
  get lockingMs(): number {
    return this.#lockingMs;
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    try {
      unlinkAt(AT_FDCWD, this.#path);
    } catch (error) {
      // The image or the layers are complete, so this is no failure. When this process ends, the file is a dead
      // owner's lease.
      if (!(error instanceof SysError)) throw error;
    }
  }

  #write(): void {
    try {
      writeSmall(this.#path, bytesOfText(`image ${this.#image ?? ''}\n`));
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

/** The sentence parts that name the other side when a process waits at the gate for too long. */
const DECIDING = 'a clean that is choosing layers';
const NAMING = 'a create that is naming its layers';

/**
 * Runs `decide` while the gate is closed, so that no create can add names to a lease. A layer that no lease and no
 * image record names now stays unnamed until `decide` returns. Creates wait meanwhile, so `decide` only reads and
 * renames; deletions come later.
 * @throws STORE_BUSY when a stopped create keeps the gate
 */
export function whileNobodyNames<T>(layout: Layout, decide: () => T): T {
  return throughGate(layout.leases, 'alone', NAMING, decide);
}

export interface FoundLease extends LeaseContent {
  readonly name: OwnerName;
  readonly alive: boolean;
  /** The reason why the lease cannot be read. While its owner lives, such a lease may name any layer. */
  readonly damage: string | undefined;
}

/** The first lease of a living owner that cannot be read: such a lease may name any layer and any image. */
export function unreadableLease(leases: readonly FoundLease[]): FoundLease | undefined {
  return leases.find(({ alive, damage }) => alive && damage !== undefined);
}

/** All leases, also those of dead owners. A lease that vanishes while it is read is left out. */
export function readLeases(layout: Layout): FoundLease[] {
  const found: FoundLease[] = [];
  for (const file of listNames(layout.leases)) {
    const name = ownerNameOf(file);
    if (name === undefined) continue;
    const read = readLease(`${layout.leases}/${file}`);
    if (read === undefined) continue;
    const [first = '', ...uses] = read.text.split('\n').filter((line) => line !== '');
    const image = first.startsWith('image ') && first.length > 6 ? (first.slice(6) as ImageId) : undefined;
    found.push({ name, image, uses, alive: ownerIsAlive(name), damage: read.damage });
  }
  return found;
}

/**
 * Reads one lease. A directory under its name is no lease: undefined. An unreadable lease may name anything:
 * `damage`.
 */
function readLease(path: string): { readonly text: string; readonly damage: string | undefined } | undefined {
  try {
    const text = readRecord(path, MAX_LEASE_BYTES);
    return text === undefined ? undefined : { text, damage: undefined };
  } catch (error) {
    if (!isPluginError(error, 'STORE_DAMAGED')) throw error;
    const isDirectory = hasCode(error.cause, 'EISDIR');
    return { text: '', damage: isDirectory ? undefined : error.subject.reason };
  }
}
