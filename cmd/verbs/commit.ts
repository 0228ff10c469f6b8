import { PluginError } from '../../lib/base/errors/error.ts';
import { printable } from '../../lib/base/text.ts';
import { parseChange } from '../../lib/commit/image/changes.ts';
import { DEFAULT_BUDGET } from '../../lib/image/pull/budget.ts';
import { platformOf } from '../../lib/oci/platform.ts';
import { type LayoutReference, parseImageReference } from '../../lib/oci/reference.ts';
import { type Committed, commitContainer } from '../../lib/plugin/commit.ts';
import { Store } from '../../lib/store/store.ts';
import { cpuVariant } from '../../lib/sys/kernel/cpu.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { shortBytes } from '../sentences/words.ts';
import { commitBase } from '../sources/commit-base.ts';

export async function run(context: VerbContext<'commit'>): Promise<void> {
  const { settings, args, log, signal, out } = context;
  const [container = '', argument = ''] = args.positionals;
  const { squash, message, author, change } = args.options;
  const target = targetOf(argument);
  const changes = (change ?? []).map(parseChange);
  const store = Store.open(settings.store);
  const committed = await commitContainer(
    {
      store,
      base: (record) => commitBase(context, store, record),
      platform: platformOf(process.arch, cpuVariant),
      budget: DEFAULT_BUDGET,
      now: () => new Date(),
      log,
      signal,
    },
    { container, target, squash: squash === true, message, author, changes },
  );
  for (const line of forPeople(argument, committed)) out.text(line);
}

/** @throws COMMIT_TARGET, BAD_REFERENCE, IMAGE_SCHEME */
function targetOf(argument: string): LayoutReference & { readonly ref: string } {
  const refuse = (reason: string) =>
    new PluginError('COMMIT_TARGET', { target: printable(argument), reason });
  const reference = parseImageReference(argument);
  if (reference.kind !== 'oci') throw refuse('a target is written oci:/DIRECTORY:REF');
  const { ref } = reference;
  if (ref === undefined || ref.startsWith('@'))
    throw refuse('it lacks a name for the image; write oci:/DIRECTORY:REF');
  return { ...reference, ref };
}

function forPeople(target: string, { digest, layer, entries, ...rest }: Committed): string[] {
  const { sockets, devices, snapshot, withoutConfig } = rest;
  return [
    `${target}@${digest}: a layer of ${shortBytes(layer.size)} with ${entries} entries`,
    ...(sockets + devices > 0 ? [`left out: ${sockets} sockets and ${devices} devices`] : []),
    ...(snapshot ? [] : ['read without a snapshot']),
    ...(withoutConfig
      ? ["the image's configuration could not be read: the new one has what --change says"]
      : []),
  ];
}
