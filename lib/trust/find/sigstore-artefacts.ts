/**
 * Sigstore signatures in the repository of the image. The old scheme keeps them in the layers of a manifest whose tag is made
 * of the digest; the new one keeps each as a manifest that names the image as its subject, listed by the registry or,
 * where it has no such lists, in an index whose tag is made of the digest.
 */
import { type Digest, digestOf, hexOf } from '../../base/digest.ts';
import { PluginError } from '../../base/errors/error.ts';
import { KiB } from '../../base/limits.ts';
import type { Logger } from '../../base/log.ts';
import { settleLimited } from '../../base/pool.ts';
import { asPluginError } from '../../http/failure.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { parseArtifact, parseManifest } from '../../oci/manifest.ts';
import { normalType, OCI_MANIFEST } from '../../oci/media-types.ts';
import type { IndexEntry } from '../../oci/platform.ts';
import type { RegistryClient } from '../../registry/client.ts';
import type { AttachedSignature, BundleSignature } from '../sigstore/artefact.ts';

const SIMPLE_SIGNING = 'application/vnd.dev.cosign.simplesigning.v1+json';
const BUNDLE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
/** cosign writes this type into the index of the fallback tag (tried with 3.1.1). Only the manifest has the right one. */
const EMPTY = 'application/vnd.oci.empty.v1+json';
const PREDICATE = 'dev.sigstore.bundle.predicateType';
const SIGNATURE = 'https://sigstore.dev/cosign/sign/v1';

/** An image that is signed each night has a signature for each night. containers/image has this limit for lookaside. */
const MAX_SIGNATURES = 128;
/** A payload has some hundred bytes, a bundle with a certificate and a log entry 10 KB. All together they fit into memory. */
const MAX_PAYLOAD = 64 * KiB;
const MAX_BUNDLE = 256 * KiB;

/** The part of a registry's client that finds signatures. */
export interface SignatureRepository {
  readonly client: Pick<RegistryClient, 'attachedManifest' | 'referrers' | 'attachedBlob'>;
  /** `registry/repository`, for errors. */
  readonly name: string;
  readonly log: Logger;
}

/**
 * The signatures of the old scheme; none is no error.
 * @throws REGISTRY_* for every answer but 404, IMAGE_BAD_MANIFEST, IMAGE_DIGEST_MISMATCH
 */
export async function attachedSignatures(
  repository: SignatureRepository,
  digest: Digest,
  signal: AbortSignal,
): Promise<AttachedSignature[]> {
  const tag = `sha256-${hexOf(digest)}.sig`;
  const found = await asked(repository.client.attachedManifest(tag, signal));
  if (found === undefined) return [];
  const { layers } = parseArtifact(found.bytes, found.contentType, `${repository.name}:${tag}`);
  const payloads = layers
    .map((layer, at) => ({ layer, from: `tag sha256-${short(digest)}.sig, layer ${at + 1}` }))
    .filter(({ layer, from }) => isPayload(repository, layer, from));
  requireFew(repository, payloads.length);
  const read = new Reader(repository, signal);
  return each(payloads, async ({ layer, from }) => ({
    kind: 'attached' as const,
    from,
    payload: await read.blob(layer, 'a signature'),
    annotations: layer.annotations,
  }));
}

/** The start of a digest, for sentences that tell of several signatures. */
function short(digest: Digest): string {
  return `${hexOf(digest).slice(0, 12)}…`;
}

/** Attestations lie there too. A layer that is too large is no signature. */
function isPayload(
  { log, name }: SignatureRepository,
  { mediaType, size }: Descriptor,
  from: string,
): boolean {
  if (normalType(mediaType) !== SIMPLE_SIGNING) return false;
  if (size > MAX_PAYLOAD)
    log.info('signature-too-large', { repository: name, from, size, limit: MAX_PAYLOAD });
  return size <= MAX_PAYLOAD;
}

/**
 * The bundles of the new scheme; none is no error. Bundles that their manifest calls attestations are left out.
 * @throws REGISTRY_* for every answer but 404, IMAGE_BAD_MANIFEST, IMAGE_DIGEST_MISMATCH
 */
export async function bundleSignatures(
  repository: SignatureRepository,
  digest: Digest,
  signal: AbortSignal,
): Promise<BundleSignature[]> {
  const entries = (await listed(repository, digest, signal)).filter(mayBeBundle);
  const digests = new Set(entries.map((entry) => entry.digest));
  requireFew(repository, digests.size);
  const read = new Reader(repository, signal);
  return (await each([...digests], (one) => read.bundlesOf(one))).flat();
}

/** The list that the registry makes, else the one that clients keep under the tag. */
async function listed(
  { client, name }: SignatureRepository,
  digest: Digest,
  signal: AbortSignal,
): Promise<readonly IndexEntry[]> {
  const pages = await asked(client.referrers(digest, signal));
  if (pages !== undefined)
    return pages.flatMap(({ bytes, contentType }) =>
      entriesOf(bytes, contentType, `the referrers of ${name}`),
    );
  const tag = `sha256-${hexOf(digest)}`;
  const index = await asked(client.attachedManifest(tag, signal));
  return index === undefined ? [] : entriesOf(index.bytes, index.contentType, `${name}:${tag}`);
}

function entriesOf(
  bytes: Uint8Array,
  contentType: string | undefined,
  source: string,
): readonly IndexEntry[] {
  const manifest = parseManifest(bytes, contentType, source);
  if (manifest.kind === 'index') return manifest.entries;
  throw new PluginError('IMAGE_BAD_MANIFEST', { source, reason: 'it is not an index' });
}

/** By the descriptor alone a signature cannot be told from other artifacts, but other artifacts often can. */
function mayBeBundle({ mediaType, artifactType, annotations }: IndexEntry): boolean {
  if (normalType(mediaType) !== OCI_MANIFEST) return false;
  const predicate = annotations.get(PREDICATE);
  if (predicate !== undefined && predicate !== SIGNATURE) return false;
  return artifactType === undefined || [BUNDLE, EMPTY].includes(normalType(artifactType));
}

/** Reads manifests and blobs, each blob once: signatures of the same image often have the same payload. */
class Reader {
  readonly #repository: SignatureRepository;
  readonly #signal: AbortSignal;
  readonly #blobs = new Map<Digest, Promise<Uint8Array>>();

  constructor(repository: SignatureRepository, signal: AbortSignal) {
    this.#repository = repository;
    this.#signal = signal;
  }

  blob({ digest, size }: Descriptor, what: string): Promise<Uint8Array> {
    const known = this.#blobs.get(digest);
    if (known !== undefined) return known;
    const reading = asked(this.#repository.client.attachedBlob({ digest, size }, what, this.#signal));
    this.#blobs.set(digest, reading);
    return reading;
  }

  /** The bundles in a manifest that a list names; none where it is another artifact, or has gone since. */
  async bundlesOf(digest: Digest): Promise<BundleSignature[]> {
    const { client, name, log } = this.#repository;
    const found = await asked(client.attachedManifest(digest, this.#signal));
    if (found === undefined) return [];
    const actual = digestOf(found.bytes);
    if (actual !== digest) throw new PluginError('IMAGE_DIGEST_MISMATCH', { expected: digest, actual });
    const manifest = parseArtifact(found.bytes, found.contentType, `${name}@${digest}`);
    const predicate = manifest.annotations.get(PREDICATE);
    if (manifest.artifactType !== BUNDLE || (predicate !== undefined && predicate !== SIGNATURE)) return [];
    const [layer, ...more] = manifest.layers.filter(({ mediaType }) => normalType(mediaType) === BUNDLE);
    if (layer === undefined || more.length > 0) return [];
    const from = `referrer sha256:${short(digest)}`;
    if (layer.size > MAX_BUNDLE) {
      log.info('signature-too-large', { repository: name, from, size: layer.size, limit: MAX_BUNDLE });
      return [];
    }
    return [{ kind: 'bundle', from, bytes: await this.blob(layer, 'a signature') }];
  }
}

/** Requests at a time. An image has one signature or two, so that more gain nothing. */
const AT_A_TIME = 4;

async function each<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  return (await settleLimited(items, AT_A_TIME, work)).map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}

async function asked<T>(asking: Promise<T>): Promise<T> {
  try {
    return await asking;
  } catch (error) {
    throw asPluginError(error);
  }
}

function requireFew({ name }: SignatureRepository, count: number): void {
  if (count <= MAX_SIGNATURES) return;
  const reason = `${name} has ${count} signatures of the image, more than the ${MAX_SIGNATURES} that graft reads`;
  throw new PluginError('REGISTRY_BAD_RESPONSE', { registry: name.split('/')[0] ?? name, reason });
}
