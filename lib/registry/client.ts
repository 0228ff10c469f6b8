import type { Digest } from '../base/digest.ts';
import { PluginError } from '../base/errors/error.ts';
import type { Grade } from '../base/grade.ts';
import type { Logger } from '../base/log.ts';
import { Redirects } from '../http/redirects.ts';
import { type Lookup, Routes, systemLookup } from '../http/route.ts';
import { Transport } from '../http/transport.ts';
import type { RegistryReference } from '../oci/reference.ts';
import { type AttachedDocument, Attachments } from './attachments.ts';
import { Credentials, type GivenCredentials } from './auth/credentials.ts';
import type { BlobDescriptor, BlobServer } from './blobs/blob-request.ts';
import { type BlobOrigin, Blobs } from './blobs/blobs.ts';
import { allowedUrls, ForeignServer } from './blobs/foreign.ts';
import type { PartialBlobs } from './blobs/partial.ts';
import { Semaphore } from './blobs/semaphore.ts';
import { Endpoint } from './endpoint.ts';
import { Endpoints } from './endpoints.ts';
import { type FoundManifest, type ManifestCache, Manifests, type ReadBlob } from './manifests.ts';
import { pullSourcesOf } from './policy/mirrors.ts';
import type { RegistryPolicy } from './policy/policy.ts';
import { Proofs } from './proofs.ts';
import { listTags } from './tags.ts';

export interface RegistryClientOptions {
  readonly reference: RegistryReference;
  readonly credentials: GivenCredentials | undefined;
  readonly policy: RegistryPolicy;
  readonly cache: ManifestCache;
  readonly partials: PartialBlobs | undefined;
  readonly log: Logger;
  /** The name service; a test plays a hostile one. */
  readonly lookup?: Lookup;
}

interface Parts {
  readonly manifests: Manifests;
  readonly attachments: Attachments;
  readonly proofs: Proofs;
  readonly endpoints: Endpoints;
  readonly blobs: Blobs;
  readonly redirects: Redirects;
  readonly routes: Routes;
}

/** The registry and the mirrors of an image. Files are read and connections opened only when they are needed. */
export class RegistryClient {
  readonly #options: RegistryClientOptions;
  readonly #closing = new AbortController();
  #parts: Parts | undefined;
  #deadline: ReturnType<typeof setTimeout> | undefined;

  constructor(options: RegistryClientOptions) {
    this.#options = options;
  }

  /**
   * The manifest that a tag names now. @param seen the tag was resolved before, so that its manifest may be in the cache
   * @throws Failure, REGISTRY_BLOCKED, CONFIG_INVALID
   */
  byTag(tag: string, seen: boolean, signal: AbortSignal): Promise<FoundManifest> {
    return this.#open().manifests.byTag(tag, seen, this.#until(signal));
  }

  /** The tags of the repository, in the registry's order. @throws Failure */
  tags(signal: AbortSignal): Promise<string[]> {
    const { attempts } = this.#options.policy.retry;
    return this.#open().endpoints.first('tag', (endpoint, last) =>
      listTags(endpoint, last ? attempts : 1, this.#until(signal)),
    );
  }

  byDigest(digest: Digest, signal: AbortSignal): Promise<FoundManifest> {
    return this.#open().manifests.byDigest(digest, this.#until(signal));
  }

  /** Asks whether the caller has access to a manifest. @throws Failure if not */
  requireAccess(digest: Digest, signal: AbortSignal): Promise<void> {
    return this.#open().manifests.requireAccess(digest, this.#until(signal));
  }

  /** The bytes of a small blob. */
  smallBlob(blob: BlobDescriptor, what: string, signal: AbortSignal): Promise<ReadBlob> {
    return this.#open().manifests.blob(blob, what, this.#until(signal));
  }

  /**
   * Asks whether the caller has access to a blob that is already in the store. @returns the grade of the answer; undefined
   * when the repository does not have the blob. @throws Failure, for 401 and 403 too
   */
  mayRead(blob: BlobDescriptor, signal: AbortSignal): Promise<Grade | undefined> {
    return this.#open().proofs.mayRead(blob, this.#until(signal));
  }

  /** The manifest of a signature, by tag or digest; undefined when the repository does not have it. @throws Failure */
  attachedManifest(reference: string, signal: AbortSignal): Promise<AttachedDocument | undefined> {
    return this.#open().attachments.manifest(reference, this.#until(signal));
  }

  /** The pages of the list of an image's referrers; undefined where the registry has no such lists. @throws Failure */
  referrers(digest: Digest, signal: AbortSignal): Promise<readonly AttachedDocument[] | undefined> {
    return this.#open().attachments.referrers(digest, this.#until(signal));
  }

  /** The bytes of a signature. @param what names it in errors. @throws Failure */
  attachedBlob(blob: BlobDescriptor, what: string, signal: AbortSignal): Promise<Uint8Array> {
    return this.#open().attachments.blob(blob, what, this.#until(signal));
  }

  /** The grade of a layer that was read to its end. */
  grade(digest: Digest): Grade {
    return this.#open().blobs.grade(digest);
  }

  /** The hosts that gave a layer's bytes: a registry, its mirrors, hosts of foreign layers. `` for a partial file. */
  hosts(digest: Digest): readonly string[] {
    return this.#open().blobs.hosts(digest);
  }

  /** Whether the registry or a mirror has a blob. @throws Failure */
  has(digest: Digest, signal: AbortSignal): Promise<boolean> {
    return this.#open().manifests.has(digest, this.#until(signal));
  }

  /** A layer's bytes. The reader verifies their digest. */
  blob(blob: BlobDescriptor, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const { endpoints, blobs } = this.#open();
    const origin: BlobOrigin = {
      servers: () => endpoints.candidates('content'),
      onGivenUp: (server, failure) => endpoints.passOver(server, failure),
    };
    return blobs.read(blob, origin, this.#until(signal));
  }

  /** A foreign layer's bytes, from those of its URLs that are allowed. */
  foreign(blob: BlobDescriptor, urls: readonly string[], signal: AbortSignal): AsyncIterable<Uint8Array> {
    const { redirects, routes, blobs } = this.#open();
    const { log, policy } = this.#options;
    const servers = allowedUrls(urls, policy.foreignHosts).map(
      (url): BlobServer => new ForeignServer(url, policy.foreignHosts, redirects, routes),
    );
    const origin: BlobOrigin = {
      servers: () => servers,
      onGivenUp: (server, { error }) =>
        log.info('foreign-url-failed', { host: server.host, code: error.code }),
    };
    return blobs.read(blob, origin, this.#until(signal));
  }

  /** Records that the bytes of `blob` were wrong. True when another read may give other bytes. */
  reject(digest: Digest): boolean {
    return this.#open().blobs.reject(digest);
  }

  /** Ends all requests. */
  close(): void {
    clearTimeout(this.#deadline);
    this.#closing.abort(new Error('the image source is closed'));
  }

  #until(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, this.#closing.signal]);
  }

  #open(): Parts {
    this.#parts ??= this.#build();
    return this.#parts;
  }

  #build(): Parts {
    const { reference, policy, log, cache, partials, lookup } = this.#options;
    const lifetime = this.#closing.signal;
    const sources = pullSourcesOf(reference, policy);
    const transport = new Transport(policy, log);
    const routes = new Routes(transport.proxies, lookup ?? systemLookup, log);
    const redirects = new Redirects(transport, routes);
    const credentials = this.#credentials();
    const parts = { policy, transport, credentials, redirects, routes, log, lifetime };
    const endpoints = new Endpoints(
      sources.map((source) => new Endpoint(source, parts)),
      log,
    );
    const proofs = new Proofs(endpoints, policy);
    const manifests = new Manifests({ endpoints, policy, cache, proofs });
    const attachments = new Attachments(endpoints, policy);
    const blobs = new Blobs({ policy, semaphore: new Semaphore(policy.parallel), partials, log });
    this.#startDeadline();
    return { manifests, attachments, proofs, endpoints, blobs, redirects, routes };
  }

  #credentials(): Credentials {
    const { reference, credentials: flags, policy, log } = this.#options;
    const { registry, userinfo } = reference;
    const { credentials, hosts } = policy;
    return new Credentials({ registry, flags, userinfo, policy: credentials, hosts }, log);
  }

  #startDeadline(): void {
    const { totalMs } = this.#options.policy.deadlines;
    if (totalMs === undefined) return;
    const { registry } = this.#options.reference;
    const error = new PluginError('REGISTRY_DEADLINE', {
      registry,
      step: 'the whole image',
      seconds: totalMs / 1000,
    });
    this.#deadline = setTimeout(() => this.#closing.abort(error), totalMs);
    this.#deadline.unref();
  }
}
