import { PluginError } from '../../lib/base/errors/error.ts';
import { type CheckedFinding, checkStore } from '../../lib/plugin/check.ts';
import { Store } from '../../lib/store/store.ts';
import { probeCommand } from '../program/executable.ts';
import { Reported } from '../program/reported.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { columns, wrapped } from '../terminal/table.ts';

export async function run(context: VerbContext<'check'>): Promise<void> {
  const { settings, args, log, out } = context;
  const store = Store.open(settings.store);
  if (args.options.policy === true) return runPolicy(context, store);
  const tried = args.options.repair === true;
  const findings = await checkStore(store, tried, log, probeCommand());
  const left = findings.filter(({ state }) => state !== 'repaired');
  if (args.options.json === true) {
    out.json(findings);
    if (left.length > 0) throw new Reported(1);
    return;
  }
  for (const line of forPeople(findings, context.width)) out.text(line);
  if (tried && findings.length > 0)
    out.text(`${findings.length - left.length} repaired, ${left.length} left.`);
  if (left.length > 0) throw new PluginError('STORE_FINDINGS', summary(store, left, tried));
  if (findings.length > 0) out.text('Nothing is wrong any more.');
}

async function runPolicy(context: VerbContext<'check'>, store: Store): Promise<void> {
  const { args, out, signal } = context;
  if (args.options.repair === true)
    throw new PluginError('CLI_BAD_ARGUMENTS', {
      usage: 'check --repair, or check --policy',
      misplaced: undefined,
    });
  const { trust } = await context.extra();
  if (trust?.policy === undefined) throw new PluginError('TRUST_NO_POLICY', {});
  const [{ checkPolicy }, { guardOf }, { explain }] = await Promise.all([
    import('../../lib/plugin/check-policy.ts'),
    import('../sources/trust.ts'),
    import('../sentences/report.ts'),
  ]);
  const findings = (await checkPolicy(store, (image) => guardOf(context, trust, image, store), signal)).map(
    ({ error, ...rest }) => ({ ...rest, detail: explain(error, []).sentence }),
  );
  const refused = findings.filter(({ verdict }) => verdict === 'refused').length;
  if (args.options.json === true) out.json(findings);
  else if (findings.length === 0) out.text('Every container and every cached image may run.');
  else
    for (const line of columns(findings.map((one) => [one.kind, one.what, one.verdict, one.detail])))
      out.text(line);
  if (findings.length === 0) return;
  if (args.options.json === true) throw new Reported(1);
  throw new PluginError('TRUST_FINDINGS', { refused, unknown: findings.length - refused });
}

function forPeople(findings: readonly CheckedFinding[], width: number | undefined): string[] {
  if (findings.length === 0) return ['Nothing is wrong.'];
  const state = { found: '', 'found-repairable': 'repairable', repaired: 'repaired', failed: 'not repaired' };
  // On a terminal a sentence has lines of its own, where a table would break it anywhere.
  if (width !== undefined)
    return findings.flatMap(({ kind, what, detail, state: how }) => [
      `${kind}  ${what}${state[how] === '' ? '' : `  (${state[how]})`}`,
      ...wrapped(detail, Math.max(MIN_TEXT, width - 2)).map((line) => `  ${line}`),
    ]);
  return columns(
    findings.map((finding) => [finding.kind, finding.what, finding.detail, state[finding.state]]),
  );
}

/** The fewest columns of a sentence, on a narrow terminal too. */
const MIN_TEXT = 30;

function summary(store: Store, left: readonly CheckedFinding[], tried: boolean) {
  const repairable = left.filter(({ state }) => state === 'found-repairable').length;
  return { store: store.layout.root, found: left.length, repairable, tried };
}
