import type { Logger } from '../base/log.ts';
import type { LayerChoice } from '../image/cvmfs/cvmfs-layers.ts';
import type { PulledImage } from '../image/pull/context.ts';
import { nameLayers } from '../image/pull/layer-names.ts';
import { blobOfLayer, digestOfLayer, type ImageLayer } from '../image/source/image-layer.ts';
import type { ResolvedImage } from '../image/source/source.ts';
import type { ImageRecord, LayerProvenance } from '../store/records/image-record.ts';
import type { Store } from '../store/store.ts';

/** The origin of each layer of an image in this create, bottom first. */
export function provenance(
  store: Store,
  image: ResolvedImage,
  { fetched, choices }: Pick<PulledImage, 'fetched' | 'choices'>,
): LayerProvenance[] {
  const fresh = new Set<string>(fetched.map(({ record }) => record.key));
  return nameLayers(store, image).map(({ layer, key }) => {
    const choice = choices.get(layer);
    const ids = { diffId: blobOfLayer(layer)?.diffId, digest: digestOfLayer(layer) };
    if (choice?.cvmfs) return { layer: choice.cvmfs.path, ...ids, source: 'cvmfs', ...told(choice) };
    const source = key !== undefined && !fresh.has(key) ? 'store' : sourceOf(image, layer);
    return { layer: key ?? '', ...ids, source, ...told(choice) };
  });
}

function told(choice: LayerChoice | undefined): Pick<LayerProvenance, 'reason' | 'cvmfs'> {
  if (choice === undefined) return {};
  const { reason, cvmfs } = choice;
  if (cvmfs === undefined) return { reason };
  const { name, revision, rootHash } = cvmfs.state;
  return { reason, cvmfs: { repository: name, revision, rootHash } };
}

function sourceOf(image: ResolvedImage, layer: ImageLayer): LayerProvenance['source'] {
  // An image named by a CVMFS path or a thin image has its other layers from a registry.
  if (layer.kind === 'directory' || /^(docker|cvmfs):/.test(image.name)) return 'registry';
  if (/^(docker|oci)-archive:/.test(image.name)) return 'archive';
  return image.name.startsWith('oci:') ? 'oci' : 'tar';
}

/** The part of the record that the image itself gives. */
export function origin({
  index,
  config,
  annotations,
}: ResolvedImage): Pick<ImageRecord, 'index' | 'platform' | 'annotations'> {
  return {
    ...(index === undefined ? {} : { index }),
    ...(config === undefined ? {} : { platform: `${config.os}/${config.architecture}` }),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

/** The line that says which digest runs: a tag alone, which is all that `cf app` shows, does not. */
export function logCreated(
  log: Logger,
  id: string,
  image: ResolvedImage,
  layers: readonly LayerProvenance[],
): void {
  const sources: Record<string, number> = {};
  for (const { source } of layers) sources[source] = (sources[source] ?? 0) + 1;
  log.info('image-created', {
    id,
    image: image.name,
    digest: image.manifestDigest,
    ...origin(image),
    layers: sources,
    ...(image.trust === undefined ? {} : { trust: image.trust.scope }),
    ...(image.lastKnown === undefined ? {} : { lastKnown: image.lastKnown.resolved }),
  });
}
