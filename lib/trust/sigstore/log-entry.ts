/**
 * Entries of a transparency log (Rekor, version 1). Its promise is a signature over the entry and the time at which the
 * log took it. Its proof shows that the entry is in the tree whose head the log has signed; the proof has no time.
 */
import { createHash } from 'node:crypto';
import { checkpointOf } from './checkpoint.ts';
import { holds, type PublicKey } from './keys.ts';
import { inclusionRoot } from './merkle.ts';
import { Refused } from './refused.ts';

interface InclusionProof {
  /** In this tree, which need not be the index in the whole log. */
  readonly index: bigint;
  readonly treeSize: bigint;
  readonly rootHash: Uint8Array;
  readonly hashes: readonly Uint8Array[];
  readonly checkpoint: string;
}

export interface LogEntry {
  readonly body: Uint8Array;
  /** Seconds since 1970. Only the promise vouches for this time. */
  readonly integratedTime: number;
  readonly logIndex: number;
  /** The digest of the log's key, in hex. */
  readonly logId: string;
  readonly promise: Uint8Array | undefined;
  readonly proof: InclusionProof | undefined;
}

/**
 * Checks that one of the trusted logs holds the entry: every piece of evidence that the entry carries must be right.
 * @returns milliseconds since 1970; undefined where no promise vouches for a time
 * @throws Refused (bad-log-entry)
 */
export function loggedAt(entry: LogEntry, logs: readonly PublicKey[]): number | undefined {
  if (entry.promise === undefined && entry.proof === undefined)
    throw new Refused('bad-log-entry', 'the log entry has neither a promise nor a proof of the log');
  if (entry.promise !== undefined) requirePromise(entry, entry.promise, logs);
  if (entry.proof !== undefined) requireProof(entry.body, entry.proof, logs);
  return entry.promise === undefined ? undefined : entry.integratedTime * 1000;
}

/** The promise is a signature over the entry in canonical JSON (RFC 8785): keys in order, no white space. */
function requirePromise(entry: LogEntry, promise: Uint8Array, logs: readonly PublicKey[]): void {
  const { body, integratedTime, logId, logIndex } = entry;
  const base64 = Buffer.from(body).toString('base64');
  const signed = Buffer.from(JSON.stringify({ body: base64, integratedTime, logID: logId, logIndex }));
  if (logs.some(({ object }) => holds('sha256', signed, object, promise))) return;
  throw new Refused('bad-log-entry', 'no trusted log has signed the log entry');
}

function requireProof(body: Uint8Array, proof: InclusionProof, logs: readonly PublicKey[]): void {
  const head = checkpointOf(proof.checkpoint, logs);
  if (head.treeSize !== proof.treeSize || !head.rootHash.equals(proof.rootHash))
    throw new Refused('bad-log-entry', 'the proof of the log entry is for another tree than its checkpoint');
  const leaf = createHash('sha256').update(Uint8Array.of(0)).update(body).digest();
  if (inclusionRoot(leaf, proof)?.equals(proof.rootHash) !== true)
    throw new Refused('bad-log-entry', 'the proof does not lead from the log entry to the root of the tree');
}
