import { existsSync } from 'node:fs';
import { PluginError } from '../../lib/base/errors/error.ts';
import { DEFAULT_BUDGET } from '../../lib/image/pull/budget.ts';
import { containerFragment, containerRecord } from '../../lib/plugin/container-fragment.ts';
import { createImage } from '../../lib/plugin/create.ts';
import { deleteImage } from '../../lib/plugin/delete.ts';
import type { RuntimeSpec } from '../../lib/plugin/runtime-spec.ts';
import { requireCommand } from '../../lib/runtime/command.ts';
import { findRuntime, startContainer } from '../../lib/runtime/runtime.ts';
import { wholeSpec } from '../../lib/runtime/spec.ts';
import {
  type ImageId,
  imageIdOrUndefined,
  parseIdOrPath,
  parseImageId,
} from '../../lib/store/layout/image-id.ts';
import { Store } from '../../lib/store/store.ts';
import { unpackWorkerUrl } from '../program/executable.ts';
import { Forwarding } from '../program/forwarding.ts';
import { layersAtATime } from '../program/layers-at-a-time.ts';
import { Reported } from '../program/reported.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { containerConfig } from '../sources/container-config.ts';
import { cvmfsFor } from '../sources/cvmfs.ts';
import { authenticate, openSource } from '../sources/source.ts';
import { requireTrusted } from '../sources/trust.ts';
import { isTerminal } from '../terminal/terminal.ts';

/** A root filesystem for the process, and what it was made of. */
interface Prepared {
  readonly id: ImageId;
  readonly image: string;
  readonly fragment: RuntimeSpec;
  /** Made by this call, which deletes it again. */
  readonly isOwn: boolean;
}

export async function run(context: VerbContext<'run'>): Promise<void> {
  const { settings, args, env } = context;
  const [subject, ...command] = args.positionals;
  if (subject === undefined || subject === '')
    throw new PluginError('CLI_BAD_ARGUMENTS', {
      usage: 'run [options] <image|id> [-- command…]',
      misplaced: undefined,
    });
  const runtime = findRuntime(args.options.runtime, env.path);
  const store = Store.open(settings.store);
  const forwarding = new Forwarding();
  const known = existing(store, subject);
  const prepared =
    known === undefined
      ? await make(context, store, subject, forwarding.signal)
      : await take(context, store, known, forwarding.signal);
  let exitCode: number;
  try {
    exitCode = await start(context, store, { prepared, command, runtime, forwarding });
  } finally {
    await discard(context, prepared);
  }
  if (exitCode !== 0) throw new Reported(exitCode);
}

/** The container that the argument names; undefined for an image. @throws IMAGE_NOT_FOUND for what can be neither */
function existing(store: Store, subject: string): ImageId | undefined {
  if (subject.startsWith(`${store.layout.root}/images/`)) return parseIdOrPath(subject, store.layout.root);
  const id = imageIdOrUndefined(subject);
  if (id === undefined) return undefined;
  if (store.images.exists(id)) return id;
  if (existsSync(subject)) return undefined;
  throw new PluginError('IMAGE_NOT_FOUND', { id });
}

async function make(
  context: VerbContext<'run'>,
  store: Store,
  image: string,
  signal: AbortSignal,
): Promise<Prepared> {
  const { settings, args, log, progress, metrics } = context;
  const { diskLimitBytes: bytes, excludeImageFromQuota: exclusive } = settings.create;
  const id = parseImageId(args.options.id ?? `run-${crypto.randomUUID().slice(0, 8)}`);
  const source = await openSource(context, image, store, args.options['require-digest'] === true);
  try {
    const deps = {
      ...{ store, source, log, progress, metrics, signal },
      workerUrl: unpackWorkerUrl(),
      budget: DEFAULT_BUDGET,
      concurrency: layersAtATime(),
      cvmfs: cvmfsFor(context, store),
      authenticate: () => authenticate(context),
    };
    const limit = bytes === 0 ? undefined : { bytes, exclusive };
    const fragment = await createImage(deps, { id, limit, mount: true });
    return { id, image, fragment, isOwn: true };
  } finally {
    await source.close();
  }
}

/** A container of somebody else: its image has to pass the policy for signatures as for a create. */
async function take(
  context: VerbContext<'run'>,
  store: Store,
  id: ImageId,
  signal: AbortSignal,
): Promise<Prepared> {
  const record = containerRecord(store, id);
  await requireTrusted(context, record, store, signal);
  const config = await containerConfig(context, store, { id, record }, signal);
  return { id, image: record.image, fragment: containerFragment(store, id, config), isOwn: false };
}

interface Start {
  readonly prepared: Prepared;
  readonly command: readonly string[];
  readonly runtime: string;
  readonly forwarding: Forwarding;
}

async function start(
  { args, env, stderr }: VerbContext<'run'>,
  store: Store,
  { prepared, command, runtime, forwarding }: Start,
): Promise<number> {
  const { image, fragment, isOwn } = prepared;
  const hostNetwork = args.options['host-network'] === true;
  const { process, root } = fragment;
  requireCommand(root.path, command.length > 0 ? { ...process, args: command } : process, image);
  const terminal = isTerminal(0) && isTerminal(1);
  // The runtime makes the file below the mount where the image has none, which only a container of one's own may get.
  const files = hostNetwork && isOwn ? [RESOLVER].filter((path) => existsSync(path)) : [];
  const { mappings } = store.format;
  const term = env.term;
  const spec = wholeSpec(fragment, {
    command,
    terminal,
    term,
    hostNetwork,
    hostname: HOSTNAME,
    files,
    mappings,
  });
  forwarding.signal.throwIfAborted();
  const name = `graft-${crypto.randomUUID()}`;
  const running = startContainer(store, { runtime, name, spec, terminal, stderr, env: env.forChildren });
  forwarding.to(running);
  return running.ended;
}

const RESOLVER = '/etc/resolv.conf';
const HOSTNAME = 'graft';

async function discard(
  { args, settings, log, say }: VerbContext<'run'>,
  { id, isOwn }: Prepared,
): Promise<void> {
  if (!isOwn) return;
  if (args.options.keep === true) say(`kept: ${id}; graft delete ${id} deletes it`);
  else await deleteImage(settings.store, id, log);
}
