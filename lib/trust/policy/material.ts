/** Keys and certificates of a policy: files, or base64 in the policy itself. */
import type { Material } from './requirement.ts';
import { PolicyProblem, textOf, textsOf } from './strict.ts';

/** The bytes of a file that the policy names. @throws PolicyProblem when it cannot be read */
export type MaterialReader = (path: string, where: string) => Uint8Array;

/** @throws PolicyProblem */
export function material(
  value: unknown,
  where: string,
  kind: 'path' | 'data',
  read: MaterialReader,
): Material {
  const text = textOf(value, where);
  if (kind === 'data') return { from: where, bytes: base64(text, where) };
  if (!text.startsWith('/')) throw new PolicyProblem(`${where} must be an absolute path`);
  return { from: text, bytes: read(text, where) };
}

/** @throws PolicyProblem, also for an empty list */
export function materials(
  value: unknown,
  where: string,
  kind: 'paths' | 'datas',
  read: MaterialReader,
): Material[] {
  const one = kind === 'paths' ? 'path' : 'data';
  return textsOf(value, where).map((text, at) => material(text, `${where}[${at}]`, one, read));
}

function base64(text: string, where: string): Uint8Array {
  const tight = text.replace(/[\r\n]/g, '');
  if (tight.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(tight))
    throw new PolicyProblem(`${where} must be base64`);
  return Buffer.from(tight, 'base64');
}
