import { PluginError } from '../../lib/base/errors/error.ts';
import { type CheckedFinding, checkStore } from '../../lib/plugin/check.ts';
import { Store } from '../../lib/store/store.ts';
import { Reported } from '../program/reported.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { columns } from '../terminal/table.ts';

export async function run({ settings, args, log, out }: VerbContext<'check'>): Promise<void> {
  const store = Store.open(settings.store);
  const tried = args.options.repair === true;
  const findings = await checkStore(store, tried, log);
  const left = findings.filter(({ state }) => state !== 'repaired');
  if (args.options.json === true) {
    out.json(findings);
    if (left.length > 0) throw new Reported(1);
    return;
  }
  for (const line of forPeople(findings)) out.text(line);
  if (left.length > 0) throw new PluginError('STORE_FINDINGS', summary(store, left, tried));
  if (findings.length > 0) out.text('Nothing is wrong any more.');
}

function forPeople(findings: readonly CheckedFinding[]): string[] {
  if (findings.length === 0) return ['Nothing is wrong.'];
  const state = { found: '', 'found-repairable': 'repairable', repaired: 'repaired', failed: 'not repaired' };
  return columns(
    findings.map((finding) => [finding.kind, finding.what, finding.detail, state[finding.state]]),
  );
}

function summary(store: Store, left: readonly CheckedFinding[], tried: boolean) {
  const repairable = left.filter(({ state }) => state === 'found-repairable').length;
  return { store: store.layout.root, found: left.length, repairable, tried };
}
