/** Texts in PEM (RFC 7468): files of operators, and annotations that strangers wrote. */
import { Refused } from './refused.ts';

export interface PemBlock {
  readonly label: string;
  readonly der: Uint8Array;
}

const BLOCK = /-----BEGIN ([A-Z0-9 ]{1,64})-----\r?\n([A-Za-z0-9+/=\r\n]*?)\r?\n-----END \1-----(?:\r?\n|$)/g;
const MARK = '-----BEGIN ';

/**
 * The blocks of an operator's file. Text may stand between blocks, as in Go; a block that is cut or not base64 is an
 * error, since its certificate or key would be missing without a word. @throws Refused (malformed)
 */
export function blocksInFile(bytes: Uint8Array): PemBlock[] {
  const text = Buffer.from(bytes).toString('latin1');
  const blocks = [...text.matchAll(BLOCK)].map(toBlock);
  if (blocks.length === 0) throw new Refused('malformed', 'it has no PEM block');
  if (blocks.length !== text.split(MARK).length - 1)
    throw new Refused('malformed', 'it has a broken PEM block');
  return blocks;
}

/** Longer than the chains of certificates that exist; each certificate of Fulcio's has 1 KB. */
const MAX_PEM = 64 * 1024;

/** The blocks of a stranger's text, which has nothing but blocks and white space. @throws Refused (malformed) */
export function blocksInText(text: string): PemBlock[] {
  if (text.length > MAX_PEM) throw new Refused('malformed', `it has more than ${MAX_PEM} characters`);
  const rest = text.replace(BLOCK, '');
  const blocks = [...text.matchAll(BLOCK)].map(toBlock);
  if (blocks.length === 0 || rest.trim() !== '') throw new Refused('malformed', 'it is not in PEM form');
  return blocks;
}

function toBlock([, label = '', body = '']: RegExpMatchArray): PemBlock {
  const base64 = body.replace(/[\r\n]/g, '');
  const der = Buffer.from(base64, 'base64');
  if (der.length === 0 || der.toString('base64') !== base64)
    throw new Refused('malformed', 'a PEM block is not base64');
  return { label, der };
}
