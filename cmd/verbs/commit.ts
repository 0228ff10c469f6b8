import { PluginError } from '../../lib/base/errors/error.ts';
import { printable } from '../../lib/base/text.ts';
import { parseChange } from '../../lib/commit/image/changes.ts';
import { DEFAULT_BUDGET } from '../../lib/image/pull/budget.ts';
import { platformOf } from '../../lib/oci/platform.ts';
import {
  formatReference,
  type LayoutReference,
  parseImageReference,
  type RegistryReference,
} from '../../lib/oci/reference.ts';
import { type CommitBase, type Committed, commitContainer } from '../../lib/plugin/commit.ts';
import type { CommitTarget } from '../../lib/plugin/commit-target.ts';
import { toLayout } from '../../lib/plugin/commit-to-layout.ts';
import { toRegistry } from '../../lib/plugin/commit-to-registry.ts';
import { PushClient } from '../../lib/registry/push/push-client.ts';
import { Store } from '../../lib/store/store.ts';
import { cpuVariant } from '../../lib/sys/kernel/cpu.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { counted, shortBytes } from '../sentences/words.ts';
import { commitBase } from '../sources/commit-base.ts';
import { policyOf } from '../sources/registry-source.ts';

type Target = RegistryReference | (LayoutReference & { readonly ref: string });

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
      base: (record) => commitBase(context, store, record, target.kind === 'registry' ? target : undefined),
      target: (base) => openTarget(context, store, target, base),
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

/** @throws COMMIT_TARGET, BAD_REFERENCE, IMAGE_SCHEME */
function targetOf(argument: string): Target {
  const refuse = (target: string, reason: string) => new PluginError('COMMIT_TARGET', { target, reason });
  const reference = parseImageReference(argument);
  switch (reference.kind) {
    case 'registry': {
      if (reference.digest === undefined) return reference;
      throw refuse(formatReference(reference), 'the digest of a new image cannot be chosen; write a tag');
    }
    case 'oci': {
      const { ref } = reference;
      if (ref !== undefined && !ref.startsWith('@')) return { ...reference, ref };
      throw refuse(printable(argument), 'it lacks a name for the image; write oci:/DIRECTORY:REF');
    }
    default:
      throw refuse(printable(argument), 'a target is written oci:/DIRECTORY:REF or docker://HOST/NAME:TAG');
  }
}

async function openTarget(
  context: VerbContext<'commit'>,
  store: Store,
  target: Target,
  base: CommitBase | undefined,
): Promise<CommitTarget> {
  if (target.kind === 'oci') return toLayout(target);
  const { credentials, log, progress } = context;
  const policy = await policyOf(context, false);
  const from = base?.reference;
  const mountFrom = from?.registry === target.registry ? [from.repository] : [];
  const client = new PushClient({ reference: target, credentials, policy, mountFrom, log });
  const { parallel } = policy;
  return toRegistry({ reference: target, client, directory: store.layout.tmp, parallel, progress });
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
