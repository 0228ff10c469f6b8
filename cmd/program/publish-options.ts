/** Options that the verbs of publications share. */
import { PluginError } from '../../lib/base/errors/error.ts';
import type { TargetOptions } from '../../lib/publish/open-target.ts';
import type { VerbContext } from './verb-context.ts';

const DAY_MS = 86_400_000;
const KEEP_DAYS = '30';

/** `readOnly`: nothing is changed. */
export function targetOptions(
  { args, env, signal }: VerbContext<'publish'> | VerbContext<'unpublish'>,
  text: string,
  readOnly: boolean,
): TargetOptions {
  const { 'cvmfs-server': program = 'cvmfs_server', scratch = '/var/tmp' } = args.options;
  const user = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  return { text, user, signal, readOnly, server: { program, env: env.forChildren, scratch } };
}

/** `--keep` in milliseconds. @throws CLI_BAD_VALUE */
export function keepMs(days = KEEP_DAYS): number {
  if (/^\d{1,5}$/.test(days)) return Number(days) * DAY_MS;
  throw new PluginError('CLI_BAD_VALUE', {
    flag: 'keep',
    value: days,
    type: 'text',
    reason: 'it is no number of days',
  });
}

/** Undefined: nothing is kept. @throws CLI_BAD_VALUE */
export function keepUntilOf(days: string | undefined): Date | undefined {
  const kept = keepMs(days);
  return kept === 0 ? undefined : new Date(Date.now() + kept);
}
