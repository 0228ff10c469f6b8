/**
 * Removes what no image needs any more: manifests whose time has passed, then layers that no manifest names. A layer goes
 * only when every `manifest.json` of the repository could be read, and when it was published before the grace period: a
 * publication that was killed has layers and no manifest yet.
 */
import { type Digest, digestFromHex } from '../base/digest.ts';
import { lookIfThere } from '../sys/kernel/look.ts';
import { DOCUMENTS, KEPT, LAYERS, layerPath, METADATA } from './repository/paths.ts';
import type { PublishedRepository } from './repository/published.ts';
import type { PublishTarget } from './targets/target.ts';
import { unpublishImage } from './unpublish.ts';

export interface PruneOptions {
  /** Names of images that stay, on every platform. Undefined: all. */
  readonly wanted: ReadonlySet<string> | undefined;
  /** Layers that were published later stay. */
  readonly before: Date;
  /** Until when the layers of images are kept that are not wanted. */
  readonly keepUntil: Date | undefined;
  readonly now: Date;
  readonly dryRun: boolean;
}

/** The parts of a repository that were removed, or would be. */
export interface Pruned {
  readonly images: readonly string[];
  /** Times until which images were kept. */
  readonly expired: readonly string[];
  readonly layers: readonly Digest[];
}

/** @throws CVMFS_BAD_RECORD for a manifest that cannot be read, before anything is removed; PUBLISH_*, SysError */
export async function prune(
  target: PublishTarget,
  options: PruneOptions,
  signal: AbortSignal,
): Promise<Pruned> {
  const { repository } = target;
  const { wanted, keepUntil, now, dryRun } = options;
  const images =
    wanted === undefined ? [] : namesOf(repository).filter((name) => !wanted.has(withoutPlatform(name)));
  const expired = repository.list(KEPT).filter((until) => isOver(until, now));
  const gone = new Set(expired.map((until) => `${KEPT}/${until}`));
  // With nothing kept for them, the layers of unwanted images go too.
  if (keepUntil === undefined) for (const name of images) gone.add(`${METADATA}/${name}`);
  const layers = unusedLayers(repository, gone, options.before);
  if (dryRun) return { images, expired, layers };
  for (const name of images) await unpublishImage(target, { name, keepUntil, dryRun }, signal);
  await target.remove(
    expired.map((until) => `${KEPT}/${until}`),
    signal,
  );
  await target.remove(layers.map(layerPath), signal);
  return { images, expired, layers };
}

/** Public names, of every manifest that is not kept for its time alone. */
function namesOf(repository: PublishedRepository): string[] {
  return repository
    .manifestPaths()
    .filter((path) => !path.startsWith(`${KEPT}/`))
    .map((path) => path.slice(METADATA.length + 1, -DOCUMENTS.complete.length - 1))
    .filter((name) => name !== '');
}

/** The name that a wish asks for: DUCC publishes the images of an index once more, as `.multiarch/<platform>/<name>`. */
function withoutPlatform(name: string): string {
  return name.replace(/^\.multiarch\/[^/]+\//, '');
}

/** `2030-01-02T030405Z`, as `keptManifest` writes it. A name of another form is somebody else's, and stays. */
function isOver(until: string, now: Date): boolean {
  const match = /^(\d{4}-\d\d-\d\dT\d\d)(\d\d)(\d\d)Z$/.exec(until);
  if (match === null) return false;
  const time = Date.parse(`${match[1]}:${match[2]}:${match[3]}Z`);
  return !Number.isNaN(time) && time <= now.getTime();
}

function unusedLayers(repository: PublishedRepository, gone: ReadonlySet<string>, before: Date): Digest[] {
  const used = new Set<Digest>();
  for (const path of repository.manifestPaths()) {
    // Each is read, also one that goes: what cannot be read may name any layer.
    const manifest = repository.manifestAt(path);
    if ([...gone].some((directory) => path.startsWith(`${directory}/`))) continue;
    for (const { digest } of manifest?.layers ?? []) used.add(digest);
  }
  return layersOf(repository).filter((digest) => {
    const stat = lookIfThere(`${repository.root}/${layerPath(digest)}`);
    return !used.has(digest) && stat !== undefined && stat.mtime.sec * 1000 <= before.getTime();
  });
}

function layersOf(repository: PublishedRepository): Digest[] {
  return repository
    .list(LAYERS)
    .filter((prefix) => /^[0-9a-f]{2}$/.test(prefix))
    .flatMap((prefix) => repository.list(`${LAYERS}/${prefix}`))
    .filter((hex) => /^[0-9a-f]{64}$/.test(hex))
    .map(digestFromHex);
}
