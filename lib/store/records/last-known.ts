/**
 * The images that registries gave last, for creates while a registry cannot answer, and which credentials a repository
 * accepted. Both are facts in `meta/sources`, with the age and the total of all facts there.
 */
import { randomBytes, scryptSync, timingSafeEqual } from 'node:crypto';
import { hexOf, sha256Hex } from '../../base/digest.ts';
import type { Layout } from '../layout/layout.ts';
import { isCount, isRecord, isText } from '../layout/own-json.ts';
import { recall, remember } from './records.ts';
import { isKeptImage, type Resolved } from './sources.ts';

/** An image as a registry gave it, and when: milliseconds since 1970. */
export interface LastKnown<R extends Resolved = Resolved> {
  readonly at: number;
  readonly image: R;
}

/** How often the same fact is written again: its age is only compared with hours. */
const REFRESH_MS = 10 * 60 * 1000;
/** A user name with its password; neither has a NUL. */
const HASH_BYTES = 32;

export class LastKnownImages {
  readonly #layout: Layout;

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  /** @param name the reference and the platform */
  get(name: string): LastKnown | undefined {
    return recall(this.#path(`last ${name}`), isLastKnown)?.lastKnown;
  }

  put(name: string, lastKnown: LastKnown): void {
    const known = this.get(name);
    const isSame = known !== undefined && known.image.manifestDigest === lastKnown.image.manifestDigest;
    if (isSame && lastKnown.at - known.at < REFRESH_MS) return;
    remember(this.#layout, this.#path(`last ${name}`), { lastKnown });
  }

  /** True when the repository accepted these credentials after `since`, in milliseconds since 1970. */
  hasAccepted(repository: string, credentials: string, since: number): boolean {
    const found = recall(this.#path(`accepted ${repository}`), isAccepted)?.accepted;
    if (found === undefined || found.at < since) return false;
    return timingSafeEqual(hashOf(credentials, found.salt), Buffer.from(found.hash, 'hex'));
  }

  /** Keeps a salted hash that is slow to compute, so that the file does not give the password away. */
  rememberAccepted(repository: string, credentials: string, at: number): void {
    if (this.hasAccepted(repository, credentials, at - REFRESH_MS)) return;
    const salt = randomBytes(16).toString('hex');
    const hash = hashOf(credentials, salt).toString('hex');
    remember(this.#layout, this.#path(`accepted ${repository}`), { accepted: { at, salt, hash } });
  }

  #path(identity: string): string {
    return `${this.#layout.sources}/${sha256Hex(identity)}`;
  }
}

function hashOf(credentials: string, salt: string): Buffer {
  return scryptSync(credentials, Buffer.from(salt, 'hex'), HASH_BYTES);
}

function isLastKnown(value: unknown): value is { lastKnown: LastKnown } {
  const fact = isRecord(value) ? value['lastKnown'] : undefined;
  return isRecord(fact) && isCount(fact['at']) && isKeptImage(fact['image']);
}

function isAccepted(value: unknown): value is { accepted: { at: number; salt: string; hash: string } } {
  const fact = isRecord(value) ? value['accepted'] : undefined;
  return (
    isRecord(fact) &&
    isCount(fact['at']) &&
    [fact['salt'], fact['hash']].every((text) => isText(text) && /^[0-9a-f]+$/.test(text)) &&
    (fact['hash'] as string).length === 2 * HASH_BYTES
  );
}

/** The diffIDs, in hex, of the layers without which a fact of this kind is useless; undefined for any other fact. */
export function neededForLastKnown(fact: unknown): string[] | undefined {
  if (isLastKnown(fact)) return fact.lastKnown.image.layers.map(({ diffId }) => hexOf(diffId));
  return isAccepted(fact) ? [] : undefined;
}
