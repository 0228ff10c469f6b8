/** The configuration as typed rules: everything is parsed and every key looked at, before any image is judged. */
import { PluginError } from '../base/errors/error.ts';
import { errnoMeaning } from '../sys/kernel/errno.ts';
import type { Configuration } from './configuration.ts';
import { KeyringProblem, readKeyring } from './gpg/keyring.ts';
import { type Policy, readPolicy } from './policy/read-policy.ts';
import { type RegistriesD, readRegistriesD } from './policy/registries-d.ts';
import type { Requirement } from './policy/requirement.ts';
import { PolicyProblem } from './policy/strict.ts';
import type { TrustSettings } from './settings.ts';
import { whyUnusable } from './sigstore/materials.ts';

export interface Rules {
  readonly policy: Policy;
  readonly registriesD: RegistriesD;
}

/**
 * @param parseYaml of a file's text. @throws CONFIG_SYNTAX
 * @throws CONFIG_INVALID for everything that this program cannot fully judge
 */
export async function readRules(
  { policy, registriesD }: TrustSettings,
  found: Configuration,
  parseYaml: (path: string, text: string) => Promise<unknown>,
): Promise<Rules> {
  const readKey = (path: string, where: string): Uint8Array => {
    const bytes = found.keys.get(path);
    if (bytes instanceof Uint8Array) return bytes;
    const reason = bytes === undefined ? 'it was not read' : errnoMeaning(bytes.code);
    throw new PolicyProblem(`${where} names ${path}: ${reason}`);
  };
  const rules = refusing(policy, () => readPolicy(found.policy, readKey));
  refusing(policy, () => checkRequirements(rules));
  const documents: { path: string; value: unknown }[] = [];
  for (const { path, bytes } of found.registriesD)
    documents.push({ path, value: await parseYaml(path, textOf(path, bytes)) });
  return { policy: rules, registriesD: refusing(registriesD, () => readRegistriesD(documents)) };
}

/** @throws CONFIG_SYNTAX */
function textOf(path: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new PluginError('CONFIG_SYNTAX', { path, reason: 'it is not UTF-8' }, { cause: error });
  }
}

function refusing<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof PolicyProblem)) throw error;
    throw new PluginError('CONFIG_INVALID', { path, reason: error.message }, { cause: error });
  }
}

/** @throws PolicyProblem */
function checkRequirements({ default: standard, transports }: Policy): void {
  const lists = [standard, ...[...transports.values()].flatMap((scopes) => [...scopes.values()])];
  for (const requirement of lists.flat()) checkRequirement(requirement);
}

function checkRequirement(requirement: Requirement): void {
  if (requirement.type === 'sigstoreSigned') {
    const reason = whyUnusable(requirement);
    if (reason !== undefined) throw new PolicyProblem(`keys or certificates cannot be used: ${reason}`);
  }
  if (requirement.type !== 'signedBy') return;
  for (const { from, bytes } of requirement.keyrings) {
    try {
      readKeyring(bytes);
    } catch (error) {
      if (!(error instanceof KeyringProblem)) throw error;
      throw new PolicyProblem(`the keyring ${from} cannot be used: ${error.message}`);
    }
  }
}
