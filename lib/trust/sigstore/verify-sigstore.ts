import { judgeReference } from '../policy/identity.ts';
import type { SigstoreSigned } from '../policy/requirement.ts';
import { readSimpleSigning } from '../policy/simple-signing.ts';
import type { Refusal, Signable, SignatureVerdict } from '../policy/verdict.ts';
import type { AttachedSignature, BundleSignature, SigstoreArtefact } from './artefact.ts';
import { attachedClaim } from './attached.ts';
import { bundleClaim } from './bundle.ts';
import { quoted, Refused } from './refused.ts';
import { type Signer, signerOf } from './signer.ts';

/**
 * Holds a Sigstore signature against a requirement: who made it, which document it is for, which name it carries. A log
 * entry and a certificate are looked at only where the requirement demands them, as in other programs with this grammar.
 * The signature is verified before its content is read.
 * @param now milliseconds since 1970
 */
export function verifySigstore(
  requirement: SigstoreSigned,
  artefact: SigstoreArtefact,
  image: Signable,
  now: number,
): SignatureVerdict {
  try {
    const { by, until } =
      artefact.kind === 'attached'
        ? attached(requirement, artefact, image, now)
        : bundle(requirement, artefact, image, now);
    return { ok: true, by, until };
  } catch (error) {
    if (error instanceof Refused) return { ok: false, refusal: error.refusal };
    throw error;
  }
}

function attached(
  requirement: SigstoreSigned,
  artefact: AttachedSignature,
  image: Signable,
  now: number,
): Signer {
  const signer = signerOf(attachedClaim(artefact), requirement, now);
  const said = readSimpleSigning(artefact.payload, 'cosign container image signature');
  if ('code' in said) throw asRefused(said);
  if (said.digest !== image.digest)
    throw new Refused('other-digest', `it is for the digest ${quoted(said.digest)}`);
  const wrong = judgeReference(requirement.signedIdentity, image, said.reference);
  if (wrong !== undefined) throw asRefused(wrong);
  return signer;
}

function bundle(
  requirement: SigstoreSigned,
  artefact: BundleSignature,
  image: Signable,
  now: number,
): Signer {
  const claim = bundleClaim(artefact.bytes, image);
  const signer = signerOf(claim, requirement, now);
  claim.requireImage(image.digest);
  if (!requirement.acceptsUnnamed)
    throw new Refused('no-identity', 'a bundle carries no reference, and the policy demands one');
  return signer;
}

function asRefused({ code, detail }: Refusal): Refused {
  return new Refused(code, detail);
}
