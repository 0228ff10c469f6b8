/**
 * The grants of a layer, `volumes/<layer>/access`: which callers may use the layer. Each delivery of the layer adds
 * one line of JSON. A line is appended with one write(2), so that processes that append at once lose nothing; a line
 * that a power cut left incomplete is ignored. The first line is published together with the layer. A caller whom no
 * line fits has to fetch the layer as if the store did not have it.
 */
import { type Digest, parseDigest } from '../../base/digest.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { close, openAt, writeAll } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { bytesOfText } from '../../sys/kernel/utf8.ts';
import { MAX_GRANTS_BYTES } from '../layout/ceilings.ts';
import { readFact } from '../layout/read-file.ts';

/**
 * A grant to one group of callers. A place is a repository (`registry.example:5000/team/app`), `LOCAL`, or the URL of
 * a layer. Two images with the same place come from the same source.
 */
export type Grant =
  /** An anonymous caller got the layer: every caller may use it. */
  | { readonly to: 'everybody' }
  /** The cell's own credentials got the layer from this place: every caller whose image names the place may use it. */
  | { readonly to: 'cell'; readonly place: string }
  /**
   * A caller's own credentials got this blob from this place: each further caller is checked by a request to the
   * place.
   */
  | { readonly to: 'asked'; readonly place: string; readonly digest: Digest; readonly size: number };

/** The place of layouts and tars on this machine: only root can name their paths. No repository has this name. */
export const LOCAL = 'local';

/** The grants of a layer, oldest first; an empty list where none can be read. @throws SysError */
export function readGrants(path: string): Grant[] {
  const lines = (readFact(path, MAX_GRANTS_BYTES) ?? '').split('\n');
  return lines.flatMap((line) => parseGrant(line) ?? []);
}

export function encodeGrant(grant: Grant): Uint8Array {
  return bytesOfText(`${JSON.stringify(grant)}\n`);
}

/**
 * Appends a grant that the file does not have yet. Does nothing when the layer is gone, the disk is full or the file
 * has its maximum size.
 */
export function appendGrant(path: string, grant: Grant): void {
  const line = encodeGrant(grant);
  const text = readFact(path, MAX_GRANTS_BYTES) ?? '';
  if (text.includes(new TextDecoder().decode(line)) || text.length + line.length > MAX_GRANTS_BYTES) return;
  // A crash may have cut off the last line: then this line starts on a new one.
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
