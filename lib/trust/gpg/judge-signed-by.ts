/** Finds the GPG signatures of an image and judges them by a requirement signedBy. */
import type { Digest } from '../../base/digest.ts';
import { printable } from '../../base/text.ts';
import type { Layout } from '../../store/layout/layout.ts';
import { removeStaged, stageDirectory, writeSmall } from '../../store/layout/staging.ts';
import { mkdirAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';
import { fetchLookaside, type Http, lookasideShown } from '../find/lookaside.ts';
import type { DockerName } from '../policy/docker-name.ts';
import type { SignedBy } from '../policy/requirement.ts';
import type { FoundDocuments, RequirementVerdict } from '../policy/verdict.ts';
import { readKeyring } from './keyring.ts';
import { openPgpMessage } from './message.ts';
import { type GpgKeys, verifyGpg } from './verify-gpg.ts';

/** With what signatures are fetched and verified. */
export interface GpgEvidence {
  /** The store for files that gpgv has to read; undefined: a directory of this call in /tmp. */
  readonly layout: Layout | undefined;
  /** Directories with programs. */
  readonly path: string;
  readonly http: () => Promise<Http>;
  readonly now: () => number;
}

export interface SignedByRequest {
  readonly requirement: SignedBy;
  /** Undefined for images outside a registry, which no place has signatures of. */
  readonly name: DockerName | undefined;
  readonly documents: FoundDocuments;
  /** The store of the signatures of the image's registry. */
  readonly lookaside: URL;
}

/** The most refused signatures that a sentence tells of. */
const MAX_TOLD = 3;

/**
 * A single good signature is enough, of the image's manifest or of an index above it.
 * @throws TRUST_GPGV, TRUST_LOOKASIDE, REGISTRY_*
 */
export async function judgeSignedBy(
  request: SignedByRequest,
  evidence: GpgEvidence,
  signal: AbortSignal,
): Promise<RequirementVerdict> {
  const { requirement, name, documents, lookaside } = request;
  const demanded = `a GPG signature by a key of ${requirement.keyrings.map(({ from }) => from).join(' or ')}`;
  if (name === undefined || documents.digest === undefined)
    return { ok: false, demanded, found: 'images of this kind have no signatures' };
  const repository = name.repository.slice(name.repository.indexOf('/') + 1);
  const digests = [documents.digest, ...documents.indexes.toReversed()];
  const refused: string[] = [];
  for (const digest of digests) {
    const messages = await fetchLookaside(lookaside, repository, digest, evidence.http, signal);
    if (messages.length === 0) continue;
    const found = await judgeMessages(request, messages, digest, evidence, signal);
    if (!Array.isArray(found)) return found;
    refused.push(...found);
  }
  if (refused.length === 0) {
    const at = lookasideShown(lookaside, repository, documents.digest);
    return { ok: false, demanded, found: `no signature is at ${printable(at)}` };
  }
  const more = refused.length > MAX_TOLD ? ` and ${refused.length - MAX_TOLD} more` : '';
  return { ok: false, demanded, found: `${refused.slice(0, MAX_TOLD).join('; ')}${more}` };
}

/** The verdict of the first good signature, or what is wrong with each. */
async function judgeMessages(
  { requirement, name }: SignedByRequest,
  blobs: readonly Uint8Array[],
  digest: Digest,
  { layout, path, now }: GpgEvidence,
  signal: AbortSignal,
): Promise<RequirementVerdict | string[]> {
  const messages = blobs.map(openPgpMessage);
  const unreadable = messages.indexOf('unreadable');
  // As in containers/image: where one file is no signature at all, nobody knows what the place holds.
  if (unreadable >= 0) return [`signature-${unreadable + 1} is no OpenPGP message`];
  return withKeyrings(layout, requirement, async (keys) => {
    const refused: string[] = [];
    for (const [at, message] of messages.entries()) {
      if (!(message instanceof Uint8Array)) continue;
      const verdict = await verifyGpg(
        requirement,
        message,
        { digest, name },
        keys,
        { path, now: now() },
        signal,
      );
      if (verdict.ok) return { ok: true, by: `signedBy ${verdict.by}`, until: verdict.until, signed: digest };
      refused.push(`signature-${at + 1} is refused: ${verdict.refusal.detail}`);
    }
    return refused;
  });
}

/** Writes the keyrings to files, since gpgv reads no other ones, and removes them after `use`. */
async function withKeyrings<T>(
  layout: Layout | undefined,
  { keyrings }: SignedBy,
  use: (keys: GpgKeys) => Promise<T>,
): Promise<T> {
  const directory = layout === undefined ? ownDirectory() : stageDirectory(layout, 'keyrings');
  try {
    const read = keyrings.map(({ bytes }) => readKeyring(bytes));
    const paths = read.map(({ bytes }, at) => {
      const path = `${directory}/${at}.gpg`;
      writeSmall(path, bytes);
      return path;
    });
    return await use({ paths, ends: read.flatMap(({ ends }) => ends) });
  } finally {
    removeStaged(directory);
  }
}

/** Made under a name that nobody can have taken: a name in /tmp may be a stranger's link. */
function ownDirectory(): string {
  const path = `/tmp/graft-keyrings.${Math.floor(Math.random() * Number.MAX_SAFE_INTEGER).toString(36)}`;
  mkdirAt(AT_FDCWD, path, 0o700);
  return path;
}
