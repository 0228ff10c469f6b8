import { type LayerKey, layerKey } from '../../store/layout/layer-key.ts';
import type { Store } from '../../store/store.ts';
import { blobOfLayer, type ImageLayer, sourceIdentity } from '../source/image-layer.ts';
import type { ResolvedImage } from '../source/source.ts';

/** A layer of an image with its name in the store, as far as that is known. */
export interface NamedLayer {
  readonly layer: ImageLayer;
  /** Undefined only for a local tar that was never read before. */
  readonly key: LayerKey | undefined;
  /** The layer right below, whose directories a base directory copies its attributes from. */
  readonly parent: LayerKey | undefined;
}

/** The names of all layers, bottom first. */
export function nameLayers(store: Store, image: ResolvedImage): NamedLayer[] {
  const wanted: NamedLayer[] = [];
  for (const layer of image.layers) {
    const parent = wanted.at(-1)?.key;
    wanted.push({ layer, key: keyOf(store, layer, parent), parent });
  }
  return wanted;
}

/** The name of one layer, as far as it is known now. */
export function keyOf(store: Store, layer: ImageLayer, parent: LayerKey | undefined): LayerKey | undefined {
  const base = baseOf(layer, parent);
  if (layer.kind === 'unvalidated') return layerKey({ content: layer.digest, validated: false, base });
  const identity = sourceIdentity(layer);
  const learned = identity === undefined ? undefined : store.sources.diffId(identity);
  const content = blobOfLayer(layer)?.diffId ?? learned;
  return content && layerKey({ content, validated: true, base });
}

/** The name of a layer's tree that is right only on top of exactly these layers. */
export function chainedKey(wanted: NamedLayer, content: LayerKey, chain: readonly LayerKey[]): LayerKey {
  const hex = content.slice(0, 64);
  return layerKey({
    content: `sha256:${hex}` as Parameters<typeof layerKey>[0]['content'],
    validated: wanted.layer.kind !== 'unvalidated',
    base: baseOf(wanted.layer, wanted.parent),
    chain,
  });
}

function baseOf(layer: ImageLayer, parent: LayerKey | undefined) {
  const directory = blobOfLayer(layer)?.baseDirectory;
  return directory === undefined ? undefined : { directory, parent };
}
