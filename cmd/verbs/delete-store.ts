import { existsSync } from 'node:fs';
import { removeStore } from '../../lib/store/init/remove-store.ts';
import { Layout } from '../../lib/store/layout/layout.ts';
import { storeExists, storeRoot } from '../../lib/store/store.ts';
import { runProgram } from '../program/run-program.ts';
import type { VerbContext } from '../program/verb-context.ts';

/** What is not there is deleted; what is not graft's is refused, untouched. */
export async function run({ settings, env, log }: VerbContext<'delete-store'>): Promise<void> {
  const layout = new Layout(storeRoot(settings.store));
  if (!storeExists(layout) && !existsSync(layout.backing)) return;
  await removeStore(layout, { run: runProgram(env), log, directIo: false });
}
