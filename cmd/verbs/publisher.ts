import { PluginError } from '../../lib/base/errors/error.ts';
import { silentProgress } from '../../lib/base/progress.ts';
import { DEFAULT_BUDGET } from '../../lib/image/pull/budget.ts';
import type { RegistryReference } from '../../lib/oci/reference.ts';
import { ImageDocuments } from '../../lib/publish/documents.ts';
import { withTarget } from '../../lib/publish/open-target.ts';
import { publishImage } from '../../lib/publish/publish.ts';
import { publicName } from '../../lib/publish/repository/names.ts';
import type { PublishTarget } from '../../lib/publish/targets/target.ts';
import { type Job, Queue } from '../../lib/publisher/queue.ts';
import { listen } from '../../lib/publisher/server.ts';
import {
  type PublisherSettings,
  publisherSettings,
  refuseRoot,
  rulesFor,
} from '../../lib/publisher/settings.ts';
import { tokenFrom } from '../../lib/publisher/token.ts';
import { Worker } from '../../lib/publisher/worker.ts';
import { RegistryClient } from '../../lib/registry/client.ts';
import { withLock } from '../../lib/sys/exclusive/lock.ts';
import { unpackWorkerUrl } from '../program/executable.ts';
import { layersAtATime } from '../program/layers-at-a-time.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { explain } from '../sentences/report.ts';
import { openPublishSource } from '../sources/publish-source.ts';
import { policyOf } from '../sources/registry-source.ts';

/** Milliseconds before the second attempt of a publication that failed for a while. */
const PAUSE_MS = 30_000;
/** Milliseconds for the body of a request, which is small. */
const BODY_MS = 10_000;
/** Days for which the image before is kept when its tag has moved on, as with `publish`. */
const KEEP_DAYS = 30;
const DAY_MS = 86_400_000;

type Context = VerbContext<'publisher'>;
type User = { readonly uid: number; readonly gid: number };

export async function run(context: Context): Promise<void> {
  const { log, signal, out } = context;
  const { publisher, source } = await context.extra();
  if (publisher === undefined) throw new PluginError('PUBLISHER_NO_SETTINGS', { source });
  const settings = publisherSettings(publisher);
  const user = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  refuseRoot(settings, user.uid);
  const hasToken = tokenFrom(settings.tokenFile, user.uid);
  const lock = { timeoutMs: 0, what: `the queue ${settings.queue}`, signal };
  await withLock(`${settings.queue}/lock`, lock, async (whileHeld) => {
    const queue = new Queue(settings.queue, settings.maxQueued, log);
    const worker = new Worker({
      queue,
      maxPerHour: settings.maxPerHour,
      publish: (job) => publishJob(context, settings, user, job),
      explain: (error) => explain(error, []).sentence,
      log,
      now: () => Date.now(),
      pauseMs: PAUSE_MS,
    });
    const agent = listen({ settings, hasToken, queue, worker, log, bodyMs: BODY_MS });
    out.text(`listening on ${settings.hostname}:${agent.port}`);
    try {
      await worker.run(AbortSignal.any([signal, whileHeld]));
    } finally {
      await agent.stop();
    }
    if (!signal.aborted) whileHeld.throwIfAborted();
  });
}

/** Publishes an image into the targets of its rules. A publication that has begun is not broken off by a signal. */
async function publishJob(
  context: Context,
  settings: PublisherSettings,
  user: User,
  job: Job,
): Promise<void> {
  const { env } = context;
  const { registry, repository, tag, digest } = job;
  const reference: RegistryReference = {
    kind: 'registry',
    registry,
    repository,
    tag,
    digest,
    userinfo: undefined,
  };
  const rules = rulesFor(settings.allow, repository).filter((rule) => rule.registry === registry);
  const targets = new Set(rules.flatMap((rule) => rule.targets));
  if (targets.size === 0)
    throw new PluginError('PUBLISHER_NOT_ALLOWED', { image: publicName(reference, undefined) });
  const { signal } = new AbortController();
  const server = { program: 'cvmfs_server', env: env.forChildren, scratch: '/var/tmp' };
  for (const text of targets)
    await withTarget({ text, user, signal, readOnly: false, server }, (target, whileHeld) =>
      publishInto(context, reference, target, whileHeld),
    );
}

async function publishInto(
  context: Context,
  reference: RegistryReference,
  target: PublishTarget,
  signal: AbortSignal,
): Promise<void> {
  const { log } = context;
  const name = publicName(reference, undefined);
  await requireCurrentTag(context, reference, new ImageDocuments(target.repository, name), signal);
  const known = target.repository.manifest(name) !== undefined;
  const deps = {
    target,
    log,
    progress: silentProgress,
    signal,
    workerUrl: unpackWorkerUrl(),
    budget: DEFAULT_BUDGET,
    concurrency: layersAtATime(),
    keepUntil: new Date(Date.now() + KEEP_DAYS * DAY_MS),
    dryRun: false,
  };
  await publishImage(deps, {
    image: name,
    name,
    open: (documents) => openPublishSource(context, reference, documents, { requireDigest: true, known }),
  });
}

/**
 * A request may be old, or sent again by somebody who heard it: the image that it names is published only while the
 * registry itself gives the tag that digest. @throws PUBLISHER_TAG_MOVED, and what the registry's client throws
 */
async function requireCurrentTag(
  context: Context,
  reference: RegistryReference,
  cache: ImageDocuments,
  signal: AbortSignal,
): Promise<void> {
  const { tag = '', digest = '' } = reference;
  const policy = await policyOf(context, false);
  const client = new RegistryClient({
    reference,
    credentials: undefined,
    policy,
    cache,
    partials: undefined,
    log: context.log,
  });
  try {
    const { digest: now } = await client.byTag(tag, false, signal);
    if (now === digest) return;
    throw new PluginError('PUBLISHER_TAG_MOVED', { image: publicName(reference, undefined), digest, now });
  } finally {
    client.close();
  }
}
