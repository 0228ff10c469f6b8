import { PluginError } from '../../lib/base/errors/error.ts';
import { containerFragment, containerRecord } from '../../lib/plugin/container-fragment.ts';
import { wholeSpec } from '../../lib/runtime/spec.ts';
import { parseIdOrPath } from '../../lib/store/layout/image-id.ts';
import { Store } from '../../lib/store/store.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { containerConfig } from '../sources/container-config.ts';

export async function run(context: VerbContext<'spec'>): Promise<void> {
  const { settings, args, env, out, signal } = context;
  const [subject, ...command] = args.positionals;
  if (subject === undefined || subject === '')
    throw new PluginError('CLI_BAD_ARGUMENTS', {
      usage: 'spec [options] <id|image path> [-- command…]',
      misplaced: undefined,
    });
  const store = Store.open(settings.store);
  const id = parseIdOrPath(subject, store.layout.root);
  const record = containerRecord(store, id);
  const config = await containerConfig(context, store, { id, record }, signal);
  const fragment = containerFragment(store, id, config);
  if (command.length === 0 && (fragment.process.args ?? []).length === 0)
    throw new PluginError('RUN_NO_COMMAND', { image: record.image });
  out.json(
    wholeSpec(fragment, {
      command,
      terminal: args.options.terminal === true,
      term: env.term,
      hostNetwork: args.options['host-network'] === true,
      hostname: 'graft',
      files: [],
      mappings: store.format.mappings,
    }),
  );
}
