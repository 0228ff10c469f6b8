import { PluginError } from '../../lib/base/errors/error.ts';
import { DEFAULT_BUDGET } from '../../lib/image/pull/budget.ts';
import { pullOnly } from '../../lib/plugin/pull.ts';
import { Store } from '../../lib/store/store.ts';
import { usageOf } from '../cli/definitions.ts';
import { unpackWorkerUrl } from '../program/executable.ts';
import { layersAtATime } from '../program/layers-at-a-time.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { counted, shortBytes } from '../sentences/words.ts';
import { cvmfsFor } from '../sources/cvmfs.ts';
import { authenticate, openSource } from '../sources/source.ts';

export async function run(context: VerbContext<'pull'>): Promise<void> {
  const { settings, args, credentials, out } = context;
  const { file } = args.options;
  const [image] = args.positionals;
  // A password belongs to one registry, and a list may name any.
  if ((file === undefined) === (image === undefined) || (file !== undefined && credentials !== undefined))
    throw new PluginError('CLI_BAD_ARGUMENTS', { usage: usageOf('pull'), misplaced: undefined });
  const store = Store.open(settings.store);
  if (image !== undefined) out.text(await pull(context, store, image, layersAtATime()));
  else if (file !== undefined) {
    const { pullList } = await import('../program/pull-list.ts');
    await pullList(context, file, (one, layers) => pull(context, store, one, layers));
  }
}

/** Returns the line for people. */
async function pull(
  context: VerbContext<'pull'>,
  store: Store,
  image: string,
  concurrency: number,
): Promise<string> {
  const { args, log, progress, metrics, signal } = context;
  const source = await openSource(context, image, store, args.options['require-digest'] === true);
  try {
    const services = {
      store,
      source,
      log,
      progress,
      metrics,
      signal,
      workerUrl: unpackWorkerUrl(),
      budget: DEFAULT_BUDGET,
      concurrency,
      cvmfs: cvmfsFor(context, store),
      authenticate: () => authenticate(context),
    };
    const pulled = await pullOnly(services, args.options.keep === true);
    const digest = pulled.digest === undefined ? '' : `@${pulled.digest}`;
    const news =
      pulled.fetched === 0
        ? 'all layers were there'
        : `${pulled.fetched} of ${counted(pulled.layers, 'layer')} fetched, ${shortBytes(pulled.fetchedBytes)}`;
    return `${pulled.image}${digest}: ${news}`;
  } finally {
    await source.close();
  }
}
