/** The layers of an image side by side: the size of each, what it adds and hides, and which root filesystems share it. */

import { isPluginError } from '../base/errors/error.ts';
import type { Logger } from '../base/log.ts';
import { nameLayers } from '../image/pull/layer-names.ts';
import { Admission } from '../image/source/admission.ts';
import { blobOfLayer, declaredSize } from '../image/source/image-layer.ts';
import type { ImageSource } from '../image/source/source.ts';
import { BadTreeManifest } from '../layer/manifest/reader.ts';
import type { ImageId } from '../store/layout/image-id.ts';
import { type LayerKey, layerKeyOrUndefined } from '../store/layout/layer-key.ts';
import type { Store } from '../store/store.ts';
import { SysError } from '../sys/kernel/errno.ts';
import { containerRecord } from './container-fragment.ts';
import type { InspectDeps } from './inspect.ts';
import { layerEntries } from './layer-entries.ts';
import { releaseLayers } from './release-layers.ts';

/** A layer in the store. Sizes are bytes. */
interface TreeContent {
  readonly bytes: number;
  /** Names that no layer below has. */
  readonly added: number;
  /** Names that a layer below has too, directories aside. */
  readonly replaced: number;
  /** Names of layers below that the layer hides: whiteouts, and directories that it replaces as a whole. */
  readonly hidden: number;
}

export interface TreeLayer {
  readonly digest: string | undefined;
  readonly diffId: string | undefined;
  /** Bytes of the blob, where an image declares them. */
  readonly packedBytes: number | undefined;
  readonly from: 'store' | 'cvmfs' | 'elsewhere';
  /** Undefined for a layer that the store does not have. */
  readonly content: TreeContent | undefined;
  /** Root filesystems that use it, also through other images. */
  readonly usedBy: readonly string[];
}

export interface LayerTree {
  readonly image: string;
  readonly digest: string | undefined;
  /** Bottom first. */
  readonly layers: readonly TreeLayer[];
}

interface Named {
  readonly key: LayerKey | undefined;
  readonly facts: Pick<TreeLayer, 'digest' | 'diffId' | 'packedBytes'>;
  readonly outside: string | undefined;
}

/** The layers of a root filesystem, by its record. @throws IMAGE_NOT_FOUND */
export async function treeOfContainer(store: Store, id: ImageId, log: Logger): Promise<LayerTree> {
  const { image, manifestDigest, layers } = containerRecord(store, id);
  const named = layers.map(({ layer, diffId, digest }): Named => {
    const key = layerKeyOrUndefined(layer);
    const facts = { digest, diffId, packedBytes: key && store.layers.record(key)?.compressedBytes };
    return { key, facts, outside: key === undefined ? layer : undefined };
  });
  return { image, digest: manifestDigest, layers: await describe(store, named, log) };
}

/** The layers of an image as its source resolves it. Of a layer that the caller may not use, nothing is told. */
export async function treeOfImage(
  deps: Pick<InspectDeps, 'store' | 'log' | 'signal' | 'authenticate'> & { readonly source: ImageSource },
): Promise<LayerTree> {
  const { store, source, signal } = deps;
  const image = await source.resolve(signal);
  const wanted = nameLayers(store, image);
  const admission = new Admission(deps, image);
  await admission.ask(wanted.flatMap(({ key }) => key ?? []));
  const named = wanted.map(({ layer, key }): Named => {
    const blob = blobOfLayer(layer);
    const facts = { digest: blob?.digest, diffId: blob?.diffId, packedBytes: declaredSize(layer) };
    return { key: key !== undefined && admission.has(key) ? key : undefined, facts, outside: undefined };
  });
  return { image: image.name, digest: image.manifestDigest, layers: await describe(store, named, deps.log) };
}

async function describe(store: Store, named: readonly Named[], log: Logger): Promise<TreeLayer[]> {
  const users = usersOfLayers(store);
  const names = new NamesBelow();
  const layers: TreeLayer[] = [];
  for (const { key, facts, outside } of named) {
    const content = key === undefined ? undefined : await contentOf(store, key, names);
    const from = content !== undefined ? 'store' : outside === undefined ? 'elsewhere' : 'cvmfs';
    layers.push({ ...facts, from, content, usedBy: users.get(key ?? outside ?? '') ?? [] });
    if (key !== undefined) await releaseLayers(store, [key], log);
  }
  return layers;
}

/** Ids by the layer that they use: its key in the store, or its path outside. */
function usersOfLayers(store: Store): Map<string, string[]> {
  const users = new Map<string, string[]>();
  for (const id of store.images.list()) {
    const layers = store.images.recordIfReadable(id)?.layers ?? [];
    for (const layer of new Set(layers.map((one) => one.layer)))
      users.set(layer, [...(users.get(layer) ?? []), id]);
  }
  return users;
}

/** More names than this would take some hundred megabytes, so the rest counts as added. */
const MOST_NAMES = 2_000_000;

class NamesBelow {
  readonly #names = new Set<string>();

  /** Whether a layer below has the name; remembers it. */
  has(name: string): boolean {
    if (this.#names.has(name)) return true;
    if (this.#names.size < MOST_NAMES) this.#names.add(name);
    return false;
  }
}

async function contentOf(store: Store, key: LayerKey, names: NamesBelow): Promise<TreeContent | undefined> {
  const record = store.layers.record(key);
  if (record === undefined) return undefined;
  const counts = { added: 0, replaced: 0, hidden: 0 };
  try {
    for (const [kind, path] of await layerEntries(store, key)) {
      if (kind === 'whiteout' || kind === 'opaque') counts.hidden += 1;
      else if (path === '') continue;
      else if (!names.has(path)) counts.added += 1;
      // A directory of two layers is one that shows the names of both.
      else if (kind !== 'directory') counts.replaced += 1;
    }
  } catch (error) {
    // `check` tells of a manifest or an image that is damaged; the sizes are known without it.
    if (!(error instanceof BadTreeManifest || error instanceof SysError || isPluginError(error))) throw error;
  }
  return { bytes: record.fileBytes, ...counts };
}
