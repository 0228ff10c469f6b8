/** The requirements of a policy (containers-policy.json(5)): strict, with the bytes of all keys. */
import { printable } from '../../base/text.ts';
import { isHost, isRepository, parseDockerName } from './docker-name.ts';
import { type MaterialReader, material, materials } from './material.ts';
import { readSigstoreSigned } from './read-sigstore-signed.ts';
import type { Requirement, SignedBy, SignedIdentity } from './requirement.ts';
import { membersOf, oneOf, PolicyProblem, textOf } from './strict.ts';

/** @throws PolicyProblem */
export function readRequirement(value: unknown, where: string, read: MaterialReader): Requirement {
  const type = textOf(membersOf(value, where)['type'], `${where}.type`);
  switch (type) {
    case 'insecureAcceptAnything':
    case 'reject':
      membersOf(value, where, ['type']);
      return { type };
    case 'signedBy':
      return readSignedBy(value, where, read);
    case 'sigstoreSigned':
      return readSigstoreSigned(value, where, read, readSignedIdentity);
    case 'signedBaseLayer':
      throw new PolicyProblem(`${where} is a signedBaseLayer, which no program can judge`);
    default:
      throw new PolicyProblem(`${where} has an unknown type '${printable(type)}'`);
  }
}

const KEYS = ['keyPath', 'keyPaths', 'keyData'];

function readSignedBy(value: unknown, where: string, read: MaterialReader): SignedBy {
  const fields = membersOf(value, where, ['type', 'keyType', ...KEYS, 'signedIdentity']);
  const keyType = textOf(fields['keyType'], `${where}.keyType`);
  if (keyType !== 'GPGKeys')
    throw new PolicyProblem(`${where}.keyType is '${printable(keyType)}', and graft can judge GPGKeys only`);
  const key = oneOf(fields, where, KEYS);
  if (key === undefined) throw new PolicyProblem(`${where} has none of ${KEYS.join(', ')}`);
  const keyrings =
    key === 'keyPaths'
      ? materials(fields[key], `${where}.${key}`, 'paths', read)
      : [material(fields[key], `${where}.${key}`, key === 'keyPath' ? 'path' : 'data', read)];
  return { type: 'signedBy', keyrings, signedIdentity: readSignedIdentity(fields, where) };
}

/** @param fields of the requirement, which need not have a `signedIdentity` */
function readSignedIdentity(fields: Readonly<Record<string, unknown>>, where: string): SignedIdentity {
  if (!Object.hasOwn(fields, 'signedIdentity')) return { type: 'matchRepoDigestOrExact' };
  const value = fields['signedIdentity'];
  const at = `${where}.signedIdentity`;
  const type = textOf(membersOf(value, at)['type'], `${at}.type`);
  const member = (name: string, ...more: string[]) =>
    textOf(membersOf(value, at, ['type', name, ...more])[name], `${at}.${name}`);
  switch (type) {
    case 'matchExact':
    case 'matchRepoDigestOrExact':
    case 'matchRepository':
      membersOf(value, at, ['type']);
      return { type };
    case 'exactReference': {
      const reference = parseDockerName(member('dockerReference'));
      if (reference === undefined) throw new PolicyProblem(`${at}.dockerReference is no reference`);
      if (reference.tag === undefined && reference.digest === undefined)
        throw new PolicyProblem(`${at}.dockerReference has neither a tag nor a digest`);
      return { type, reference };
    }
    case 'exactRepository': {
      const name = parseDockerName(member('dockerRepository'));
      if (name === undefined) throw new PolicyProblem(`${at}.dockerRepository is no reference`);
      return { type, repository: name.repository };
    }
    case 'remapIdentity': {
      const [prefix, signedPrefix] = [member('prefix', 'signedPrefix'), member('signedPrefix', 'prefix')];
      for (const text of [prefix, signedPrefix])
        if (!isHost(text) && !isRepository(text))
          throw new PolicyProblem(
            `${at} has the prefix '${printable(text)}', which is no host[:port][/path]`,
          );
      return { type, prefix, signedPrefix };
    }
    default:
      throw new PolicyProblem(`${at} has an unknown type '${printable(type)}'`);
  }
}
