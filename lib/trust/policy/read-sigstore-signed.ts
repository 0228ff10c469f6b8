/** The requirement sigstoreSigned. */
import { type MaterialReader, material, materials } from './material.ts';
import type { Material, SignedIdentity, SigstoreSigned, TrustedFulcio, TrustedPki } from './requirement.ts';
import { type Fields, membersOf, oneOf, PolicyProblem, textOf } from './strict.ts';

const KEYS = ['keyPath', 'keyPaths', 'keyData', 'keyDatas'];
const REKOR = ['rekorPublicKeyPath', 'rekorPublicKeyPaths', 'rekorPublicKeyData', 'rekorPublicKeyDatas'];

/** @throws PolicyProblem */
export function readSigstoreSigned(
  value: unknown,
  where: string,
  read: MaterialReader,
  identity: (fields: Fields, where: string) => SignedIdentity,
): SigstoreSigned {
  const sources = [...KEYS, 'fulcio', 'pki'];
  const fields = membersOf(value, where, ['type', ...sources, ...REKOR, 'signedIdentity']);
  const source = oneOf(fields, where, sources);
  if (source === undefined) throw new PolicyProblem(`${where} has none of ${sources.join(', ')}`);
  const log = oneOf(fields, where, REKOR);
  if (source === 'fulcio' && log === undefined)
    throw new PolicyProblem(`${where} has fulcio, which needs one of ${REKOR.join(', ')}`);
  if (source === 'pki' && log !== undefined)
    throw new PolicyProblem(`${where} has pki, which allows no ${log}`);
  return {
    type: 'sigstoreSigned',
    trusted: trusted(fields, where, source, read),
    rekor: log === undefined ? [] : keys(fields, where, log, read),
    signedIdentity: identity(fields, where),
    acceptsUnnamed: false,
  };
}

function trusted(
  fields: Fields,
  where: string,
  source: string,
  read: MaterialReader,
): SigstoreSigned['trusted'] {
  if (source === 'fulcio') return fulcio(fields[source], `${where}.fulcio`, read);
  if (source === 'pki') return pki(fields[source], `${where}.pki`, read);
  return { kind: 'keys', keys: keys(fields, where, source, read) };
}

function keys(fields: Fields, where: string, name: string, read: MaterialReader): Material[] {
  const at = `${where}.${name}`;
  if (name.endsWith('Paths')) return materials(fields[name], at, 'paths', read);
  if (name.endsWith('Datas')) return materials(fields[name], at, 'datas', read);
  return [material(fields[name], at, name.endsWith('Path') ? 'path' : 'data', read)];
}

function fulcio(value: unknown, where: string, read: MaterialReader): TrustedFulcio {
  const fields = membersOf(value, where, ['caPath', 'caData', 'oidcIssuer', 'subjectEmail']);
  const ca = certificates(fields, where, 'ca', read);
  if (ca === undefined) throw new PolicyProblem(`${where} has neither caPath nor caData`);
  return {
    kind: 'fulcio',
    ca,
    oidcIssuer: textOf(fields['oidcIssuer'], `${where}.oidcIssuer`),
    subjectEmail: textOf(fields['subjectEmail'], `${where}.subjectEmail`),
    identities: [],
  };
}

function pki(value: unknown, where: string, read: MaterialReader): TrustedPki {
  const certificateKeys = ['caRootsPath', 'caRootsData', 'caIntermediatesPath', 'caIntermediatesData'];
  const fields = membersOf(value, where, [...certificateKeys, 'subjectEmail', 'subjectHostname']);
  const roots = certificates(fields, where, 'caRoots', read);
  if (roots === undefined) throw new PolicyProblem(`${where} has neither caRootsPath nor caRootsData`);
  const subject = (name: string) =>
    Object.hasOwn(fields, name) ? textOf(fields[name], `${where}.${name}`) : undefined;
  const [subjectEmail, subjectHostname] = [subject('subjectEmail'), subject('subjectHostname')];
  if (subjectEmail === undefined && subjectHostname === undefined)
    throw new PolicyProblem(`${where} has neither subjectEmail nor subjectHostname`);
  const intermediates = certificates(fields, where, 'caIntermediates', read);
  return { kind: 'pki', roots, intermediates, subjectEmail, subjectHostname };
}

function certificates(
  fields: Fields,
  where: string,
  prefix: string,
  read: MaterialReader,
): Material | undefined {
  const name = oneOf(fields, where, [`${prefix}Path`, `${prefix}Data`]);
  if (name === undefined) return undefined;
  return material(fields[name], `${where}.${name}`, name.endsWith('Path') ? 'path' : 'data', read);
}
