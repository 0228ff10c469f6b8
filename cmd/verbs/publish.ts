import { PluginError } from '../../lib/base/errors/error.ts';
import { printable } from '../../lib/base/text.ts';
import { DEFAULT_BUDGET } from '../../lib/image/pull/budget.ts';
import { formatReference, parseImageReference } from '../../lib/oci/reference.ts';
import { redactReference } from '../../lib/oci/reference-registry.ts';
import { withTarget } from '../../lib/publish/open-target.ts';
import { type Pruned, prune } from '../../lib/publish/prune.ts';
import {
  type ImageToPublish,
  type PublishDeps,
  type PublishedImage,
  publishImage,
} from '../../lib/publish/publish.ts';
import {
  type PublishableReference,
  publicName,
  requirePublishable,
} from '../../lib/publish/repository/names.ts';
import type { PublishTarget } from '../../lib/publish/targets/target.ts';
import type { Wish, WishList } from '../../lib/publish/wish-list.ts';
import { usageOf } from '../cli/definitions.ts';
import { unpackWorkerUrl } from '../program/executable.ts';
import { layersAtATime } from '../program/layers-at-a-time.ts';
import { keepMs, keepUntilOf, targetOptions } from '../program/publish-options.ts';
import { Reported } from '../program/reported.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { explain } from '../sentences/report.ts';
import { counted, shortBytes } from '../sentences/words.ts';
import { openPublishSource } from '../sources/publish-source.ts';
import { imagesOf, readWishList } from '../sources/wish-list.ts';

/** Some images failed, and all others are published. 3 is GrootFS's unknown verb. */
const SOME_FAILED = 4;

interface FailedImage {
  readonly image: string;
  readonly result: 'failed';
  readonly code: string | undefined;
  readonly error: string;
}
type Row = PublishedImage | FailedImage;

export async function run(context: VerbContext<'publish'>): Promise<void> {
  const { args, out } = context;
  const { name, json } = args.options;
  const dryRun = args.options['dry-run'] === true;
  const isPrune = args.options.prune === true;
  const images = args.positionals;
  const path = args.options['wish-list'];
  const isUnclear = isPrune || path !== undefined ? images.length > 0 : images.length === 0;
  if (isUnclear || (name !== undefined && images.length !== 1)) throw badArguments();
  const list = path === undefined ? undefined : readWishList(path);
  const to = args.options.to ?? (list?.repository === undefined ? undefined : `cvmfs:${list.repository}`);
  if (to === undefined) throw badArguments();
  const keepUntil = keepUntilOf(args.options.keep);
  await withTarget(targetOptions(context, to, dryRun), async (target, whileHeld) => {
    if (isPrune) {
      const now = new Date();
      const before = new Date(now.getTime() - keepMs(args.options.keep));
      const wanted = list && (await wantedNames(context, list, whileHeld));
      const pruned = await prune(target, { wanted, before, keepUntil, now, dryRun }, whileHeld);
      if (json === true) out.json({ target: to, dryRun, ...pruned });
      else for (const line of prunedInWords(pruned, dryRun)) out.text(line);
      return;
    }
    const wishes =
      list?.wishes ?? images.map((reference) => ({ shown: redactReference(reference), reference }));
    if (list?.outputFormat !== undefined && json !== true)
      out.text('output_format is not used: publish makes no thin images');
    const rows = await publishAll(context, target, wishes, whileHeld, { keepUntil, dryRun });
    if (json === true) out.json({ target: to, dryRun, images: rows });
    if (rows.some(({ result }) => result === 'failed')) throw new Reported(SOME_FAILED);
  });
}

function badArguments(): PluginError {
  return new PluginError('CLI_BAD_ARGUMENTS', { usage: usageOf('publish'), misplaced: undefined });
}

/**
 * The public names of all images that a list asks for. A wish that cannot be understood may mean any image, so nothing is
 * removed then. @throws PUBLISH_WISH, and what the registry of a wildcard throws
 */
async function wantedNames(
  context: VerbContext<'publish'>,
  { wishes }: WishList,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const names = new Set<string>();
  for (const wish of wishes) {
    for (const reference of await imagesOf(context, wish, signal))
      names.add(publicName(requirePublishable(parseImageReference(reference)), undefined));
  }
  return names;
}

async function publishAll(
  context: VerbContext<'publish'>,
  target: PublishTarget,
  wishes: readonly Wish[],
  signal: AbortSignal,
  { keepUntil, dryRun }: Pick<PublishDeps, 'keepUntil' | 'dryRun'>,
): Promise<Row[]> {
  const { args, log, progress, out } = context;
  const deps = { target, log, progress, signal, workerUrl: unpackWorkerUrl(), keepUntil, dryRun };
  const all = { ...deps, budget: DEFAULT_BUDGET, concurrency: layersAtATime() };
  const isPublished = (known: string) => target.repository.manifest(known) !== undefined;
  const rows: Row[] = [];
  const tell = (row: Row) => {
    if (args.options.json !== true) out.text(inWords(row, dryRun));
    rows.push(row);
  };
  for (const wish of wishes) {
    const images = await imagesOrFailure(context, wish, signal);
    if ('result' in images) tell(images);
    else
      for (const argument of images)
        tell(
          await attempt(context, argument, signal, (reference) =>
            publishImage(all, wantedImage(context, reference, isPublished)),
          ),
        );
  }
  return rows;
}

async function imagesOrFailure(
  context: VerbContext<'publish'>,
  wish: Wish,
  signal: AbortSignal,
): Promise<readonly string[] | FailedImage> {
  try {
    // Images of the command line have no wildcards.
    return context.args.options['wish-list'] === undefined && 'reference' in wish
      ? [wish.reference]
      : await imagesOf(context, wish, signal);
  } catch (error) {
    signal.throwIfAborted();
    return failed(context, wish.shown, error, []);
  }
}

function failed(
  { log, credentials }: VerbContext<'publish'>,
  image: string,
  error: unknown,
  more: readonly string[],
): FailedImage {
  const secrets = [...(credentials === undefined ? [] : [credentials.password.reveal()]), ...more];
  const { sentence } = explain(error, secrets);
  const code = error instanceof PluginError ? error.code : undefined;
  log.error('image-not-published', sentence, { image, code });
  return { image, result: 'failed', code, error: sentence };
}

function prunedInWords({ images, expired, layers }: Pruned, dryRun: boolean): string[] {
  const would = dryRun ? 'would be' : 'are';
  return [
    // An image that no wish asks for may be one that the list forgot: its name is the warning.
    ...images.map(
      (name) => `no wish asks for ${printable(name)}, which ${dryRun ? 'would be' : 'is'} taken away`,
    ),
    ...expired.map((until) => `kept until ${until}`),
    ...layers,
    `${counted(layers.length, 'layer')} and ${counted(expired.length, 'kept manifest')} ${would} removed`,
  ];
}

/** A failure of one image is told, and the others are done; a signal ends the verb. */
async function attempt(
  context: VerbContext<'publish'>,
  argument: string,
  signal: AbortSignal,
  publish: (reference: PublishableReference) => Promise<PublishedImage>,
): Promise<Row> {
  let image = redactReference(argument);
  const secrets: string[] = [];
  try {
    const reference = requirePublishable(parseImageReference(argument));
    image = formatReference(reference);
    if (reference.kind === 'registry' && reference.userinfo !== undefined)
      secrets.push(reference.userinfo.password.reveal());
    return await publish(reference);
  } catch (error) {
    signal.throwIfAborted();
    return failed(context, image, error, secrets);
  }
}

function wantedImage(
  context: VerbContext<'publish'>,
  reference: PublishableReference,
  isPublished: (name: string) => boolean,
): ImageToPublish {
  const name = publicName(reference, context.args.options.name);
  const requireDigest = context.args.options['require-digest'] === true;
  return {
    image: formatReference(reference),
    name,
    open: (documents) =>
      openPublishSource(context, reference, documents, { requireDigest, known: isPublished(name) }),
  };
}

function inWords(row: Row, dryRun: boolean): string {
  if (row.result === 'failed') return `${row.image}: ${row.error}`;
  if (row.result === 'present') return `${row.image}: published before as ${row.name}`;
  const bytes = shortBytes(row.fetched.reduce((sum, layer) => sum + layer.bytes, 0));
  const would = dryRun ? 'would be ' : '';
  const news = `${would}published as ${row.name}: ${row.fetched.length} of ${counted(row.layers, 'layer')} fetched, ${bytes}`;
  const lost = [
    row.lost.owners ? 'owners and set-id bits, since only root can give files away' : undefined,
    row.lost.devices > 0 ? `${row.lost.devices} device nodes` : undefined,
    row.lost.xattrs > 0 ? `${row.lost.xattrs} extended attributes` : undefined,
  ].filter((part) => part !== undefined);
  return `${row.image}: ${news}${lost.length === 0 ? '' : `; not kept: ${lost.join(', ')}`}`;
}
