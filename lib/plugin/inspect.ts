import { MAX_LOWER_DIRS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { shortBytes } from '../base/units.ts';
import type { LayerChoice } from '../image/cvmfs/cvmfs-layers.ts';
import type { PullContext } from '../image/pull/context.ts';
import { nameLayers } from '../image/pull/layer-names.ts';
import { findOnCvmfs } from '../image/pull/pull.ts';
import { Admission } from '../image/source/admission.ts';
import { blobOfLayer, declaredSize, digestOfLayer, type ImageLayer } from '../image/source/image-layer.ts';
import type { ImageSource, ResolvedImage } from '../image/source/source.ts';
import type { ImageConfig } from '../oci/config.ts';
import { OCI_LAYER } from '../oci/media-types.ts';
import type { TrustRecord } from '../store/records/image-record.ts';
import type { Store } from '../store/store.ts';
import { filesystemOf } from '../sys/kernel/statfs.ts';
import { quotaSupport } from '../sys/mounts/quota.ts';
import type { DiskLimit } from './limit.ts';

interface InspectedLayer {
  readonly digest: string | undefined;
  readonly diffId: string | undefined;
  readonly mediaType: string;
  /** The compressed size that the manifest declares. */
  readonly bytes: number | undefined;
  /** Bytes of the unpacked files, when the store has the layer. */
  readonly unpackedBytes: number | undefined;
  readonly from: 'store' | 'source' | 'url' | 'cvmfs';
  /** Why the layer is taken from this source, where CVMFS was asked. */
  readonly reason?: string;
  /** The layer's path and repository on CVMFS. */
  readonly cvmfs?: {
    readonly path: string;
    readonly repository: string;
    readonly revision: string;
    readonly rootHash: string;
  };
}

interface InspectedCheck {
  readonly name: 'disk limit' | 'limits enforced' | 'free space' | 'layer count';
  readonly ok: boolean;
  readonly detail: string;
}

export interface Inspected {
  readonly image: string;
  readonly digest: string | undefined;
  readonly platform: string | undefined;
  readonly config: ImageConfig | undefined;
  /** Bottom first. */
  readonly layers: readonly InspectedLayer[];
  readonly checks: readonly InspectedCheck[];
  /** The verdict of the policy for signatures; undefined without a policy. */
  readonly trust: TrustRecord | undefined;
}

export interface InspectDeps {
  readonly store: Store;
  readonly source: ImageSource;
  readonly limit: DiskLimit | undefined;
  /** The same as for a create. */
  readonly cvmfs: PullContext['cvmfs'];
  readonly authenticate?: PullContext['authenticate'];
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Finds out which layers a create would use, and whether its checks would succeed. Fetches no layer. */
export async function inspectImage(deps: InspectDeps): Promise<Inspected> {
  const { store, source, limit, signal } = deps;
  const image = await source.resolve(signal);
  const named = nameLayers(store, image);
  const admission = new Admission(deps, image);
  await admission.ask(named.flatMap(({ key }) => key ?? []));
  const request = { image, layers: named, mapsIds: true, quotaBytes: undefined };
  const onCvmfs = await findOnCvmfs({ context: deps, request, admission });
  const layers = named.map(({ layer, key }) => {
    // A caller that may not use a layer must not learn that the store has it.
    const present = key !== undefined && admission.has(key) ? store.layers.record(key) : undefined;
    const found = onCvmfs?.uses.get(layer)?.found;
    return {
      ...inspected(layer, present?.fileBytes ?? found?.tarBytes),
      ...(present === undefined ? choiceOf(onCvmfs?.choices.get(layer)) : { from: 'store' as const }),
    };
  });
  return {
    image: image.name,
    digest: image.manifestDigest,
    platform: image.config && `${image.config.os}/${image.config.architecture}`,
    config: image.config,
    layers,
    checks: checks(store, image, layers, limit),
    trust: image.trust,
  };
}

function inspected(layer: ImageLayer, unpackedBytes: number | undefined): InspectedLayer {
  const blob = blobOfLayer(layer);
  const elsewhere = blob !== undefined && blob.urls.length > 0 ? 'url' : 'source';
  return {
    digest: blob?.digest,
    diffId: blob?.diffId,
    mediaType: blob?.mediaType ?? OCI_LAYER,
    bytes: declaredSize(layer),
    unpackedBytes,
    from: elsewhere,
  };
}

function choiceOf(choice: LayerChoice | undefined): Pick<InspectedLayer, 'reason' | 'cvmfs'> {
  if (choice === undefined) return {};
  const { reason, cvmfs } = choice;
  if (cvmfs === undefined) return { reason };
  const { name, revision, rootHash } = cvmfs.state;
  const from = { from: 'cvmfs' as const };
  return { ...from, reason, cvmfs: { path: cvmfs.path, repository: name, revision, rootHash } };
}

function checks(
  store: Store,
  image: ResolvedImage,
  layers: readonly InspectedLayer[],
  limit: DiskLimit | undefined,
): InspectedCheck[] {
  const missing = layers
    .filter(({ from }) => from !== 'store' && from !== 'cvmfs')
    .reduce((sum, layer) => sum + (layer.bytes ?? 0), 0);
  const free = filesystemOf(store.layout.root).availableBytes;
  const distinct = new Set(
    image.layers.map((layer) => blobOfLayer(layer)?.diffId ?? digestOfLayer(layer) ?? layer),
  ).size;
  return [
    ...(limit ? limitChecks(store, layers, limit) : []),
    {
      name: 'free space',
      ok: missing <= free,
      detail: `${shortBytes(missing)} to fetch, ${shortBytes(free)} free`,
    },
    {
      name: 'layer count',
      ok: distinct <= MAX_LOWER_DIRS,
      detail: `${distinct} of at most ${MAX_LOWER_DIRS} different ones`,
    },
  ];
}

function limitChecks(store: Store, layers: readonly InspectedLayer[], limit: DiskLimit): InspectedCheck[] {
  const quota = quotaSupport(store.layout.root);
  const enforced: InspectedCheck = {
    name: 'limits enforced',
    ok: quota.supported,
    detail: quota.supported ? 'the store has project quotas' : quota.reason,
  };
  if (limit.exclusive) return [enforced];
  const size = layers.reduce((sum, layer) => sum + (layer.unpackedBytes ?? layer.bytes ?? 0), 0);
  const detail = `the layers take at least ${size} of ${limit.bytes} bytes (${shortBytes(limit.bytes)})`;
  return [enforced, { name: 'disk limit', ok: size <= limit.bytes, detail }];
}
