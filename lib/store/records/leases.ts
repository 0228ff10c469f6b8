/**
 * Leases: what running creates are about to use. A lease is one file, made exclusively; names are added behind the
 * gate that a clean closes while it decides (invariant 2 of layout.ts), and looked for afterwards. What a lease
 * names is therefore either gone before its owner looks, or stays.
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
  /** Layer and stack keys. */
  readonly uses: readonly string[];
}

/** A lease of this process. Dispose of it when what it protects is recorded elsewhere, or given up. */
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
   * Adds what the create is about to look for. The old names stay readable throughout: lines are appended.
   * @throws STORE_BUSY when a clean that was stopped keeps the gate closed
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

  /** Milliseconds that it took so far to get in: making the lease, and waiting while a clean chooses. */
  get lockingMs(): number {
    return this.#lockingMs;
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

/** Who keeps a create waiting at the gate, and a clean. */
const DECIDING = 'a clean that is choosing layers';
const NAMING = 'a create that is naming its layers';

/**
 * Runs `decide` while no create can name anything: what no lease and no image names then is named by nobody until
 * somebody looks for it anew. Creates wait meanwhile, so it looks and renames, and leaves deleting for later.
 * @throws STORE_BUSY when a create that was stopped keeps the gate
 */
export function whileNobodyNames<T>(layout: Layout, decide: () => T): T {
  return throughGate(layout.leases, 'alone', NAMING, decide);
}

export interface FoundLease extends LeaseContent {
  readonly name: OwnerName;
  readonly alive: boolean;
  /** Why nobody can tell what it names: it may be anything, as long as its owner is alive. */
  readonly damage: string | undefined;
}

/** The lease of somebody alive that cannot be read: then any layer and any image may be what it names. */
export function unreadableLease(leases: readonly FoundLease[]): FoundLease | undefined {
  return leases.find(({ alive, damage }) => alive && damage !== undefined);
}

/** All leases, those of dead owners too. One that vanishes while it is read is no lease any more. */
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

/** A directory in its place says nothing, and belongs to nobody. One that cannot be read may say anything. */
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
