/** Makes an image of a container: its upper directory, or its whole tree, becomes a layer. */
import { isPluginError, PluginError } from '../base/errors/error.ts';
import type { Logger } from '../base/log.ts';
import { type CommittedFrom, gone, readBase } from '../commit/base/base-image.ts';
import type { BaseReader } from '../commit/base/base-reader.ts';
import { tarDocuments } from '../commit/base/from-tar.ts';
import type { Change } from '../commit/image/changes.ts';
import { type BaseDocuments, newConfig, newManifest } from '../commit/image/document.ts';
import { inPlace } from '../commit/layer/content.ts';
import { type ExportCounts, LayerPieces, type TreeToExport } from '../commit/layer/entries.ts';
import { isBelow } from '../commit/layer/lower-names.ts';
import { type PackedLayer, packLayer } from '../commit/layer/pack.ts';
import { Snapshot } from '../commit/layer/snapshot.ts';
import type { LayerBudget } from '../layer/tree/types.ts';
import type { Platform } from '../oci/machine.ts';
import type { RegistryReference } from '../oci/reference.ts';
import { type ImageId, parseIdOrPath } from '../store/layout/image-id.ts';
import { isOutside, layerKeyOrUndefined } from '../store/layout/layer-key.ts';
import type { ImageRecord } from '../store/records/image-record.ts';
import { mountLayers } from '../store/records/layer-mounts.ts';
import type { Store } from '../store/store.ts';
import { HeldDirectory } from '../sys/files/held-directory.ts';
import { close, openAt } from '../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../sys/kernel/libc.ts';
import type { CommitTarget } from './commit-target.ts';
import { tellingFull } from './full-store.ts';
import { openWholeTree } from './mount-image.ts';

export interface CommitRequest {
  /** Id or path of the container. */
  readonly container: string;
  /** Makes one layer of the whole tree, instead of a layer on those of the image. */
  readonly squash: boolean;
  readonly message: string | undefined;
  readonly author: string | undefined;
  readonly changes: readonly Change[];
}

export interface CommitDeps {
  readonly store: Store;
  /** The reader of a container's image and what the image is called; undefined for an image that has no blobs. */
  readonly base: (record: ImageRecord) => Promise<CommitBase | undefined>;
  /** Opens the target when the base image was read. A layout's directories are made then. */
  readonly target: (base: CommitBase | undefined) => Promise<CommitTarget>;
  readonly platform: Platform;
  readonly budget: LayerBudget;
  readonly now: () => Date;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export interface CommitBase {
  readonly reader: BaseReader;
  readonly kind: 'registry' | 'layout' | 'tar';
  readonly registryName: string | undefined;
  /** The image, where it is in a registry. */
  readonly reference?: RegistryReference;
}

export interface Committed extends Readonly<ExportCounts> {
  readonly digest: string;
  readonly layer: PackedLayer;
  /** Whether the container was read from a snapshot; if not, it was read while it may have been running. */
  readonly snapshot: boolean;
  /** The image's own configuration could not be read, so that the new image has only what `--change` says. */
  readonly withoutConfig: boolean;
}

/**
 * @throws IMAGE_NOT_FOUND, IMAGE_DELETED, COMMIT_*, STORE_NO_SPACE, and errors of reading the base image. The target then
 *   has no new image, and the container is as it was
 */
export function commitContainer(deps: CommitDeps, request: CommitRequest): Promise<Committed> {
  return tellingFull(deps.store, () => commit(deps, request));
}

async function commit(deps: CommitDeps, request: CommitRequest): Promise<Committed> {
  const { store } = deps;
  const id = parseIdOrPath(request.container, store.layout.root);
  const record = recordOf(store, id);
  using held = new HeldDirectory(store.layout.image(id));
  const base = await deps.base(record);
  try {
    const documents = await documentsOf(deps, request, record, base);
    using target = await deps.target(base);
    // After a reboot the layers of a container are mounted by the first verb that needs them.
    await mountLayers(store, record.lowers);
    const root = openRoot(store, id, record, request.squash);
    try {
      return await write(deps, request, { id, record, root, held, target, base, documents });
    } finally {
      close(root);
    }
  } finally {
    base?.reader.close();
  }
}

function recordOf(store: Store, id: ImageId): ImageRecord {
  const record = store.images.exists(id) ? store.images.record(id) : undefined;
  if (record === undefined || record.deleting === true) throw new PluginError('IMAGE_NOT_FOUND', { id });
  return record;
}

/** Undefined documents: a squashed image does without those of its base. */
async function documentsOf(
  deps: CommitDeps,
  { squash }: CommitRequest,
  record: ImageRecord,
  base: CommitBase | undefined,
): Promise<BaseDocuments | undefined> {
  try {
    return await readDocuments(deps, record, base, squash);
  } catch (error) {
    if (!squash || !isPluginError(error, 'COMMIT_BASE')) throw error;
    deps.log.error('base-configuration-missing', error, error.subject);
    return undefined;
  }
}

async function readDocuments(
  { store, signal }: CommitDeps,
  record: ImageRecord,
  base: CommitBase | undefined,
  squash: boolean,
): Promise<BaseDocuments> {
  const { image, manifestDigest, layers } = record;
  if (base === undefined) throw gone({ image }, 'its layers are on CVMFS, and no registry has them as blobs');
  if (base.kind !== 'tar') {
    const { reader, registryName } = base;
    const from: CommittedFrom = {
      image,
      manifestDigest: manifestDigest as CommittedFrom['manifestDigest'],
      layers,
      registryName,
    };
    return readBase(reader, from, squash ? 'configuration' : 'layers', signal);
  }
  const key = layerKeyOrUndefined(layers[0]?.layer ?? '');
  const layer = key && store.layers.record(key);
  if (layer === undefined) throw gone({ image }, 'the container has no record of its layer');
  return tarDocuments(image, layer);
}

/** The directory to export: the upper directory, or the merged tree. */
function openRoot(store: Store, id: ImageId, record: ImageRecord, squash: boolean): number {
  if (squash) return openWholeTree(store, id, record);
  return openAt(AT_FDCWD, `${store.layout.image(id)}/diff`, O.PATH | O.DIRECTORY | O.NOFOLLOW);
}

interface Work {
  readonly id: ImageId;
  readonly record: ImageRecord;
  readonly root: number;
  readonly held: HeldDirectory;
  readonly target: CommitTarget;
  readonly base: CommitBase | undefined;
  readonly documents: BaseDocuments | undefined;
}

async function write(deps: CommitDeps, request: CommitRequest, work: Work): Promise<Committed> {
  const { store, signal, log } = deps;
  const { id, root, target, base, documents } = work;
  // A merged tree is on a filesystem of its own, which cannot share data with the store's.
  using snapshot = request.squash ? undefined : Snapshot.open(store.layout.tmp, deps.budget.tarBytes);
  const pieces = new LayerPieces(treeOf(store, work, request.squash, root, snapshot));
  snapshot?.fill(pieces.all(), () => signal.throwIfAborted());
  if (snapshot !== undefined) requireOurs(store, work);
  const below = documents !== undefined && base !== undefined && !request.squash;
  if (below) await target.layersBelow(base.reader, documents, signal);
  using blob = target.stage();
  const all = snapshot?.pieces() ?? pieces.all();
  const layer = await packLayer(all, (bytes) => blob.write(bytes), deps.budget, signal);
  requireOurs(store, work);
  blob.publish(layer.digest);
  const digest = await publish(deps, request, work, layer);
  const { counts } = pieces;
  const facts = { id, digest, layer: layer.digest, size: layer.size, ...counts };
  log.info('container-committed', { ...facts, snapshot: snapshot !== undefined });
  return {
    ...counts,
    digest,
    layer,
    snapshot: snapshot !== undefined,
    withoutConfig: documents === undefined,
  };
}

function treeOf(
  store: Store,
  { record }: Work,
  squash: boolean,
  root: number,
  snapshot: Snapshot | undefined,
): TreeToExport {
  const lowers = record.lowers.map((lower) => (isOutside(lower) ? lower : store.layout.tree(lower)));
  return {
    root,
    mappings: store.format.mappings,
    capture: snapshot?.capture ?? inPlace,
    isBelow: squash ? undefined : (path) => isBelow(lowers, path),
  };
}

/** A container that was deleted meanwhile had lost some of its files before they were read. */
function requireOurs(store: Store, { id, held }: Work): void {
  if (!held.isAt(store.layout.image(id))) throw new PluginError('IMAGE_DELETED', { id });
}

/** Writes the documents and the name, last of all. Returns the digest of the manifest. */
async function publish(
  deps: CommitDeps,
  request: CommitRequest,
  work: Work,
  layer: PackedLayer,
): Promise<string> {
  const { squash, message, author, changes } = request;
  const { image } = work.record;
  const documents = work.documents ?? { config: {}, diffIds: [], layers: [], shown: image, annotations: {} };
  const { os, architecture } = deps.platform;
  const created = deps.now().toISOString();
  const facts = { layer, squash, created, message, author, changes, platform: { os, architecture } };
  const manifestOf = (config: Parameters<typeof newManifest>[2]) => newManifest(documents, facts, config);
  return work.target.publish(layer, newConfig(documents, facts), manifestOf, deps.signal);
}
