/** Reads a policy.json whole and strictly: what this program cannot judge is refused here, and never let through. */
import { MiB } from '../../base/limits.ts';
import { printable } from '../../base/text.ts';
import { JsonRefused, parseJson } from '../../oci/json.ts';
import type { MaterialReader } from './material.ts';
import { readRequirement } from './read-requirement.ts';
import type { Requirement } from './requirement.ts';
import { checkScope, checkTransport } from './scopes.ts';
import { membersOf, PolicyProblem } from './strict.ts';

/** The rules of a large site have some hundred kilobytes, with keys in base64. */
const MAX_POLICY_BYTES = 4 * MiB;

export interface Policy {
  readonly default: readonly Requirement[];
  /** By transport, then by scope; `""` is the transport's own default. */
  readonly transports: ReadonlyMap<string, ReadonlyMap<string, readonly Requirement[]>>;
}

/** The requirements that count for an image, and where in the policy they are. */
export interface Chosen {
  readonly requirements: readonly Requirement[];
  /** For people and records: `docker registry.example/team`, `oci ""`, `default`. */
  readonly scope: string;
}

/** @throws PolicyProblem */
export function readPolicy(bytes: Uint8Array, read: MaterialReader): Policy {
  const fields = membersOf(parse(bytes), 'the policy', ['default', 'transports']);
  const requirements = (value: unknown, where: string) => {
    if (!Array.isArray(value) || value.length === 0)
      throw new PolicyProblem(`${where} must be a list of requirements that is not empty`);
    return value.map((one, at) => readRequirement(one, `${where}[${at}]`, read));
  };
  const transports = new Map<string, ReadonlyMap<string, readonly Requirement[]>>();
  const given = Object.hasOwn(fields, 'transports') ? membersOf(fields['transports'], 'transports') : {};
  for (const [transport, value] of Object.entries(given)) {
    checkTransport(transport);
    const scopes = new Map<string, readonly Requirement[]>();
    for (const [scope, list] of Object.entries(membersOf(value, `transports.${transport}`))) {
      checkScope(transport, scope);
      scopes.set(scope, requirements(list, `transports.${transport}["${printable(scope)}"]`));
    }
    transports.set(transport, scopes);
  }
  return { default: requirements(fields['default'], 'default'), transports };
}

function parse(bytes: Uint8Array): unknown {
  try {
    return parseJson(bytes, MAX_POLICY_BYTES);
  } catch (error) {
    if (error instanceof JsonRefused) throw new PolicyProblem(error.message);
    throw error;
  }
}

/** The requirements of the first of `scopes` that the policy has, of the transport, or of everything. */
export function choose(policy: Policy, transport: string, scopes: readonly string[]): Chosen {
  const known = policy.transports.get(transport);
  for (const scope of [...scopes, '']) {
    const requirements = known?.get(scope);
    if (requirements !== undefined)
      return { requirements, scope: `${transport} ${scope === '' ? '""' : scope}` };
  }
  return { requirements: policy.default, scope: 'default' };
}
