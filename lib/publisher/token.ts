import { sha256Hex } from '../base/digest.ts';
import { PluginError } from '../base/errors/error.ts';
import { errnoMeaning, SysError } from '../sys/kernel/errno.ts';
import { readText } from '../sys/kernel/read.ts';
import { statFollowing } from '../sys/kernel/stat.ts';

/** A shorter token can be guessed. */
const MIN_TOKEN = 16;
const MAX_TOKEN = 4096;

/** Tells whether a request carries the token. */
export type HasToken = (authorization: string | null) => boolean;

/** @throws PUBLISHER_BAD_FILE */
export function tokenFrom(path: string, uid: number): HasToken {
  const token = read(path, uid);
  const expected = sha256Hex(token);
  // Hashes are compared, since the time of a comparison shows how many characters of a text are right.
  return (authorization) => {
    const given = (authorization ?? '').replace(/^Bearer /i, '');
    return given.length <= MAX_TOKEN && sha256Hex(given) === expected;
  };
}

function read(path: string, uid: number): string {
  const bad = (reason: string) => new PluginError('PUBLISHER_BAD_FILE', { path, reason });
  try {
    const stat = statFollowing(path);
    if (stat.uid !== uid && stat.uid !== 0)
      throw bad(`it belongs to user ${stat.uid}, and this is user ${uid}`);
    if ((stat.mode & 0o077) !== 0) throw bad('other users may use it; chmod 600');
    const token = readText(path, MAX_TOKEN).trim();
    if (!/^[\x21-\x7e]+$/.test(token) || token.length < MIN_TOKEN)
      throw bad(`a token has at least ${MIN_TOKEN} printable characters and no blank`);
    return token;
  } catch (error) {
    if (error instanceof SysError) throw bad(errnoMeaning(error.code));
    throw error;
  }
}
