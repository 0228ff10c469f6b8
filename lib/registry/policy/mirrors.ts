import { PluginError } from '../../base/errors/error.ts';
import type { RegistryReference } from '../../oci/reference.ts';
import type { Mirror, RegistryPolicy, RegistryRule } from './policy.ts';

/** A repository at a registry or a mirror, from which an image can be pulled. */
export interface PullSource {
  /** `host[:port]` in credentials and settings. */
  readonly name: string;
  /** `host[:port]` of the connection. */
  readonly host: string;
  readonly repository: string;
  readonly insecure: boolean;
  readonly pulls: Mirror['pulls'];
}

/**
 * The sources of an image, in order: mirrors, then the registry itself.
 * @throws REGISTRY_BLOCKED
 */
export function pullSourcesOf(reference: RegistryReference, policy: RegistryPolicy): PullSource[] {
  const name = `${reference.registry}/${reference.repository}`;
  const rule = closestRule(name, policy.rules);
  if (rule?.blocked) {
    throw new PluginError('REGISTRY_BLOCKED', { registry: rule.prefix, by: rule.from });
  }
  const rest = rule === undefined ? name : name.slice(matchedLength(name, rule.prefix));
  const at = (location: string, insecure: boolean, pulls: Mirror['pulls']) =>
    pullSourceAt(`${location}${rest}`, insecure, pulls, policy);
  return [
    ...(rule?.mirrors ?? []).map((mirror) => at(mirror.location, mirror.insecure, mirror.pulls)),
    rule === undefined || rule.location === ''
      ? pullSourceAt(name, rule?.insecure ?? false, 'all', policy)
      : at(rule.location, rule.insecure, 'all'),
  ];
}

function pullSourceAt(
  name: string,
  insecure: boolean,
  pulls: Mirror['pulls'],
  policy: RegistryPolicy,
): PullSource {
  const slash = name.indexOf('/');
  const host = name.slice(0, slash).toLowerCase();
  return {
    name: host,
    // docker.io is the name of the service; its registry has this host.
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

/** The length of `name` that the prefix covers: whole path components, or the host below `*.domain`; 0 if none. */
function matchedLength(name: string, prefix: string): number {
  if (prefix.startsWith('*.')) {
    const host = name.slice(0, name.indexOf('/'));
    return host.endsWith(prefix.slice(1)) && host.length > prefix.length - 1 ? host.length : 0;
  }
  return name === prefix || name.startsWith(`${prefix}/`) ? prefix.length : 0;
}
