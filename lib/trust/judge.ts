/** Judges one image by the requirements that count for it. */
import type { Digest } from '../base/digest.ts';
import type { TrustRecord } from '../store/records/image-record.ts';
import type { Asked } from './asked.ts';
import { type GpgEvidence, judgeSignedBy } from './gpg/judge-signed-by.ts';
import { judgeSigstoreSigned, type SigstoreEvidence } from './judge-sigstore-signed.ts';
import { choose } from './policy/read-policy.ts';
import { attachmentsOf, lookasideOf } from './policy/registries-d.ts';
import type { Requirement } from './policy/requirement.ts';
import type { FoundDocuments, RequirementVerdict } from './policy/verdict.ts';
import type { Rules } from './rules.ts';

export type Judged =
  | { readonly ok: true; readonly record: Omit<TrustRecord, 'policy' | 'configuration'> }
  | {
      readonly ok: false;
      readonly scope: string;
      readonly demanded: string | undefined;
      readonly found: string;
    };

/** With what signatures of both kinds are found and verified. */
export type Evidence = GpgEvidence & SigstoreEvidence;

/**
 * All requirements have to hold. An image of an index counts as signed when it is signed itself, or when an index that
 * names it by digest is.
 * @throws TRUST_GPGV, TRUST_LOOKASIDE, REGISTRY_* when it cannot be found out
 */
export async function judge(
  rules: Rules,
  asked: Asked,
  documents: FoundDocuments,
  evidence: Evidence,
  signal: AbortSignal,
): Promise<Judged> {
  const { requirements, scope } = choose(rules.policy, asked.transport, asked.scopes);
  const accepted: string[] = [];
  const signed = new Set<Digest>();
  let until: number | undefined;
  for (const requirement of requirements) {
    const verdict = await judgeOne(requirement, rules, asked, documents, evidence, signal);
    if (!verdict.ok) return { ...verdict, scope };
    accepted.push(verdict.by);
    if (verdict.signed !== undefined) signed.add(verdict.signed);
    until = earlier(until, verdict.until);
  }
  return {
    ok: true,
    record: {
      scope,
      accepted,
      ...(signed.size > 0 ? { signed: [...signed] } : {}),
      ...(until === undefined ? {} : { until }),
    },
  };
}

async function judgeOne(
  requirement: Requirement,
  rules: Rules,
  asked: Asked,
  documents: FoundDocuments,
  evidence: Evidence,
  signal: AbortSignal,
): Promise<RequirementVerdict> {
  switch (requirement.type) {
    case 'insecureAcceptAnything':
      return { ok: true, by: 'insecureAcceptAnything' };
    case 'reject':
      return { ok: false, demanded: undefined, found: 'every image of this scope is rejected' };
    case 'signedBy':
      return judgeSignedBy(
        { requirement, name: asked.name, documents, lookaside: lookasideOf(rules.registriesD, asked.scopes) },
        evidence,
        signal,
      );
    case 'sigstoreSigned':
      return judgeSigstoreSigned(
        { requirement, asked, documents, attachments: attachmentsOf(rules.registriesD, asked.scopes) },
        evidence,
        signal,
      );
  }
}

function earlier(one: number | undefined, other: number | undefined): number | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return Math.min(one, other);
}
