import { release } from 'node:os';
import { isPluginError, PluginError } from '../../lib/base/errors/error.ts';
import type { IdMappings } from '../../lib/base/id-mapping.ts';
import { type Diagnosis, diagnose } from '../../lib/plugin/doctor.ts';
import { Store } from '../../lib/store/store.ts';
import { SysError } from '../../lib/sys/kernel/errno.ts';
import { probeCommand } from '../program/executable.ts';
import { Reported } from '../program/reported.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { explain } from '../sentences/report.ts';
import type { ExtraSettings } from '../settings/extra.ts';
import { wrapped } from '../terminal/table.ts';

export async function run(context: VerbContext<'doctor'>): Promise<void> {
  const { settings, args, env, out } = context;
  const machine = diagnose({
    storePath: settings.store,
    isRoot: process.getuid?.() === 0,
    kernelRelease: release(),
    path: env.path,
    cleanThresholdBytes: settings.cleanThresholdBytes,
    explain: (error) => explain(error, []).sentence,
  });
  const diagnoses = [...machine, ...(await settingsOf(context)), ...(await ownSettings(context))];
  if (args.options.json === true) out.json(diagnoses);
  else tell(context, diagnoses);
  if (diagnoses.some(({ verdict }) => verdict === 'problem')) throw new Reported(1);
}

/** Every fault of both settings files. */
async function settingsOf({ settings, env }: VerbContext<'doctor'>): Promise<Diagnosis[]> {
  const { checkSettings, placeInWords } = await import('../settings/check/check.ts');
  const given = { config: settings.configFile, extra: settings.extraConfigFile };
  const { files, findings } = checkSettings(given, env.path, (error) => explain(error, []).sentence);
  if (files.length > 0 && findings.length === 0)
    return [{ name: 'settings', verdict: 'ok', detail: files.join(', '), advice: '' }];
  return findings.map((one) => ({
    name: 'settings',
    verdict: one.verdict,
    detail: placeInWords(one),
    advice: one.verdict === 'problem' ? 'every key: docs/configuration.md' : '',
  }));
}

async function ownSettings(context: VerbContext<'doctor'>): Promise<Diagnosis[]> {
  const found = await extraSettings(context);
  if (found === undefined) return [];
  return [...(await repositories(context, found)), ...(await signatures(context, found))];
}

/** Diagnoses the policy for signatures, where there is one. */
async function signatures({ env }: VerbContext<'doctor'>, { trust }: ExtraSettings): Promise<Diagnosis[]> {
  if (trust?.policy === undefined) return [];
  const [{ diagnoseTrust }, { trustSettings }, { parseYaml }] = await Promise.all([
    import('../../lib/trust/doctor.ts'),
    import('../../lib/trust/settings.ts'),
    import('../sources/trust.ts'),
  ]);
  const settings = trustSettings(trust);
  const deps = { path: env.path, parseYaml, explain: (error: unknown) => explain(error, []).sentence };
  return settings === undefined ? [] : diagnoseTrust(settings, deps);
}

/** Diagnoses each CVMFS repository with the mapping of the store, or without a mapping where there is no store. */
async function repositories(
  context: VerbContext<'doctor'>,
  { cvmfs, source }: ExtraSettings,
): Promise<Diagnosis[]> {
  const { settings } = context;
  if ((cvmfs?.repositories ?? []).length === 0) return [];
  const [{ diagnoseRepositories }, { cvmfsSettings }, { NO_MEMORY }] = await Promise.all([
    import('../../lib/cvmfs/doctor.ts'),
    import('../../lib/cvmfs/settings.ts'),
    import('../../lib/cvmfs/hang-memory.ts'),
  ]);
  const now = () => Date.now();
  return diagnoseRepositories(
    {
      settings: cvmfsSettings(cvmfs, source, settings.store),
      probeCommand: probeCommand(),
      mappings: mappingsOf(settings.store),
      hangs: NO_MEMORY,
      now,
      log: context.log,
    },
    now(),
  );
}

/** Undefined where the settings cannot be read: another diagnosis says why, and the others are still printed. */
async function extraSettings({ extra }: VerbContext<'doctor'>): Promise<ExtraSettings | undefined> {
  try {
    return await extra();
  } catch (error) {
    if (error instanceof PluginError) return undefined;
    throw error;
  }
}

function mappingsOf(store: string): IdMappings {
  try {
    return Store.open(store).format.mappings;
  } catch (error) {
    // The diagnosis of the store reports the error.
    if (isPluginError(error) || error instanceof SysError) return { uids: [], gids: [] };
    throw error;
  }
}

const MARK = { ok: 'ok', warning: 'warning', problem: 'PROBLEM' } as const;
const COLOUR = { ok: 'good', warning: 'warning', problem: 'bad' } as const;
const MARK_CELLS = 9;
/** A narrower terminal gets longer lines. */
const LEAST_TEXT = 30;

function tell({ out, width }: VerbContext<'doctor'>, diagnoses: readonly Diagnosis[]): void {
  const nameCells = Math.max(...diagnoses.map(({ name }) => name.length)) + 2;
  const before = MARK_CELLS + nameCells;
  const linesOf = (text: string, indent: number) =>
    width === undefined ? [text] : wrapped(text, Math.max(LEAST_TEXT, width - indent));
  for (const { name, verdict, detail, advice } of diagnoses) {
    const [first = '', ...rest] = linesOf(detail, before);
    out.mark(
      COLOUR[verdict],
      MARK[verdict],
      `${' '.repeat(MARK_CELLS - MARK[verdict].length)}${name.padEnd(nameCells)}${first}`,
    );
    for (const line of rest) out.text(`${' '.repeat(before)}${line}`);
    const advised = advice === '' ? [] : advice.split('\n').flatMap((line) => linesOf(line, MARK_CELLS));
    for (const line of advised) out.text(`${' '.repeat(MARK_CELLS)}${line}`);
  }
}
