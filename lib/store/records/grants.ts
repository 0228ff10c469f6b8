/**
 * Who may have a layer of the store: `volumes/<layer>/access`, a line of JSON for each way in which the layer was
 * delivered. Lines are appended, each with one write(2), so that processes that add at once lose nothing; what a power
 * cut leaves of a line is no line. The first one is published together with the layer. A layer without a line that fits
 * is nobody's, and is delivered again to whoever wants it.
 */
import { type Digest, parseDigest } from '../../base/digest.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { close, openAt, writeAll } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { bytesOfText } from '../../sys/kernel/utf8.ts';
import { MAX_GRANTS_BYTES } from '../layout/ceilings.ts';
import { readFact } from '../layout/read-file.ts';

/**
 * A place is a repository (`registry.example:5000/team/app`), `LOCAL`, or the URL of a layer. Two images of one place
 * have the same source.
 */
export type Grant =
  /** An anonymous caller got it. */
  | { readonly to: 'everybody' }
  /** What belongs to the cell got it from there: every caller whose image names that place may have it. */
  | { readonly to: 'cell'; readonly place: string }
  /** A caller's own credentials got this blob from there: the place is asked for the blob. */
  | { readonly to: 'asked'; readonly place: string; readonly digest: Digest; readonly size: number };

/** Layouts and tars on the machine: whoever can name their paths is root. It cannot be a repository's name. */
export const LOCAL = 'local';

/** What is known of a layer, oldest first; empty where nothing is. @throws SysError */
export function readGrants(path: string): Grant[] {
  const lines = (readFact(path, MAX_GRANTS_BYTES) ?? '').split('\n');
  return lines.flatMap((line) => parseGrant(line) ?? []);
}

export function encodeGrant(grant: Grant): Uint8Array {
  return bytesOfText(`${JSON.stringify(grant)}\n`);
}

/** Adds what is not there yet. A layer that went away meanwhile, or whose file is full, stays as it is. */
export function appendGrant(path: string, grant: Grant): void {
  const line = encodeGrant(grant);
  const text = readFact(path, MAX_GRANTS_BYTES) ?? '';
  if (text.includes(new TextDecoder().decode(line)) || text.length + line.length > MAX_GRANTS_BYTES) return;
  // A line that a crash cut off must not swallow this one.
  const whole = text === '' || text.endsWith('\n') ? line : Buffer.concat([bytesOfText('\n'), line]);
  try {
    const fd = openAt(AT_FDCWD, path, O.WRONLY | O.CREAT | O.APPEND | O.NOFOLLOW, 0o600);
    try {
      writeAll(fd, whole, path);
    } finally {
      close(fd);
    }
  } catch (error) {
    if (!hasCode(error, 'ENOENT', 'ENOSPC', 'EDQUOT')) throw error;
  }
}

function parseGrant(line: string): Grant | undefined {
  try {
    const { to, place, digest, size } = JSON.parse(line) as Record<string, unknown>;
    if (to === 'everybody') return { to };
    if (typeof place !== 'string' || place === '') return undefined;
    if (to === 'cell') return { to, place };
    if (to !== 'asked' || typeof digest !== 'string' || !Number.isSafeInteger(size)) return undefined;
    return { to, place, digest: parseDigest(digest), size: size as number };
  } catch {
    return undefined;
  }
}
