import { type Inspected, inspectImage } from '../../lib/plugin/inspect.ts';
import { Store } from '../../lib/store/store.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { shortBytes } from '../sentences/words.ts';
import { cvmfsFor } from '../sources/cvmfs.ts';
import { authenticate, openSource } from '../sources/source.ts';
import { columns } from '../terminal/table.ts';

export async function run(context: VerbContext<'inspect'>): Promise<void> {
  const { settings, args, log, signal, out } = context;
  const store = Store.open(settings.store);
  const source = await openSource(
    context,
    args.positionals[0] ?? '',
    store,
    args.options['require-digest'] === true,
    'tell',
  );
  const { diskLimitBytes, excludeImageFromQuota } = settings.create;
  const limit =
    diskLimitBytes === 0 ? undefined : { bytes: diskLimitBytes, exclusive: excludeImageFromQuota };
  try {
    const cvmfs = cvmfsFor(context, store);
    const inspected = await inspectImage({
      store,
      source,
      limit,
      cvmfs,
      log,
      signal,
      authenticate: () => authenticate(context),
    });
    if (args.options.json === true) out.json(inspected);
    else for (const line of forPeople(inspected)) out.text(line);
  } finally {
    await source.close();
  }
}

/** The verdict of the policy for signatures, and the rule that gave it. */
function verdict({ policy, scope, accepted, signed, refused }: NonNullable<Inspected['trust']>): string {
  const rule = `${scope} in ${policy}`;
  if (refused !== undefined) {
    const { demanded, found } = refused;
    return `REFUSED by ${rule}: ${demanded === undefined ? '' : `it needs ${demanded}, and `}${found}`;
  }
  const of = signed === undefined ? '' : `, of ${signed.join(' and ')}`;
  return `accepted by ${rule}: ${accepted.join(', ')}${of}`;
}

const WHERE = {
  store: 'in the store',
  source: 'to be fetched',
  url: 'to be fetched from its URL',
  cvmfs: 'on CVMFS',
};

function forPeople({ image, digest, platform, config, layers, checks, trust }: Inspected): string[] {
  const command = [...(config?.entrypoint ?? []), ...(config?.cmd ?? [])];
  return [
    ...columns([
      ['image', image],
      ['digest', digest ?? 'none: not a registry image or layout'],
      ...(trust === undefined ? [] : [['policy', verdict(trust)]]),
      ['platform', platform ?? 'unknown'],
      ['command', command.length > 0 ? JSON.stringify(command) : 'none'],
      ['user', config?.user || 'root'],
      ['directory', config?.workingDir || '/'],
      ...(config?.env ?? []).map((entry) => ['environment', entry]),
    ]),
    '',
    ...columns([
      ['LAYER (bottom first)', 'PACKED', 'UNPACKED', 'WHERE'],
      ...layers.map((layer) => [
        layer.digest ?? layer.diffId ?? 'local tar',
        layer.bytes === undefined ? '?' : shortBytes(layer.bytes),
        layer.unpackedBytes === undefined ? '?' : shortBytes(layer.unpackedBytes),
        layer.reason === undefined ? WHERE[layer.from] : `${WHERE[layer.from]}: ${layer.reason}`,
      ]),
    ]),
    '',
    ...columns(checks.map(({ name, ok, detail }) => [name, ok ? 'ok' : 'FAILS', detail])),
  ];
}
