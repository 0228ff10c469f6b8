import { type Digest, parseDigest } from '../base/digest.ts';
import { isPluginError, PluginError } from '../base/errors/error.ts';
import { parseImageReference } from '../oci/reference.ts';
import { imageIdOrUndefined } from '../store/layout/image-id.ts';
import { cachedImages } from '../store/records/cached-images.ts';
import type { ImageRecord } from '../store/records/image-record.ts';
import type { Store } from '../store/store.ts';
import { listNames } from '../sys/kernel/look.ts';
import type { Guard } from '../trust/guard.ts';

/** A container or a cached image that a create would not make today. */
export interface PolicyFinding {
  readonly kind: 'container' | 'image';
  /** The container's id, or the name of the image. */
  readonly what: string;
  readonly image: string;
  readonly digest: string | undefined;
  /** `refused`, or `unknown` where the policy could not be asked, since a place of signatures does not answer, say. */
  readonly verdict: 'refused' | 'unknown';
  readonly error: PluginError;
}

interface Subject {
  readonly kind: PolicyFinding['kind'];
  readonly what: string;
  readonly image: string;
  readonly digest: string | undefined;
  readonly record?: ImageRecord;
}

/**
 * Judges every container and every cached image by the policy as it is now. An image that the same policy has judged
 * before costs no request.
 * @param guardFor the guard of an image reference
 */
export async function checkPolicy(
  store: Store,
  guardFor: (image: string) => Promise<Guard>,
  signal: AbortSignal,
): Promise<PolicyFinding[]> {
  const findings: PolicyFinding[] = [];
  for (const subject of subjects(store)) {
    const error = await refusal(subject, guardFor, signal);
    if (error === undefined) continue;
    const { kind, what, image, digest } = subject;
    const refused = isPluginError(error, 'TRUST_REFUSED') || isPluginError(error, 'TRUST_UNVERIFIED_LAYERS');
    findings.push({ kind, what, image, digest, verdict: refused ? 'refused' : 'unknown', error });
  }
  return findings;
}

function subjects(store: Store): Subject[] {
  const containers = listNames(store.layout.images).flatMap((name): Subject[] => {
    const id = imageIdOrUndefined(name);
    const record = id && store.images.recordIfReadable(id);
    if (record === undefined) return [];
    return [{ kind: 'container', what: name, image: record.image, digest: record.manifestDigest, record }];
  });
  const images = cachedImages(store.layout).map(
    ({ name, digest }): Subject => ({ kind: 'image', what: name, image: name, digest }),
  );
  return [...containers, ...images];
}

/** The error with which a create would end; undefined for an image that may run. */
export async function refusal(
  { image, digest, record }: Pick<Subject, 'image' | 'digest' | 'record'>,
  guardFor: (image: string) => Promise<Guard>,
  signal: AbortSignal,
): Promise<PluginError | undefined> {
  try {
    const guard = await guardFor(image);
    const own = digest === undefined ? undefined : parseDigest(digest);
    const { signed, policy } = await guard.admit(
      { digest: own, indexes: indexesOf(image, own, record) },
      signal,
    );
    const repository = signed === undefined ? undefined : unverified(record, guard.acceptsUnverified);
    if (repository === undefined) return undefined;
    return new PluginError('TRUST_UNVERIFIED_LAYERS', { image, repository, policy });
  } catch (error) {
    signal.throwIfAborted();
    if (isPluginError(error)) return error;
    throw error;
  }
}

/**
 * The indexes above a manifest, as far as the store knows them: the one that the reference names by its digest, the
 * outermost one of the container's record, and those that were signed when the container was made. They name the manifest still.
 */
function indexesOf(image: string, manifest: Digest | undefined, record: ImageRecord | undefined): Digest[] {
  const reference = parseImageReference(image);
  const named = reference.kind === 'registry' ? reference.digest : undefined;
  const known = new Set([...(record?.trust?.signed ?? []), record?.index, named]);
  return [...known]
    .flatMap((text) => (text === undefined ? [] : parseDigest(text)))
    .filter((digest) => digest !== manifest);
}

/** A repository whose layers the container uses in place, and which is not accepted for that. */
function unverified(record: ImageRecord | undefined, accepted: readonly string[]): string | undefined {
  const names = (record?.layers ?? []).flatMap(({ cvmfs }) => cvmfs?.repository ?? []);
  return names.find((name) => !accepted.includes(name));
}
