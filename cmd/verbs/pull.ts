import { DEFAULT_BUDGET } from '../../lib/image/pull/budget.ts';
import { pullOnly } from '../../lib/plugin/pull.ts';
import { Store } from '../../lib/store/store.ts';
import { unpackWorkerUrl } from '../program/executable.ts';
import { layersAtATime } from '../program/layers-at-a-time.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { counted, shortBytes } from '../sentences/words.ts';
import { cvmfsFor } from '../sources/cvmfs.ts';
import { authenticate, openSource } from '../sources/source.ts';

export async function run(context: VerbContext<'pull'>): Promise<void> {
  const { settings, args, log, progress, metrics, signal, out } = context;
  const store = Store.open(settings.store);
  const [image = ''] = args.positionals;
  const source = await openSource(context, image, store, args.options['require-digest'] === true);
  try {
    const budget = DEFAULT_BUDGET;
    const concurrency = layersAtATime();
    const pulled = await pullOnly({
      store,
      source,
      log,
      progress,
      metrics,
      signal,
      workerUrl: unpackWorkerUrl(),
      budget,
      concurrency,
      cvmfs: cvmfsFor(context, store),
      authenticate: () => authenticate(context),
    });
    const digest = pulled.digest === undefined ? '' : `@${pulled.digest}`;
    const news =
      pulled.fetched === 0
        ? 'all layers were there'
        : `${pulled.fetched} of ${counted(pulled.layers, 'layer')} fetched, ${shortBytes(pulled.fetchedBytes)}`;
    out.text(`${pulled.image}${digest}: ${news}`);
  } finally {
    await source.close();
  }
}
