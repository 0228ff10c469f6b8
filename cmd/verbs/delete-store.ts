import { existsSync } from 'node:fs';
import { removeStore } from '../../lib/store/init/remove-store.ts';
import { Layout } from '../../lib/store/layout/layout.ts';
import { storeExists, storeRoot } from '../../lib/store/opened.ts';
import { runProgram } from '../program/run-program.ts';
import type { VerbContext } from '../program/verb-context.ts';

/** Deletes the store. A missing store is a success; a directory that is no store of graft is refused unchanged. */
export async function run({ settings, env, log }: VerbContext<'delete-store'>): Promise<void> {
  const layout = new Layout(storeRoot(settings.store));
  if (!storeExists(layout) && !existsSync(layout.backing)) return;
  await removeStore(layout, { run: runProgram(env), log, directIo: false });
}
