import type { Digest } from '../base/digest.ts';
import { digestOf, parseDigest } from '../base/digest.ts';
import { isPluginError, PluginError } from '../base/errors/error.ts';
import type { Grade } from '../base/grade.ts';
import { MAX_MANIFEST_BYTES } from '../base/limits.ts';
import { Failure } from '../http/failure.ts';
import type { Answer } from '../http/transport.ts';
import { MANIFEST_ACCEPT } from '../oci/media-types.ts';
import { isSignedSchema1 } from '../oci/signed-schema1.ts';
import type { BlobDescriptor } from './blobs/blob-request.ts';
import type { Ask, Endpoint } from './endpoint.ts';
import type { Endpoints } from './endpoints.ts';
import type { RegistryPolicy } from './policy/policy.ts';
import type { Proofs } from './proofs.ts';
import { readWhole } from './read-whole.ts';

/** The bytes of a document and their grade. */
export interface FoundBlob {
  readonly bytes: Uint8Array;
  readonly grade: Grade;
}

/**
 * A cache of manifests and configurations by digest, with which a digest-pinned image needs no request. Its content came
 * from the repository that the image names, or for an anonymous caller.
 */
export interface ManifestCache {
  /** The bytes, or undefined. The caller checks the bytes. */
  get(digest: Digest): FoundBlob | undefined;
  /** The bytes have been verified. */
  put(digest: Digest, blob: FoundBlob): void;
}

/** A document from the cache or from a registry. */
export interface ReadBlob extends FoundBlob {
  /** True when the cache does not have the document with this grade. */
  readonly fresh: boolean;
}

export interface FoundManifest extends ReadBlob {
  readonly digest: Digest;
  /** The registry's Content-Type; undefined from the cache. */
  readonly contentType: string | undefined;
}

export interface ManifestsParts {
  readonly endpoints: Endpoints;
  readonly policy: RegistryPolicy;
  readonly cache: ManifestCache;
  readonly proofs: Proofs;
}

const ACCEPT = { accept: MANIFEST_ACCEPT.join(', ') };

/** Reads small content: manifests by tag and digest, configurations by digest. */
export class Manifests {
  readonly #parts: ManifestsParts;
  /** The grade with which the repository has given a manifest to this caller, who so has access to earlier ones too. */
  #proven: Grade | undefined;

  constructor(parts: ManifestsParts) {
    this.#parts = parts;
  }

  /**
   * Resolves a tag by a GET. Where its manifest may be in the cache, or a mirror is asked for content first, a HEAD comes
   * before, which Docker Hub does not count against its limits. The HEAD is sent once and its failure is no error: proxies
   * cut it, answer it with 5xx or with an old digest, while the GET is right.
   * @param seen the tag was resolved before, so that its manifest may be in the cache
   * @throws Failure
   */
  byTag(tag: string, seen: boolean, signal: AbortSignal): Promise<FoundManifest> {
    return this.#parts.endpoints.first('tag', async (endpoint, last) => {
      const elsewhere = this.#parts.endpoints.candidates('content')[0] !== endpoint;
      const found = seen || elsewhere ? await this.#byHead(endpoint, tag, last, signal) : undefined;
      return found ?? this.#get(endpoint, tag, last, signal);
    });
  }

  async #byHead(
    endpoint: Endpoint,
    tag: string,
    last: boolean,
    signal: AbortSignal,
  ): Promise<FoundManifest | undefined> {
    try {
      const digest = await this.#head(endpoint, tag, signal);
      if (digest === undefined) return undefined;
      this.#proven = endpoint.grade;
      return await this.byDigest(digest, signal);
    } catch (error) {
      signal.throwIfAborted();
      // The server is silent, and a GET would take as long again.
      if (!(error instanceof Failure) || (!last && error.error.code === 'REGISTRY_DEADLINE')) throw error;
      return undefined;
    }
  }

  /** The manifest with a digest. @throws Failure */
  async byDigest(digest: Digest, signal: AbortSignal): Promise<FoundManifest> {
    const cached = this.#cached(digest);
    if (cached !== undefined) {
      if (this.#mustAsk(cached)) await this.requireAccess(digest, signal);
      return { digest, ...this.#givenNow(cached), contentType: undefined };
    }
    return this.#parts.endpoints.first('content', async (endpoint, last) => {
      const found = await this.#get(endpoint, digest, last, signal);
      if (found.digest === digest) return found;
      if (isSignedSchema1(found.bytes, digest)) throw schema1(endpoint);
      throw mismatch(digest, found.digest);
    });
  }

  /**
   * Asks the repository whether the caller has access to a manifest. Content in the store, or from a mirror that gives it
   * to every caller, does not prove that. @throws Failure
   */
  async requireAccess(digest: Digest, signal: AbortSignal): Promise<void> {
    const ask: Ask = { method: 'HEAD', kind: 'manifests', reference: digest, headers: ACCEPT, accepts: [] };
    await this.#parts.endpoints.first('tag', async (endpoint, last) => {
      try {
        await endpoint.once(ask, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof Failure)) throw error;
        await this.#get(endpoint, digest, last, signal);
      }
      this.#proven = endpoint.grade;
    });
  }

  /** A configuration, or another small blob. @throws Failure */
  async blob({ digest, size }: BlobDescriptor, what: string, signal: AbortSignal): Promise<ReadBlob> {
    const cached = this.#cached(digest);
    if (cached !== undefined && (await this.#mayHave(digest, cached, signal))) return this.#givenNow(cached);
    return this.#parts.endpoints.first('content', async (endpoint, last) => {
      const ask: Ask = { method: 'GET', kind: 'blobs', reference: digest, headers: {}, accepts: [] };
      const { bytes, grade } = await readWhole(
        endpoint,
        ask,
        { attempts: this.#attempts(last), limit: size, what },
        signal,
      );
      const actual = digestOf(bytes);
      if (actual !== digest) throw mismatch(digest, actual);
      return { bytes, grade, fresh: true };
    });
  }

  /** Asks by HEAD whether the registry or a mirror has a blob. A refusal counts as no. @throws Failure */
  async has(digest: Digest, signal: AbortSignal): Promise<boolean> {
    const ask: Ask = { method: 'HEAD', kind: 'blobs', reference: digest, headers: {}, accepts: [] };
    try {
      await this.#parts.endpoints.first('content', (endpoint, last) =>
        endpoint.request(ask, this.#attempts(last), signal),
      );
      return true;
    } catch (error) {
      if (error instanceof Failure && error.kind === 'final' && SAYS_MORE.has(error.error.code)) return false;
      throw error;
    }
  }

  #cached(digest: Digest): FoundBlob | undefined {
    const found = this.#parts.cache.get(digest);
    return found !== undefined && digestOf(found.bytes) === digest ? found : undefined;
  }

  #mustAsk({ grade }: FoundBlob): boolean {
    return grade === 'asked' && this.#proven === undefined && this.#parts.policy.authenticate !== 'never';
  }

  /** The content with the grade of the repository's last answer, which may be less strict than the stored one. */
  #givenNow({ bytes, grade }: FoundBlob): ReadBlob {
    const now = grade === 'asked' ? (this.#proven ?? grade) : grade;
    return { bytes, grade: now, fresh: now !== grade };
  }

  async #mayHave(digest: Digest, found: FoundBlob, signal: AbortSignal): Promise<boolean> {
    if (!this.#mustAsk(found)) return true;
    return (await this.#parts.proofs.mayRead({ digest, size: found.bytes.length }, signal)) !== undefined;
  }

  /** The digest that a HEAD gives; undefined where its answer has none. @throws Failure */
  async #head(endpoint: Endpoint, tag: string, signal: AbortSignal): Promise<Digest | undefined> {
    const ask: Ask = { method: 'HEAD', kind: 'manifests', reference: tag, headers: ACCEPT, accepts: [] };
    return digestIn(await endpoint.once(ask, signal));
  }

  async #get(
    endpoint: Endpoint,
    reference: string,
    last: boolean,
    signal: AbortSignal,
  ): Promise<FoundManifest> {
    const ask: Ask = { method: 'GET', kind: 'manifests', reference, headers: ACCEPT, accepts: [] };
    const bounds = { attempts: this.#attempts(last), limit: MAX_MANIFEST_BYTES, what: 'a manifest' };
    const found = await readWhole(endpoint, ask, bounds, signal);
    if (endpoint.source.pulls !== 'digest-only') this.#proven = endpoint.grade;
    const { bytes, grade, headers } = found;
    const contentType = headers.get('content-type') ?? undefined;
    return { digest: digestOf(bytes), fresh: true, bytes, grade, contentType };
  }

  /** A single attempt where another server is left, since the other server is quicker than a pause. */
  #attempts(last: boolean): number {
    return last ? this.#parts.policy.retry.attempts : 1;
  }
}

/** The codes with which a registry refuses a HEAD for a blob. */
const SAYS_MORE: ReadonlySet<string> = new Set([
  'REGISTRY_NOT_FOUND',
  'REGISTRY_DENIED',
  'REGISTRY_UNAUTHORIZED',
  'REGISTRY_ERROR',
]);

function digestIn(answer: Answer): Digest | undefined {
  const header = answer.headers.get('docker-content-digest');
  if (header === null) return undefined;
  try {
    return parseDigest(header);
  } catch (error) {
    // Another algorithm: graft computes the manifest's sha256 itself.
    if (isPluginError(error, 'BAD_DIGEST')) return undefined;
    throw error;
  }
}

function schema1({ source }: Endpoint): Failure {
  return new Failure(
    'final',
    new PluginError('IMAGE_SCHEMA1', { source: `${source.name}/${source.repository}` }),
  );
}

function mismatch(expected: Digest, actual: Digest): Failure {
  return new Failure('final', new PluginError('IMAGE_DIGEST_MISMATCH', { expected, actual }));
}
