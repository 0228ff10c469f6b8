import { parseChange } from '../../lib/commit/image/changes.ts';
import { DEFAULT_BUDGET } from '../../lib/image/pull/budget.ts';
import { platformOf } from '../../lib/oci/machine.ts';
import { formatReference } from '../../lib/oci/reference.ts';
import { type Committed, commitContainer } from '../../lib/plugin/commit.ts';
import { Store } from '../../lib/store/store.ts';
import { cpuVariant } from '../../lib/sys/kernel/cpu.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { counted, shortBytes } from '../sentences/words.ts';
import { commitBase } from '../sources/commit-base.ts';
import { newImageOf, openNewImage } from '../sources/new-image.ts';

export async function run(context: VerbContext<'commit'>): Promise<void> {
  const { settings, args, log, signal, out } = context;
  const [container = '', argument = ''] = args.positionals;
  const { squash, message, author, change } = args.options;
  const target = newImageOf(argument);
  const changes = (change ?? []).map(parseChange);
  const store = Store.open(settings.store);
  const committed = await commitContainer(
    {
      store,
      base: (record) => commitBase(context, store, record, target.kind === 'registry' ? target : undefined),
      target: (base) => openNewImage(context, target, store.layout.tmp, base?.reference),
      platform: platformOf(process.arch, cpuVariant),
      budget: DEFAULT_BUDGET,
      now: () => new Date(),
      log,
      signal,
    },
    { container, squash: squash === true, message, author, changes },
  );
  for (const line of forPeople(target.kind === 'registry' ? formatReference(target) : argument, committed))
    out.text(line);
}

function forPeople(target: string, { digest, layer, entries, ...rest }: Committed): string[] {
  const { sockets, devices, snapshot, withoutConfig } = rest;
  return [
    `${target}@${digest}: a layer of ${shortBytes(layer.size)} with ${counted(entries, 'entry', 'entries')}`,
    ...(sockets + devices > 0
      ? [`left out: ${counted(sockets, 'socket')} and ${counted(devices, 'device')}`]
      : []),
    ...(snapshot ? [] : ['read without a snapshot']),
    ...(withoutConfig
      ? ["the image's configuration could not be read: the new one has what --change says"]
      : []),
  ];
}
