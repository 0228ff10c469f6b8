import { PluginError } from '../../base/errors/error.ts';
import type { RegistryReference } from '../../oci/reference.ts';
import type { Mirror, RegistryPolicy, RegistryRule } from './policy.ts';

/** One repository at one registry, ready to be asked. */
export interface Place {
  /** `host[:port]` as credentials and settings name it. */
  readonly name: string;
  /** `host[:port]` as it is dialled. */
  readonly host: string;
  readonly repository: string;
  readonly insecure: boolean;
  readonly pulls: Mirror['pulls'];
}

/**
 * Where an image may come from, in order: mirrors, then the registry itself.
 * @throws REGISTRY_BLOCKED
 */
export function placesOf(reference: RegistryReference, policy: RegistryPolicy): Place[] {
  const name = `${reference.registry}/${reference.repository}`;
  const rule = closestRule(name, policy.rules);
  if (rule?.blocked) {
    throw new PluginError('REGISTRY_BLOCKED', { registry: rule.prefix, by: rule.from });
  }
  const rest = rule === undefined ? name : name.slice(matchedLength(name, rule.prefix));
  const at = (location: string, insecure: boolean, pulls: Mirror['pulls']) =>
    placeAt(`${location}${rest}`, insecure, pulls, policy);
  return [
    ...(rule?.mirrors ?? []).map((mirror) => at(mirror.location, mirror.insecure, mirror.pulls)),
    rule === undefined || rule.location === ''
      ? placeAt(name, rule?.insecure ?? false, 'all', policy)
      : at(rule.location, rule.insecure, 'all'),
  ];
}

function placeAt(name: string, insecure: boolean, pulls: Mirror['pulls'], policy: RegistryPolicy): Place {
  const slash = name.indexOf('/');
  const host = name.slice(0, slash).toLowerCase();
  return {
    name: host,
    // docker.io is the name of the service; its registry answers here.
    host: host === 'docker.io' ? 'registry-1.docker.io' : host,
    repository: name.slice(slash + 1),
    insecure: insecure || policy.insecure.includes(host),
    pulls,
  };
}

/** The longest prefix that fits, as containers-registries.conf(5) decides. */
function closestRule(name: string, rules: readonly RegistryRule[]): RegistryRule | undefined {
  let best: RegistryRule | undefined;
  let bestLength = 0;
  for (const rule of rules) {
    if (matchedLength(name, rule.prefix) === 0) continue;
    if (rule.prefix.length > bestLength) [best, bestLength] = [rule, rule.prefix.length];
  }
  return best;
}

/** How much of `name` the prefix covers: whole path components, or `*.domain` for a host below it; 0 if none. */
function matchedLength(name: string, prefix: string): number {
  if (prefix.startsWith('*.')) {
    const host = name.slice(0, name.indexOf('/'));
    return host.endsWith(prefix.slice(1)) && host.length > prefix.length - 1 ? host.length : 0;
  }
  return name === prefix || name.startsWith(`${prefix}/`) ? prefix.length : 0;
}
