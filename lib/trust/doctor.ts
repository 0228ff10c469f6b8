/** The diagnoses of the policy for signatures: can it be judged by, and does it let Garden work. */
import { isPluginError } from '../base/errors/error.ts';
import { readConfiguration } from './configuration.ts';
import { findGpgv } from './gpg/gpgv.ts';
import { choose, type Policy } from './policy/read-policy.ts';
import { readRules } from './rules.ts';
import type { TrustSettings } from './settings.ts';

export interface TrustDiagnosis {
  readonly name: string;
  readonly verdict: 'ok' | 'warning' | 'problem';
  readonly detail: string;
  /** The operator's next action; empty when all is well. */
  readonly advice: string;
}

export interface TrustDoctorDeps {
  /** Directories with programs, colon-separated. */
  readonly path: string;
  /** @throws CONFIG_SYNTAX */
  readonly parseYaml: (path: string, text: string) => Promise<unknown>;
  /** The sentence for an error. */
  readonly explain: (error: unknown) => string;
}

const NAME = 'signatures';

export async function diagnoseTrust(
  settings: TrustSettings,
  deps: TrustDoctorDeps,
): Promise<TrustDiagnosis[]> {
  try {
    const { policy } = await readRules(settings, readConfiguration(settings), deps.parseYaml);
    return [summary(settings, policy), ...gpgv(policy, deps.path), ...rootfs(settings, policy)];
  } catch (error) {
    if (!isPluginError(error)) throw error;
    const advice = 'every create fails until it is mended; docs/trust.md has an example';
    return [{ name: NAME, verdict: 'problem', detail: deps.explain(error), advice }];
  }
}

function summary({ policy: path }: TrustSettings, policy: Policy): TrustDiagnosis {
  const scopes = [...policy.transports.values()].reduce((sum, { size }) => sum + size, 0);
  const standard = policy.default.map(({ type }) => type).join(', ');
  return { name: NAME, verdict: 'ok', detail: `${path}: ${scopes} scopes, default ${standard}`, advice: '' };
}

function gpgv(policy: Policy, path: string): TrustDiagnosis[] {
  const lists = [
    policy.default,
    ...[...policy.transports.values()].flatMap((scopes) => [...scopes.values()]),
  ];
  if (!lists.flat().some(({ type }) => type === 'signedBy')) return [];
  const found = findGpgv(path);
  if (found !== undefined) return [{ name: 'gpgv', verdict: 'ok', detail: found, advice: '' }];
  const advice = 'install the package gpgv: images that need a GPG signature are refused without it';
  return [{ name: 'gpgv', verdict: 'problem', detail: 'not in PATH', advice }];
}

/** Garden's own root filesystems are tars, and the layouts that it writes around them have invented digests. */
function rootfs({ policy: path }: TrustSettings, policy: Policy): TrustDiagnosis[] {
  const refused = (['tarball', 'oci'] as const).filter((transport) =>
    choose(policy, transport, []).requirements.some(({ type }) => type !== 'insecureAcceptAnything'),
  );
  if (refused.length === 0) return [];
  const detail = `${path} refuses images of the ${refused.length > 1 ? 'transports' : 'transport'} ${refused.join(' and ')}`;
  const advice =
    'Garden makes containers of stacks and buildpack apps from such images; accept them: ' +
    '"tarball": {"": [{"type": "insecureAcceptAnything"}]}, and the same for "oci"';
  return [{ name: 'root filesystems', verdict: 'warning', detail, advice }];
}
