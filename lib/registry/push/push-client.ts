import { PluginError } from '../../base/errors/error.ts';
import type { Logger } from '../../base/log.ts';
import { Redirects } from '../../http/redirects.ts';
import { type Lookup, Routes, systemLookup } from '../../http/route.ts';
import { Transport } from '../../http/transport.ts';
import type { RegistryReference } from '../../oci/reference.ts';
import { Credentials, type GivenCredentials } from '../auth/credentials.ts';
import { Semaphore } from '../blobs/semaphore.ts';
import { Endpoint } from '../endpoint.ts';
import { pullSourcesOf } from '../policy/mirrors.ts';
import type { RegistryPolicy } from '../policy/policy.ts';
import type { BlobToPush } from './blob-to-push.ts';
import { type ManifestToPush, pushManifest } from './push-manifest.ts';
import { type BlobOutcome, Upload } from './upload.ts';
import { pushError } from './upload-answers.ts';

export interface PushClientOptions {
  /** The repository. Its tag and digest do not matter here. */
  readonly reference: RegistryReference;
  readonly credentials: GivenCredentials | undefined;
  readonly policy: RegistryPolicy;
  /** Repositories of the same registry, without its host, that may have blobs of the image. */
  readonly mountFrom: readonly string[];
  readonly log: Logger;
  /** The name service; a test plays a hostile one. */
  readonly lookup?: Lookup;
}

/**
 * Sends blobs and manifests to a repository, with the settings, credentials and deadlines that reading from it has.
 * Mirrors get nothing. Connections are opened only when they are needed.
 */
export class PushClient {
  readonly #options: PushClientOptions;
  readonly #closing = new AbortController();
  readonly #semaphore: Semaphore;
  #endpoint: Endpoint | undefined;
  #deadline: ReturnType<typeof setTimeout> | undefined;

  constructor(options: PushClientOptions) {
    this.#options = options;
    this.#semaphore = new Semaphore(options.policy.parallel);
  }

  /**
   * Makes sure that the repository has a blob. As many are sent at a time as the settings allow.
   * @param onBytes is told the bytes that are sent for the first time
   * @throws PluginError: the codes of PUSH and of REGISTRY; the signal's reason when it aborts
   */
  async blob(blob: BlobToPush, onBytes: (bytes: number) => void, signal: AbortSignal): Promise<BlobOutcome> {
    const { policy, log, mountFrom } = this.#options;
    const until = this.#until(signal);
    const leave = await this.#semaphore.enter(until);
    try {
      return await new Upload(blob, { endpoint: this.#open(), policy, log, mountFrom, onBytes }).run(until);
    } catch (error) {
      throw pushError(error, { repository: this.#repository, what: `the blob ${blob.digest}` });
    } finally {
      leave();
    }
  }

  /**
   * Makes sure that the repository has a manifest under `name`, a tag or its digest. All that it names must be there.
   * @returns whether it was there before
   * @throws as `blob`
   */
  async manifest(manifest: ManifestToPush, name: string, signal: AbortSignal): Promise<'there' | 'pushed'> {
    try {
      const { retry } = this.#options.policy;
      return await pushManifest(this.#open(), manifest, name, retry.attempts, this.#until(signal));
    } catch (error) {
      const { mediaType } = manifest;
      throw pushError(error, { repository: this.#repository, what: `the manifest ${name}`, mediaType });
    }
  }

  /** Ends all requests. */
  close(): void {
    clearTimeout(this.#deadline);
    this.#closing.abort(new Error('the push is closed'));
  }

  get #repository(): string {
    return this.#options.reference.repository;
  }

  #until(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, this.#closing.signal]);
  }

  #open(): Endpoint {
    this.#endpoint ??= this.#build();
    return this.#endpoint;
  }

  #build(): Endpoint {
    const { reference, policy, log, lookup, credentials: flags, mountFrom } = this.#options;
    const source = pullSourcesOf(reference, policy).at(-1);
    if (source === undefined) throw new Error('should never happen: no registry to push to');
    const transport = new Transport(policy, log);
    const routes = new Routes(transport.proxies, lookup ?? systemLookup, log);
    const redirects = new Redirects(transport, routes);
    const { registry, userinfo } = reference;
    const { credentials: where, hosts } = policy;
    const credentials = new Credentials({ registry, flags, userinfo, policy: where, hosts }, log);
    const lifetime = this.#closing.signal;
    this.#startDeadline();
    return new Endpoint(source, {
      policy,
      transport,
      credentials,
      redirects,
      routes,
      log,
      lifetime,
      push: { mountFrom },
    });
  }

  #startDeadline(): void {
    const { totalMs } = this.#options.policy.deadlines;
    if (totalMs === undefined) return;
    const subject = {
      registry: this.#options.reference.registry,
      step: 'the whole image',
      seconds: totalMs / 1000,
    };
    const error = new PluginError('REGISTRY_DEADLINE', subject);
    this.#deadline = setTimeout(() => this.#closing.abort(error), totalMs);
    this.#deadline.unref();
  }
}
