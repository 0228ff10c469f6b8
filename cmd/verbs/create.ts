import { PluginError } from '../../lib/base/errors/error.ts';
import { GiB } from '../../lib/base/limits.ts';
import { DEFAULT_BUDGET } from '../../lib/image/pull/budget.ts';
import { createImage } from '../../lib/plugin/create.ts';
import type { DiskLimit } from '../../lib/plugin/limit.ts';
import { tellStore } from '../../lib/plugin/metrics/store-metrics.ts';
import type { RuntimeSpec } from '../../lib/plugin/runtime-spec.ts';
import { parseImageId } from '../../lib/store/layout/image-id.ts';
import { cleanIsDue } from '../../lib/store/records/totals.ts';
import { Store } from '../../lib/store/store.ts';
import { unpackWorkerUrl } from '../program/executable.ts';
import { layersAtATime } from '../program/layers-at-a-time.ts';
import type { VerbContext } from '../program/verb-context.ts';
import type { LimitsFile } from '../settings/extra.ts';
import { cvmfsFor } from '../sources/cvmfs.ts';
import { authenticate, openSource } from '../sources/source.ts';

export async function run(context: VerbContext<'create'>): Promise<void> {
  const { settings, args, log, progress, metrics, signal } = context;
  const started = performance.now();
  const [image = '', id = ''] = args.positionals;
  if (args.options['with-clean'] === true && args.options['without-clean'] === true) {
    throw new PluginError('CLI_CLEAN_CONFLICT', {});
  }
  parseImageId(id);
  const { diskLimitBytes, excludeImageFromQuota, withMount } = settings.create;
  const { limits } = await context.extra();
  const inodes = inodeLimit(args.options['inode-limit'], diskLimitBytes, limits);
  const store = Store.open(settings.store);
  const source = await openSource(context, image, store, args.options['require-digest'] === true);
  let [isMade, cleans] = [false, false];
  try {
    const spec = await createImage(
      {
        store,
        source,
        log,
        progress,
        metrics,
        signal,
        workerUrl: unpackWorkerUrl(),
        budget: DEFAULT_BUDGET,
        concurrency: layersAtATime(),
        cvmfs: cvmfsFor(context, store),
        authenticate: () => authenticate(context),
      },
      {
        id,
        limit: limitOf(diskLimitBytes, excludeImageFromQuota, inodes),
        mount: withMount,
      },
    );
    await answer(context, store, id, spec);
    isMade = true;
  } finally {
    await source.close();
    metrics.duration('ImageCreationTime', performance.now() - started);
    if (settings.create.withClean && cleanIsDue(store, settings.cleanThresholdBytes, log)) {
      const { startClean } = await import('../program/start-clean.ts');
      startClean(context);
      cleans = true;
    }
    if (isMade) tellStore(metrics, { storePath: settings.store, cleans }, log);
  }
}

/** Prints the answer. If the caller has closed stdout (EPIPE), it will never delete the image, so the image is deleted. */
async function answer(
  { out, log }: VerbContext<'create'>,
  store: Store,
  id: string,
  spec: RuntimeSpec,
): Promise<void> {
  try {
    out.json(spec);
  } catch (error) {
    const { deleteImage } = await import('../../lib/plugin/delete.ts');
    await deleteImage(store.layout.root, id, log);
    throw error;
  }
}

/** Fewer would stop real applications, whose packages have tens of thousands of small files. */
const MIN_INODES_BY_SIZE = 20_000;

/** @param flag of the command line, which goes before the settings. @throws CONFIG_NEGATIVE */
function inodeLimit(
  flag: number | undefined,
  diskLimitBytes: number,
  limits: LimitsFile | undefined,
): number | undefined {
  if (flag !== undefined) {
    if (flag < 0) throw new PluginError('CONFIG_NEGATIVE', { what: 'inode limit' });
    return flag === 0 ? undefined : flag;
  }
  const { inodes, inodes_per_gib: perGib } = limits ?? {};
  const bySize =
    perGib === undefined || diskLimitBytes === 0
      ? undefined
      : Math.max(MIN_INODES_BY_SIZE, Math.ceil((diskLimitBytes / GiB) * perGib));
  const set = [inodes, bySize].filter((limit) => limit !== undefined);
  return set.length === 0 ? undefined : Math.min(...set);
}

function limitOf(bytes: number, exclusive: boolean, inodes: number | undefined): DiskLimit | undefined {
  if (bytes === 0 && inodes === undefined) return undefined;
  return inodes === undefined ? { bytes, exclusive } : { bytes, exclusive, inodes };
}
