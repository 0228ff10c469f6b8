import { existsSync } from 'node:fs';
import { PluginError } from '../../lib/base/errors/error.ts';
import { removeStore } from '../../lib/store/init/remove-store.ts';
import { Layout } from '../../lib/store/layout/layout.ts';
import { storeExists, storeRoot } from '../../lib/store/opened.ts';
import { readLine } from '../../lib/sys/kernel/read.ts';
import { runProgram } from '../program/run-program.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { counted, shortBytes } from '../sentences/words.ts';
import { isTerminal } from '../terminal/terminal.ts';

/**
 * Deletes the store. A missing store is a success; a directory that is no store of graft is refused unchanged. Only a person
 * at a terminal is asked: scripts that were written for GrootFS get no question.
 */
export async function run(context: VerbContext<'delete-store'>): Promise<void> {
  const { settings, args, env, log, out, say } = context;
  const layout = new Layout(storeRoot(settings.store));
  if (!storeExists(layout) && !existsSync(layout.backing)) return;
  const dryRun = args.options['dry-run'] === true;
  const asks = args.options.yes !== true && isTerminal(STDIN) && isTerminal(STDOUT);
  if (dryRun || asks) {
    const words = await outline(layout);
    if (dryRun) {
      out.text(`would delete ${words}`);
      return;
    }
    say(`This deletes ${words}. Type yes to go on:`);
    const answer = new TextDecoder().decode(readLine(STDIN, MAX_ANSWER, 'the terminal'));
    if (answer.trim() !== 'yes') throw new PluginError('CLI_NOT_CONFIRMED', { store: layout.root });
  }
  await removeStore(layout, { run: runProgram(env), log, directIo: false });
}

const STDIN = 0;
const STDOUT = 1;
const MAX_ANSWER = 64;

/** `the store /s with 2 root filesystems (a, b), 3 layers of 8 MiB and the file /s.backing-store (1 GiB)`. */
async function outline(layout: Layout): Promise<string> {
  const { storeOutline } = await import('../../lib/plugin/store-outline.ts');
  const { store, images, layers, layerBytes, backing } = storeOutline(layout);
  const file = backing && `the file ${backing.path} (${shortBytes(backing.onDiskBytes)} on the disk)`;
  if (images === undefined)
    return [`the store ${store}, which is not open`, file].filter(Boolean).join(', and ');
  const shown = images.slice(0, 3).join(', ') + (images.length > 3 ? ', …' : '');
  const names = images.length === 0 ? '' : ` (${shown})`;
  const parts = [
    `${counted(images.length, 'root filesystem')}${names}`,
    `${counted(layers, 'layer')} of ${shortBytes(layerBytes)}`,
    ...(file === undefined ? [] : [file]),
  ];
  return `the store ${store} with ${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
}
