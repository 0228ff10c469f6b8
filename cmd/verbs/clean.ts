import { isPluginError, PluginError } from '../../lib/base/errors/error.ts';
import { type Cleaned, cleanStore } from '../../lib/plugin/clean.ts';
import { tellLayers } from '../../lib/plugin/metrics/store-metrics.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { counted, keptSentence, shortBytes } from '../sentences/words.ts';

export async function run(context: VerbContext<'clean'>): Promise<void> {
  const { settings, args, log, metrics, out } = context;
  const started = performance.now();
  const { cache } = await context.extra();
  const request = {
    storePath: settings.store,
    thresholdBytes: settings.cleanThresholdBytes,
    keep: cache?.keep,
    dryRun: args.options['dry-run'] === true,
    metrics,
  };
  let left: Cleaned | undefined;
  log.info('groot-cleaning.starting', { thresholdBytes: settings.cleanThresholdBytes });
  try {
    const cleaned = await cleanStore(request, log);
    metrics.duration('ImageCleanTime', performance.now() - started);
    report(context, cleaned);
    left = cleaned;
  } catch (error) {
    // Without a store there is nothing to clean; GrootFS gives the same answer.
    if (!isPluginError(error, 'STORE_MISSING')) {
      metrics.duration('ImageCleanTime', performance.now() - started);
      tellLayers(metrics, settings.store, log);
      throw error;
    }
    log.error('store-path-failed', `no store found at ${settings.store}`, { store: settings.store });
    out.text(`no store found at ${settings.store}`);
  }
  log.info('groot-cleaning.ending');
  if (left !== undefined) refuseLeft(settings.store, left);
}

/** @throws CLEAN_INCOMPLETE */
function refuseLeft(store: string, cleaned: Cleaned): void {
  if (!('left' in cleaned)) return;
  const [first] = cleaned.left;
  if (first === undefined) return;
  const { path, errno } = first;
  throw new PluginError('CLEAN_INCOMPLETE', { store, left: cleaned.left.length, path, errno });
}

type Freed = Extract<Cleaned, { kind: 'cleaned' }>;

function freedFacts({ volumes, freedBytes, idleBytes, spared }: Freed) {
  return { volumes, freedBytes, idleBytes, keptImages: spared.images, keptBytes: spared.diskBytes };
}

function freedSentence({ volumes, freedBytes, idleBytes, spared }: Freed): string {
  const kept =
    spared.images === 0
      ? ''
      : `; ${counted(spared.images, 'image')} kept with ${shortBytes(spared.diskBytes)}`;
  const idle = idleBytes === 0 ? '' : `; ${shortBytes(idleBytes)} of unused layers stay, used more recently`;
  return `deleted ${counted(volumes, 'layer')} and freed ${shortBytes(freedBytes)}${kept}${idle}`;
}

function report({ metrics, out, log, width }: VerbContext<'clean'>, cleaned: Cleaned): void {
  switch (cleaned.kind) {
    case 'would-clean':
      for (const volume of cleaned.volumes) out.text(volume);
      if (cleaned.kept !== undefined) out.text(keptSentence(cleaned.kept));
      out.text(
        `would delete ${counted(cleaned.volumes.length, 'layer or shim', 'layers and shims')}, ${shortBytes(cleaned.bytes)}`,
      );
      return;
    case 'already-running':
      out.text('another clean is running: skipping clean');
      return;
    case 'below-threshold':
      out.text('threshold not reached: skipping clean');
      break;
    case 'cleaned':
      if (cleaned.kept !== undefined) out.text(keptSentence(cleaned.kept));
      log.info('groot-cleaning.freed', freedFacts(cleaned));
      // Programs look for GrootFS's words, and get no others.
      if (width !== undefined) out.text(freedSentence(cleaned));
      if (cleaned.left.length === 0) out.text('clean completed');
      break;
  }
  const { measured } = cleaned;
  metrics.bytes('UnusedLayersSize', measured.unusedFileBytes);
  metrics.bytes('UsedLayersSize', measured.usedFileBytes);
  metrics.bytes('DownloadedLayersSizeInBytes', measured.fileBytes);
  metrics.bytes('CommittedQuotaInBytes', measured.committedBytes);
  metrics.bytes('UsedBackingStoreInBytes', measured.filesystemUsedBytes);
}
