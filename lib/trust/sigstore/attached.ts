/**
 * Signatures of the old scheme (cosign 1 and 2, skopeo, podman): a document as payload, and everything else in annotations.
 * The published specification of cosign has other names for three of the annotations; the programs write these.
 */
import { sha256Hex } from '../../base/digest.ts';
import { isLogReceipt } from '../../oci/generated/validators.js';
import type { AttachedSignature } from './artefact.ts';
import { type Certificate, certificatesOf } from './certificate.ts';
import type { Claim } from './claim.ts';
import type { LogEntry } from './log-entry.ts';
import { blocksInText } from './pem.ts';
import { documentOf, fromBase64, Refused, reading } from './refused.ts';

const SIGNATURE = 'dev.cosignproject.cosign/signature';
const CERTIFICATE = 'dev.sigstore.cosign/certificate';
const CHAIN = 'dev.sigstore.cosign/chain';
const RECEIPT = 'dev.sigstore.cosign/bundle';

/** Fulcio's chains have two certificates, those of companies up to five. */
const MAX_CHAIN = 10;

interface Receipt {
  readonly SignedEntryTimestamp: string;
  readonly Payload: {
    readonly body: string;
    readonly integratedTime: number;
    readonly logIndex: number;
    readonly logID: string;
  };
}

/** @throws Refused (malformed) */
export function attachedClaim({ payload, annotations }: AttachedSignature): Claim {
  const base64 = annotations.get(SIGNATURE);
  if (base64 === undefined) throw new Refused('malformed', `it has no annotation ${SIGNATURE}`);
  return {
    scheme: 'simple',
    signed: payload,
    // `cosign attach signature` takes what `openssl base64` writes, in lines. Go's decoder drops the ends of lines too.
    signature: fromBase64(base64.replace(/[\r\n]/g, ''), 'its signature'),
    certificate: () => signersCertificate(annotations.get(CERTIFICATE)),
    chain: () => certificatesBetween(annotations.get(CHAIN)),
    logEntries: () => logEntries(annotations.get(RECEIPT)),
    logged: { kind: 'hashedrekord', sha256: sha256Hex(payload) },
  };
}

function signersCertificate(pem: string | undefined): Certificate {
  if (pem === undefined) throw new Refused('untrusted-chain', 'it has no certificate');
  return reading('its certificate', () => {
    const [certificate, ...more] = certificatesOf(blocksInText(pem));
    if (certificate === undefined || more.length > 0)
      throw new Refused('malformed', 'it has more than one certificate');
    return certificate;
  });
}

/** The last one is the root, of which the requirement has its own copy; a chain of one has nothing between. */
function certificatesBetween(pem: string | undefined): Certificate[] {
  if (pem === undefined) return [];
  return reading('its chain', () => {
    const blocks = blocksInText(pem);
    if (blocks.length > MAX_CHAIN)
      throw new Refused('malformed', `it has more than ${MAX_CHAIN} certificates`);
    return certificatesOf(blocks.slice(0, -1));
  });
}

function logEntries(text: string | undefined): LogEntry[] {
  if (text === undefined) return [];
  const receipt = documentOf(Buffer.from(text), isLogReceipt, 'its log entry') as Receipt;
  const { body, integratedTime, logIndex, logID: logId } = receipt.Payload;
  return [
    {
      body: fromBase64(body, 'the body of the log entry'),
      integratedTime,
      logIndex,
      logId,
      promise: fromBase64(receipt.SignedEntryTimestamp, 'the promise of the log'),
      proof: undefined,
    },
  ];
}
