import type { Digest } from '../../base/digest.ts';
import { type Grade, strictest } from '../../base/grade.ts';
import type { Logger } from '../../base/log.ts';
import { asPluginError, type Failure } from '../../http/failure.ts';
import type { RegistryPolicy } from '../policy/policy.ts';
import type { BlobDescriptor, BlobServer } from './blob-request.ts';
import { Download } from './download.ts';
import type { PartialBlob, PartialBlobs } from './partial.ts';
import type { Semaphore } from './semaphore.ts';

export interface BlobsParts {
  readonly policy: RegistryPolicy;
  readonly semaphore: Semaphore;
  readonly partials: PartialBlobs | undefined;
  readonly log: Logger;
}

/** The servers of a blob. `servers` is called late, when some servers may be known to be down. */
export interface BlobOrigin {
  servers(): readonly BlobServer[];
  onGivenUp(server: BlobServer, failure: Failure): void;
}

/** Layers as streams, at most as many at a time as the semaphore allows. */
export class Blobs {
  readonly #parts: BlobsParts;
  /** The sources of a blob's bytes other than the registry itself. */
  readonly #used = new Map<Digest, Set<BlobServer | 'partial'>>();
  /** The servers that gave a part of a blob at its last read. */
  readonly #gave = new Map<Digest, Set<BlobServer>>();
  /** Servers whose bytes for a blob turned out wrong. */
  readonly #rejected = new Map<Digest, Set<BlobServer | 'partial'>>();

  constructor(parts: BlobsParts) {
    this.#parts = parts;
  }

  /**
   * The bytes of a blob. The request is sent when the first chunk is read, so that streams that are opened together and
   * read one after the other occupy neither the semaphore nor a connection while they wait.
   */
  async *read(
    blob: BlobDescriptor,
    from: BlobOrigin,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { semaphore, partials, policy, log } = this.#parts;
    const leave = await semaphore.enter(signal);
    const partial = blob.size >= policy.resumeFromBytes ? partials?.begin(blob.digest, blob.size) : undefined;
    let end: 'complete' | 'failed' | 'left' = 'left';
    const started = performance.now();
    try {
      const servers = this.#candidates(blob.digest, from.servers());
      const gave = new Set<BlobServer>();
      this.#gave.set(blob.digest, gave);
      yield* new Download(blob, {
        servers,
        onGivenUp: from.onGivenUp,
        onUsed: (used) => {
          if (used !== 'partial') gave.add(used);
          if (used !== servers.at(-1)) noteIn(this.#used, blob.digest, used);
        },
        policy,
        log,
        partial,
        signal,
      }).chunks();
      end = 'complete';
      const milliseconds = Math.round(performance.now() - started);
      log.info('blob-read', { digest: blob.digest, bytes: blob.size, milliseconds });
    } catch (error) {
      end = 'failed';
      throw asPluginError(error);
    } finally {
      if (partial !== undefined) settle(partial, end, signal);
      leave();
    }
  }

  /** The grade of a blob that was read: the strictest of the servers that gave a part of it. */
  grade(digest: Digest): Grade {
    const gave = this.#gave.get(digest);
    return gave === undefined || gave.size === 0 ? 'asked' : strictest([...gave].map(({ grade }) => grade));
  }

  /** The hosts that gave the bytes of the last read; `` for bytes that an earlier process kept. */
  hosts(digest: Digest): readonly string[] {
    const kept = this.#used.get(digest)?.has('partial') === true ? [''] : [];
    return [...new Set([...kept, ...[...(this.#gave.get(digest) ?? [])].map(({ host }) => host)])];
  }

  /**
   * Records that the bytes of a blob were wrong. The next read skips the mirrors and the partial file that gave them, but
   * never the registry itself. @returns true when the next read may give other bytes
   */
  reject(digest: Digest): boolean {
    const before = this.#rejected.get(digest)?.size ?? 0;
    for (const used of this.#used.get(digest) ?? []) noteIn(this.#rejected, digest, used);
    this.#used.delete(digest);
    return (this.#rejected.get(digest)?.size ?? 0) > before;
  }

  #candidates(digest: Digest, all: readonly BlobServer[]): readonly BlobServer[] {
    const rejected = this.#rejected.get(digest);
    return all.filter((server, at) => at === all.length - 1 || !rejected?.has(server));
  }
}

function noteIn(
  notes: Map<Digest, Set<BlobServer | 'partial'>>,
  digest: Digest,
  used: BlobServer | 'partial',
): void {
  notes.set(digest, (notes.get(digest) ?? new Set()).add(used));
}

/**
 * Keeps or drops the partial file. A reader that leaves early, without an abort, has found wrong bytes, and they may come
 * from the file. After a failure of the network or an abort the bytes are as good as before.
 */
function settle(partial: PartialBlob, end: 'complete' | 'failed' | 'left', signal: AbortSignal): void {
  if (end === 'complete' || (end === 'left' && !signal.aborted)) partial.drop();
  else partial.keep();
}
