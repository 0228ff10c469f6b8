/** Fetches a layer of an image and unpacks it for a target, verified: the blob's size and digest, and the diffID. */

import type { Digest } from '../base/digest.ts';
import { isPluginError, PluginError } from '../base/errors/error.ts';
import type { Progress } from '../base/progress.ts';
import type { BlobLayer, ImageLayer } from '../image/source/image-layer.ts';
import type { ImageSource } from '../image/source/source.ts';
import type { LayerBudget, UnpackRequest } from '../layer/tree/types.ts';
import { unpackLayer } from '../layer/unpack/unpack.ts';
import { mkdirAt } from '../sys/kernel/files.ts';
import { AT_FDCWD } from '../sys/kernel/libc.ts';
import type { PublishTarget } from './targets/target.ts';
import type { StagedLayer } from './tree/layer-records.ts';

export interface LayerDeps {
  readonly target: PublishTarget;
  readonly source: ImageSource;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  readonly workerUrl: string | URL;
  /** In a thread for each layer, unless said otherwise. */
  readonly unpack?: typeof unpackLayer | undefined;
  readonly budget: LayerBudget;
}

/** A layer whose blob has a digest, which names the layer in a repository. */
export type NamedLayer = BlobLayer;

/** Errors that bytes of another blob cause. A mirror may have given them, and the registry itself has others. */
const WRONG_BYTES: ReadonlySet<string> = new Set([
  'LAYER_DIGEST_MISMATCH',
  'LAYER_DIFFID_MISMATCH',
  'LAYER_SIZE_MISMATCH',
  'LAYER_BAD_COMPRESSION',
  'LAYER_BAD_HEADER',
  'LAYER_NOT_A_TAR',
  'LAYER_TRUNCATED',
]);

/**
 * @throws LAYER_*, REGISTRY_* and SysError; PUBLISH_LAYER_DEPENDS for a layer that has hard links into a lower one, and so
 *   is another tree in each image. Nothing of the layer is left then
 */
export async function stageLayer(deps: LayerDeps, layer: NamedLayer): Promise<StagedLayer> {
  for (;;) {
    try {
      return await stageOnce(deps, layer);
    } catch (error) {
      if (isPluginError(error, 'LAYER_NEEDS_LOWER'))
        throw new PluginError('PUBLISH_LAYER_DEPENDS', { digest: layer.digest, ...error.subject });
      // Each rejection takes a place away, and the registry itself is never rejected.
      const isWrong = isPluginError(error) && WRONG_BYTES.has(error.code);
      if (!isWrong || deps.source.reject?.(layer) !== true) throw error;
    }
  }
}

async function stageOnce(deps: LayerDeps, layer: NamedLayer): Promise<StagedLayer> {
  const directory = deps.target.stage();
  const bar = deps.progress.layer(layer.digest, layer.size);
  try {
    mkdirAt(AT_FDCWD, `${directory}/layerfs`, 0o755);
    const bytes = await deps.source.open(layer, deps.signal);
    let before = 0;
    const { looks: _, ...facts } = await (deps.unpack ?? unpackLayer)(
      requestFor(deps, layer, directory),
      bytes,
      {
        workerUrl: deps.workerUrl,
        signal: deps.signal,
        onProgress: (read) => {
          bar.advance(read - before);
          before = read;
        },
      },
    );
    return { digest: layer.digest, directory, facts };
  } catch (error) {
    deps.target.discard(directory);
    throw error;
  } finally {
    bar.done();
  }
}

function requestFor({ target, budget }: LayerDeps, layer: NamedLayer, directory: string): UnpackRequest {
  return {
    target: `${directory}/layerfs`,
    manifestPath: `${directory}/manifest`,
    compression: layer.compression,
    expected: { digest: layer.digest, diffId: layer.diffId, size: layer.size },
    mappings: { uids: [], gids: [] },
    budget,
    quotaBytes: undefined,
    base: undefined,
    lowers: undefined,
    publication: target.publication,
  };
}

/**
 * The layers of an image, bottom first and each once.
 * @throws PUBLISH_SOURCE for layers without a digest, or that are no trees of their own
 */
export function namedLayers(image: string, layers: readonly ImageLayer[]): NamedLayer[] {
  const named = new Map<Digest, NamedLayer>();
  for (const layer of layers) {
    const reason = unfitReason(layer);
    if (reason !== undefined) throw new PluginError('PUBLISH_SOURCE', { image, reason });
    if (layer.kind === 'blob') named.set(layer.digest, layer);
  }
  return [...named.values()];
}

function unfitReason(layer: ImageLayer): string | undefined {
  switch (layer.kind) {
    case 'tar':
      return 'a layer has no digest, which names it in a repository';
    case 'unvalidated':
      return 'its digests are not verified';
    case 'directory':
      return 'a layer of it is on CVMFS already';
    case 'blob':
      if (layer.baseDirectory === undefined) return undefined;
      return 'a layer is unpacked below a directory of the layer under it';
  }
}
