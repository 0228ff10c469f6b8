/** Finds the Sigstore signatures of an image and judges them by a requirement sigstoreSigned. */
import type { Digest } from '../base/digest.ts';
import type { Asked } from './asked.ts';
import { attachedSignatures, bundleSignatures, type SignatureRepository } from './find/sigstore-artefacts.ts';
import type { SigstoreSigned } from './policy/requirement.ts';
import type { FoundDocuments, RequirementVerdict } from './policy/verdict.ts';
import type { TrustSettings } from './settings.ts';
import type { SigstoreArtefact } from './sigstore/artefact.ts';
import { isOverManifest } from './sigstore/bundle.ts';
import { verifySigstore } from './sigstore/verify-sigstore.ts';

export interface SigstoreEvidence {
  /** The repository of the image, with the caller's credentials; undefined for images outside a registry. */
  readonly repository: () => Promise<SignatureRepository | undefined>;
  readonly settings: Pick<TrustSettings, 'identities' | 'unnamedBundles'>;
  readonly now: () => number;
}

export interface SigstoreRequest {
  readonly requirement: SigstoreSigned;
  readonly asked: Asked;
  readonly documents: FoundDocuments;
  /** registries.d says that signatures are attached to the image in its registry. */
  readonly attachments: boolean;
}

/** The most refused signatures that a sentence tells of. */
const MAX_TOLD = 3;

/**
 * A single good signature is enough, of the image's manifest or of an index above it.
 * @throws REGISTRY_*, IMAGE_BAD_MANIFEST, IMAGE_DIGEST_MISMATCH
 */
export async function judgeSigstoreSigned(
  request: SigstoreRequest,
  evidence: SigstoreEvidence,
  signal: AbortSignal,
): Promise<RequirementVerdict> {
  const { asked, documents, attachments } = request;
  const requirement = withSettings(request, evidence);
  const demanded = demandOf(requirement);
  if (asked.name === undefined || documents.digest === undefined)
    return { ok: false, demanded, found: 'images of this kind have no signatures' };
  if (!attachments && !requirement.acceptsUnnamed)
    return { ok: false, demanded, found: 'registries.d does not set use-sigstore-attachments for it' };
  const repository = await evidence.repository();
  if (repository === undefined) return { ok: false, demanded, found: 'its registry cannot be asked' };
  const refused: string[] = [];
  for (const digest of [documents.digest, ...documents.indexes.toReversed()]) {
    const found = await foundFor(
      repository,
      digest,
      { attachments, bundles: requirement.acceptsUnnamed },
      signal,
    );
    for (const artefact of found) {
      const document = isOverManifest(artefact)
        ? (await repository.client.attachedManifest(digest, signal))?.bytes
        : undefined;
      const image = { digest, name: asked.name, document };
      const verdict = verifySigstore(requirement, artefact, image, evidence.now());
      if (verdict.ok)
        return { ok: true, by: `sigstoreSigned ${verdict.by}`, until: verdict.until, signed: digest };
      refused.push(`${artefact.from} is refused: ${verdict.refusal.detail}`);
    }
  }
  return {
    ok: false,
    demanded,
    found: refused.length > 0 ? told(refused) : nothing(repository, request, requirement),
  };
}

/** The requirement with what graft's own settings say of the image. */
function withSettings(
  { requirement, asked }: SigstoreRequest,
  { settings }: SigstoreEvidence,
): SigstoreSigned {
  const { identities, unnamedBundles } = settings;
  const { trusted } = requirement;
  const acceptsUnnamed = asked.scopes.some((scope) => unnamedBundles.includes(scope));
  const scope = asked.scopes.find((one) => identities.has(one));
  const more = scope === undefined ? [] : (identities.get(scope) ?? []);
  return {
    ...requirement,
    acceptsUnnamed,
    trusted: trusted.kind === 'fulcio' ? { ...trusted, identities: more } : trusted,
  };
}

async function foundFor(
  repository: SignatureRepository,
  digest: Digest,
  schemes: { readonly attachments: boolean; readonly bundles: boolean },
  signal: AbortSignal,
): Promise<readonly SigstoreArtefact[]> {
  const [attached, bundles] = await Promise.all([
    schemes.attachments ? attachedSignatures(repository, digest, signal) : [],
    schemes.bundles ? bundleSignatures(repository, digest, signal) : [],
  ]);
  return [...attached, ...bundles];
}

function demandOf({ trusted, rekor }: SigstoreSigned): string {
  const logged = rekor.length > 0 ? ', in a transparency log' : '';
  switch (trusted.kind) {
    case 'keys':
      return `a Sigstore signature by a key of ${trusted.keys.map(({ from }) => from).join(' or ')}${logged}`;
    case 'fulcio': {
      const more = trusted.identities.length > 0 ? ' or an identity of trust.identities' : '';
      return `a Sigstore signature by ${trusted.subjectEmail} (${trusted.oidcIssuer})${more}${logged}`;
    }
    case 'pki': {
      const subject = [trusted.subjectEmail, trusted.subjectHostname].filter(Boolean).join(', ');
      return `a Sigstore signature with a certificate for ${subject} under ${trusted.roots.from}`;
    }
  }
}

function told(refused: readonly string[]): string {
  const more = refused.length > MAX_TOLD ? ` and ${refused.length - MAX_TOLD} more` : '';
  return `${refused.slice(0, MAX_TOLD).join('; ')}${more}`;
}

function nothing(
  { name }: SignatureRepository,
  { attachments }: SigstoreRequest,
  { acceptsUnnamed }: SigstoreSigned,
): string {
  if (attachments && acceptsUnnamed) return `${name} has no signature of it`;
  return attachments
    ? `${name} has no signature of it that carries its name (bundles of cosign 3 carry none)`
    : `${name} has no bundle that signs it, and registries.d does not set use-sigstore-attachments for it`;
}
