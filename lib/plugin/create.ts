import { PluginError } from '../base/errors/error.ts';
import { cachedPlan, isOpen } from '../image/pull/cached-plan.ts';
import type { PullContext, PulledImage } from '../image/pull/context.ts';
import { nameLayers } from '../image/pull/layer-names.ts';
import type { ResolvedImage } from '../image/source/source.ts';
import { applyAttributes } from '../image/stack/attributes.ts';
import { type ImageId, parseImageId } from '../store/layout/image-id.ts';
import { isOutside, type LayerKey, layerKeyOrUndefined } from '../store/layout/layer-key.ts';
import { noteUse } from '../store/records/cached-images.ts';
import type { ImageRecord, LayerProvenance } from '../store/records/image-record.ts';
import type { NewImage } from '../store/records/images.ts';
import { mountLayers } from '../store/records/layer-mounts.ts';
import { Lease } from '../store/records/leases.ts';
import type { StackPlan } from '../store/records/stacks.ts';
import { addToTotals } from '../store/records/totals.ts';
import type { Store } from '../store/store.ts';
import { HeldDirectory } from '../sys/files/held-directory.ts';
import { SysError } from '../sys/kernel/errno.ts';
import { bytesOfText } from '../sys/kernel/utf8.ts';
import { AccountFiles, accountFilesBelow } from './account-files.ts';
import { tellingFull } from './full-store.ts';
import { type DiskLimit, effectiveInodes, effectiveLimit, quotaDevice } from './limit.ts';
import { countImage } from './metrics/count-image.ts';
import { mountContainer, mountOptions, openMerged, uncover } from './mount-image.ts';
import { asked, checkImage } from './preflight.ts';
import { processUser } from './process-user.ts';
import { logCreated, origin, provenance } from './provenance.ts';
import { releaseLayers } from './release-layers.ts';
import { type ProcessUser, type RuntimeSpec, runtimeSpec } from './runtime-spec.ts';
import { sweepAfterBoot } from './sweep-after-boot.ts';

export interface CreateRequest {
  readonly id: string;
  readonly limit: DiskLimit | undefined;
  /**
   * False: graft does not mount; the printed runtime specification describes the overlay, and the caller mounts it.
   */
  readonly mount: boolean;
}

/**
 * Makes a root filesystem from an image reference. A failure leaves nothing behind, except layers that are complete:
 * they stay in the store for the next create.
 */
export function createImage(deps: PullContext, request: CreateRequest): Promise<RuntimeSpec> {
  return tellingFull(deps.store, () => create(deps, request));
}

async function create(deps: PullContext, request: CreateRequest): Promise<RuntimeSpec> {
  const since = performance.now();
  const id = parseImageId(request.id);
  if (deps.store.images.exists(id)) throw new PluginError('IMAGE_EXISTS', { id });
  await sweepAfterBoot(deps.store, deps.log);
  const image = await deps.source.resolve(deps.signal);
  checkImage(image, request.limit);
  // With an exclusive limit the layers cannot be too large, so the quota is checked before they are fetched.
  const device = request.limit?.exclusive ? quotaDevice(deps.store) : undefined;
  using lease = new Lease(deps.store.layout, id, []);
  const creation = { id, request, device, image, lease, since };
  try {
    // `await` keeps the lease until createOnce has ended; without it, `using` would drop the lease at the return.
    return await createOnce(deps, creation);
  } catch (error) {
    lease[Symbol.dispose]();
    await releaseLayers(deps.store, lease.uses, deps.log);
    throw error;
  }
}

interface Creation {
  readonly id: ImageId;
  readonly request: CreateRequest;
  /**
   * Undefined also for an inclusive limit: its quota is checked later, so that an image that is too large is reported
   * first.
   */
  readonly device: ReturnType<typeof quotaDevice> | undefined;
  readonly image: ResolvedImage;
  readonly lease: Lease;
  /** The start of the verb, in milliseconds of `performance.now()`. */
  readonly since: number;
  /** Set for the second attempt, without CVMFS. The first attempt has already reported the time of the lock. */
  readonly again?: true;
}

async function createOnce(deps: PullContext, creation: Creation): Promise<RuntimeSpec> {
  const { id, request, image, lease } = creation;
  const { limit, mount } = request;
  const quotaBytes = limit && !limit.exclusive && limit.bytes > 0 ? limit.bytes : undefined;
  const pulled = await pull(deps, creation, quotaBytes);
  const { plan, fetched } = pulled;
  deps.signal.throwIfAborted();
  const bytes = limit && effectiveLimit(limit, plan.layerBytes);
  const inodes = limit && effectiveInodes(limit, layersOf(plan), deps.store);
  const device = limit && (creation.device ?? quotaDevice(deps.store));
  const quota = device && bytes !== undefined ? { bytes, inodes, device } : undefined;
  try {
    const layers = provenance(deps.store, image, pulled);
    const spec = await makeContainer(deps, { id, plan, image, quota, lease, layers, mount, limit });
    const fetchedBytes = fetched.reduce((sum, { record, again }) => sum + (again ? 0 : record.fileBytes), 0);
    const made = countImage(plan.uses, plan.layerBytes, 1, fetchedBytes);
    logCreated(deps.log, id, image, layers);
    if (image.lastKnown !== undefined) deps.metrics?.count('ImagesFromLastKnown', 1);
    noteUse(deps.store.layout, asked(image, plan), deps.log);
    addToTotals(deps.store, { committedBytes: bytes ?? 0 }, deps.log, made);
    return spec;
  } catch (error) {
    if (!(error instanceof SysError) || !isForeign(plan) || deps.cvmfs === undefined) throw error;
    // CVMFS answered the probe and its mount fails now. The other source has the layers too.
    deps.log.error('cvmfs-mount-failed', error, { id, lowers: plan.lowers.filter(isOutside) });
    return createOnce({ ...deps, cvmfs: undefined }, { ...creation, again: true });
  }
}

/** The code that fetches is imported only when a layer is missing: a warm create is a third shorter without it. */
async function pull(
  deps: PullContext,
  { request, image, lease, since, again }: Creation,
  quotaBytes: number | undefined,
): Promise<PulledImage> {
  const layers = nameLayers(deps.store, image);
  const plan = cachedPlan(deps.store, layers, lease);
  if (!again) deps.metrics?.duration('SharedLockingTime', lease.lockingMs);
  if (plan !== undefined && isOpen(plan, image)) return { plan, fetched: [], choices: new Map() };
  // Called before the import: a process that reads CVMFS repositories starts while the code that will ask it is
  // loaded.
  const cvmfs = deps.cvmfs?.();
  cvmfs?.catch(() => undefined);
  const { pullInTurn } = await import('../image/pull/pull.ts');
  const context = { ...deps, cvmfs: cvmfs && (() => cvmfs) };
  return pullInTurn(context, { image, layers, lease, quotaBytes, mapsIds: request.mount, since }, plan);
}

function layersOf({ uses }: StackPlan): LayerKey[] {
  return uses.flatMap((use) => layerKeyOrUndefined(use) ?? []);
}

/** True when layers of the plan lie outside the store. */
function isForeign(plan: StackPlan): boolean {
  return plan.lowers.some(isOutside);
}

interface Container {
  readonly id: ImageId;
  readonly plan: StackPlan;
  readonly image: ResolvedImage;
  readonly quota: NewImage['quota'];
  readonly lease: Lease;
  readonly layers: readonly LayerProvenance[];
  readonly mount: boolean;
  readonly limit: DiskLimit | undefined;
}

/**
 * Stages, publishes, mounts and records an image. A sweep removes what a create leaves that is stopped in between
 * (layout.ts, invariant 3).
 */
async function makeContainer(deps: PullContext, container: Container): Promise<RuntimeSpec> {
  using own = publish(deps.store, container);
  return await finish(deps, container, own);
}

function publish(store: Store, { id, plan, quota, lease, mount }: Container): HeldDirectory {
  const { owner } = store;
  const { layerBytes } = plan;
  const staged = store.images.stage({ owner, mounted: mount, layerBytes, quota, lease: lease.name });
  let own: HeldDirectory | undefined;
  try {
    applyAttributes(bytesOfText(`${staged.directory}/diff`), plan.root);
    own = new HeldDirectory(staged.directory);
    store.images.publish(staged, id);
    return own;
  } catch (error) {
    own?.[Symbol.dispose]();
    store.images.discard(staged, quota?.device);
    throw error;
  }
}

/**
 * Mounts and records the image. A concurrent delete may remove this image, and a new create may reuse its id. Then do
 * not mount, record or undo: the directory under that name is no longer ours.
 */
async function finish(deps: PullContext, container: Container, own: HeldDirectory): Promise<RuntimeSpec> {
  const { store } = deps;
  const { id, plan } = container;
  const isOurs = () => own.isAt(store.layout.image(id));
  try {
    if (container.mount && isOurs()) await mountContainer(store, id, plan);
    const hasImages = !container.mount && (await mountLayers(store, plan.lowers));
    if (!isOurs()) {
      uncover(store, id);
      throw new PluginError('IMAGE_DELETED', { id });
    }
    store.images.writeRecord(id, record(container));
    return describe(deps, container, hasImages);
  } catch (error) {
    if (!isOurs()) throw new PluginError('IMAGE_DELETED', { id }, { cause: error });
    await undo(deps, id);
    throw error;
  }
}

/**
 * Removes the image after another error, which the caller reports. If the removal fails, the image has no record, and
 * a sweep removes it.
 */
async function undo({ store, log }: PullContext, id: ImageId): Promise<void> {
  try {
    const { removeImage } = await import('../store/collect/remove.ts');
    await removeImage(store, id, log);
  } catch (error) {
    log.error('image-not-undone', error, { id });
  }
}

function record({ image, plan, layers, mount, limit }: Container): ImageRecord {
  return {
    image: image.name,
    manifestDigest: image.manifestDigest,
    ...origin(image),
    ...(limit === undefined ? {} : { limits: limit }),
    created: new Date().toISOString(),
    uses: plan.uses,
    lowers: plan.lowers,
    ...(plan.idmapRoots ? { idmapRoots: plan.idmapRoots } : {}),
    mounted: mount,
    layers,
    ...(image.trust === undefined ? {} : { trust: image.trust }),
    ...(image.lastKnown === undefined ? {} : { lastKnown: image.lastKnown }),
  };
}

/** @param hasImages some layers are images; it says nothing where the root filesystem is mounted */
function describe(deps: PullContext, { id, plan, image, mount }: Container, hasImages: boolean): RuntimeSpec {
  const rootfs = deps.store.layout.rootfs(id);
  const user = userOf(deps.store, { id, plan, image, mount });
  const mounts = mount
    ? undefined
    : [
        {
          destination: '/',
          type: 'overlay',
          source: 'overlay',
          options: [mountOptions(deps.store, id, plan, hasImages)],
        },
      ];
  return runtimeSpec(rootfs, image.config, user, mounts);
}

/**
 * The user of the container's process. Without a mount of graft's own, the user comes from a temporary mount, so it
 * is the same in both cases.
 * @throws IMAGE_USER
 */
function userOf(
  store: Store,
  { id, plan, image, mount }: Pick<Container, 'id' | 'plan' | 'image' | 'mount'>,
): ProcessUser {
  // A tar alone has no image configuration, so nothing names a user: root.
  if (image.config === undefined) return { uid: 0, gid: 0 };
  const files = mount
    ? accountFilesBelow(store.layout.rootfs(id))
    : new AccountFiles(() => openMerged(store, id, plan));
  return processUser(image.config.user, files, store.format.mappings);
}
