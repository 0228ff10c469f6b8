import type { Digest } from '../../base/digest.ts';
import { type Grade, strictest } from '../../base/grade.ts';
import type { Logger } from '../../base/log.ts';
import { asPluginError, type Failure } from '../../http/failure.ts';
import type { RegistryPolicy } from '../policy/policy.ts';
import type { BlobServer, WantedBlob } from './blob-request.ts';
import { Download } from './download.ts';
import type { Gate } from './gate.ts';
import type { PartialBlob, PartialBlobs } from './partial.ts';

export interface BlobsParts {
  readonly policy: RegistryPolicy;
  readonly gate: Gate;
  readonly partials: PartialBlobs | undefined;
  readonly log: Logger;
}

/** Where a blob may come from. Asked late: by then some servers may be known to be down. */
export interface BlobOrigin {
  servers(): readonly BlobServer[];
  onGivenUp(server: BlobServer, failure: Failure): void;
}

/** Layers as streams, at most as many at a time as the gate has places. */
export class Blobs {
  readonly #parts: BlobsParts;
  /** Whose bytes were handed out for a blob, other than those of the registry itself. */
  readonly #used = new Map<Digest, Set<BlobServer | 'partial'>>();
  /** Who gave a blob the last time, each of them a part of it. */
  readonly #gave = new Map<Digest, Set<BlobServer>>();
  /** Servers whose bytes for a blob turned out wrong. */
  readonly #rejected = new Map<Digest, Set<BlobServer | 'partial'>>();

  constructor(parts: BlobsParts) {
    this.#parts = parts;
  }

  /**
   * The bytes of a blob. Nothing happens before the first is asked for: streams that are opened together and
   * read one after the other hold neither places nor connections while they wait.
   */
  async *read(
    blob: WantedBlob,
    from: BlobOrigin,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { gate, partials, policy, log } = this.#parts;
    const leave = await gate.enter(signal);
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

  /** Who may have a blob that was read: the strictest of those who gave a part of it. */
  grade(digest: Digest): Grade {
    const gave = this.#gave.get(digest);
    return gave === undefined || gave.size === 0 ? 'asked' : strictest([...gave].map(({ grade }) => grade));
  }

  /**
   * The reader found the bytes wrong. True when reading again gives others: without the mirrors and the kept bytes
   * that these came from. The registry itself has the last word, so it is never left out.
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
 * A reader that goes away without having been stopped found the bytes wrong, and they may be the kept ones. After
 * a failure of the network, or a stop, they are as good as ever.
 */
function settle(partial: PartialBlob, end: 'complete' | 'failed' | 'left', signal: AbortSignal): void {
  if (end === 'complete' || (end === 'left' && !signal.aborted)) partial.drop();
  else partial.keep();
}
