import { createHash } from 'node:crypto';
import { holds, type PublicKey } from './keys.ts';
import { fromBase64, Refused } from './refused.ts';

export interface TreeHead {
  readonly treeSize: bigint;
  readonly rootHash: Buffer;
}

/** Witnesses add a signature each. */
const MAX_SIGNATURES = 16;
/** The first bytes of a signature name its key: the start of the digest of the key's DER. */
const HINT = 4;

const malformed = () => new Refused('malformed', 'the checkpoint of the log entry is not in its form');

/**
 * The head of a log's tree, from a checkpoint that a trusted log has signed (C2SP, tlog-checkpoint.md and signed-note.md):
 * lines with a name, the size of the tree and the root's hash, an empty line, and lines with signatures. Signatures of
 * others, witnesses for instance, are passed over. @throws Refused (malformed, bad-log-entry)
 */
export function checkpointOf(text: string, logs: readonly PublicKey[]): TreeHead {
  const gap = text.lastIndexOf('\n\n');
  if (gap < 0 || !text.endsWith('\n')) throw malformed();
  const note = text.slice(0, gap + 1);
  const signatures = text.slice(gap + 2, -1).split('\n');
  if (signatures.length > MAX_SIGNATURES) throw malformed();
  const [name, size, root] = note.split('\n');
  if (!name || !/^(0|[1-9][0-9]{0,18})$/.test(size ?? '') || !root) throw malformed();
  const bytes = Buffer.from(note);
  const signed = signatures
    .map(signatureOf)
    .some(({ hint, signature }) =>
      logs.some(({ object, der }) => hintOf(der).equals(hint) && holds('sha256', bytes, object, signature)),
    );
  if (!signed)
    throw new Refused('bad-log-entry', 'no trusted log has signed the checkpoint of the log entry');
  return {
    treeSize: BigInt(size ?? ''),
    rootHash: Buffer.from(fromBase64(root, 'the root hash of a checkpoint')),
  };
}

function signatureOf(line: string): { hint: Buffer; signature: Buffer } {
  const [, base64] = /^\u2014 [^ ]+ ([A-Za-z0-9+/=]+)$/.exec(line) ?? [];
  if (base64 === undefined) throw malformed();
  const bytes = Buffer.from(fromBase64(base64, 'a signature of a checkpoint'));
  return { hint: bytes.subarray(0, HINT), signature: bytes.subarray(HINT) };
}

function hintOf(der: Uint8Array): Buffer {
  return createHash('sha256').update(der).digest().subarray(0, HINT);
}
