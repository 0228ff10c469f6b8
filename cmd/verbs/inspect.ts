import { type Inspected, inspectImage } from '../../lib/plugin/inspect.ts';
import { Store } from '../../lib/store/store.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { shortBytes } from '../sentences/words.ts';
import { wholeConfig } from '../sources/container-config.ts';
import { cvmfsFor } from '../sources/cvmfs.ts';
import { authenticate, openSource } from '../sources/source.ts';
import { columns, fitted } from '../terminal/table.ts';

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
    const { image, digest: manifestDigest } = inspected;
    const more = declared(await wholeConfig(context, store, { image, manifestDigest }, signal));
    const width = args.options['no-trunc'] === true ? undefined : context.width;
    if (args.options.json === true) out.json({ ...inspected, ...more });
    else for (const line of forPeople(inspected, more, width)) out.text(line);
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

/** Facts that an image tells of itself, and on which graft does not act. */
interface Declared {
  readonly volumes: readonly string[];
  readonly exposedPorts: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

/** Empty for what is not there, or not in the form of image-spec (config.md). */
function declared(document: Readonly<Record<string, unknown>> | undefined): Declared {
  const config = mapping(document?.['config']);
  const labels = Object.entries(mapping(config['Labels'])).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  return {
    volumes: Object.keys(mapping(config['Volumes'])),
    exposedPorts: Object.keys(mapping(config['ExposedPorts'])),
    labels: Object.fromEntries(labels),
  };
}

function mapping(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

/** Hex digits that tell layers apart on a terminal. */
const DIGITS = 12;

function forPeople(
  { image, digest, platform, config, layers, checks, trust }: Inspected,
  { volumes, exposedPorts, labels }: Declared,
  width: number | undefined,
): string[] {
  const command = [...(config?.entrypoint ?? []), ...(config?.cmd ?? [])];
  return [
    ...fitted(
      [
        ['image', image],
        ['digest', digest ?? 'none: not a registry image or layout'],
        ...(trust === undefined ? [] : [['policy', verdict(trust)]]),
        ['platform', platform ?? 'unknown'],
        ['command', command.length > 0 ? JSON.stringify(command) : 'none'],
        ['user', config?.user || 'root'],
        ['directory', config?.workingDir || '/'],
        ...(config?.env ?? []).map((entry) => ['environment', entry]),
        ...volumes.map((path) => ['volume', path]),
        ...exposedPorts.map((port) => ['port', port]),
        ...Object.entries(labels).map(([name, value]) => ['label', `${name}=${value}`]),
      ],
      { width, shrink: [1] },
    ),
    '',
    ...fitted(
      [
        ['LAYER (bottom first)', 'PACKED', 'UNPACKED', 'WHERE'],
        ...layers.map((layer) => [
          shownDigest(layer.digest ?? layer.diffId ?? 'local tar', width),
          layer.bytes === undefined ? '?' : shortBytes(layer.bytes),
          layer.unpackedBytes === undefined ? '?' : shortBytes(layer.unpackedBytes),
          layer.reason === undefined ? WHERE[layer.from] : `${WHERE[layer.from]}: ${layer.reason}`,
        ]),
      ],
      { width, shrink: [3] },
    ),
    '',
    ...columns(checks.map(({ name, ok, detail }) => [name, ok ? 'ok' : 'FAILS', detail])),
  ];
}

function shownDigest(digest: string, width: number | undefined): string {
  return width === undefined ? digest : digest.replace(/^sha256:/, '').slice(0, DIGITS);
}
