/** Deletes remembered facts about layers that are gone: plans, sources, manifests. All can be found out again. */
import { hexOf } from '../../base/digest.ts';
import { PluginError } from '../../base/errors/error.ts';
import { KiB } from '../../base/limits.ts';
import { silentLogger } from '../../base/log.ts';
import { parseConfig } from '../../oci/config.ts';
import { parseManifest } from '../../oci/manifest.ts';
import { listNames } from '../../sys/kernel/look.ts';
import { MAX_BLOB_BYTES } from '../layout/ceilings.ts';
import { isOutside, layerKeyOrUndefined, stackKeyOrUndefined } from '../layout/layer-key.ts';
import { readFactBytes } from '../layout/read-file.ts';
import { removeName } from '../layout/staging.ts';
import { blobHex } from '../records/blobs.ts';
import { cachedImages, dropCached } from '../records/cached-images.ts';
import { neededForLastKnown } from '../records/last-known.ts';
import { recall } from '../records/records.ts';
import { neededFor } from '../records/sources.ts';
import type { Store } from '../store.ts';

export function removeUnusedRecords(store: Store): void {
  removeStacks(store);
  removeSources(store);
  removeBlobs(store);
  removeCached(store);
}

/**
 * Deletes the records of layers on CVMFS that no container uses.
 * @param used the names in image records and live leases
 */
export function removeUnusedCvmfsRecords({ cvmfsRecords }: Store, used: ReadonlySet<string>): void {
  for (const key of cvmfsRecords.list()) if (!used.has(key)) cvmfsRecords.forget(key);
}

function removeStacks(store: Store): void {
  const { layout } = store;
  for (const name of listNames(layout.stacks)) {
    const key = stackKeyOrUndefined(name);
    const plan = key && store.stacks.get(key);
    const whole = plan?.lowers.every((lower) => isOutside(lower) || store.layers.has(lower));
    if (!whole) removeName(layout, `${layout.stacks}/${name}`);
  }
}

function removeSources(store: Store): void {
  const { layout } = store;
  const layers = new Set(store.layers.list().map((key) => key.slice(0, 64)));
  for (const name of listNames(layout.sources)) {
    const fact = recall(`${layout.sources}/${name}`, isAnything);
    const needed = neededFor(fact) ?? neededForLastKnown(fact);
    if (needed?.every((hex) => layers.has(hex)) !== true) removeName(layout, `${layout.sources}/${name}`);
  }
}

/** A name of which no layer is in the store, or not all, says nothing any more, unless a person asked to keep the image. */
function removeCached({ layout, layers }: Store): void {
  for (const image of cachedImages(layout)) {
    if (image.kept) continue;
    const keys = image.uses.flatMap((use) => layerKeyOrUndefined(use) ?? []);
    if (keys.length === 0 || !keys.every((key) => layers.has(key))) dropCached(layout, image);
  }
}

function isAnything(value: unknown): value is unknown {
  return value !== undefined;
}

/**
 * The names that a document needs in order to be kept: all of them, or at least one. They are the hex of layers and
 * of other documents.
 */
interface Needs {
  readonly names: ReadonlySet<string>;
  readonly all: boolean;
}

/**
 * Deletes manifests and configurations whose layers are gone. A configuration goes with the first of its layers,
 * since the other layers may stay for years below newer images. A manifest goes with its configuration, and an index
 * with its last manifest. Documents come from strangers and may be large: only one is in memory at a time, together
 * with the names in it that the store has.
 */
function removeBlobs(store: Store): void {
  const { blobs } = store.layout;
  const left = new Set(listNames(blobs));
  const kept = new Set([
    ...store.layers.list().map((key) => key.slice(0, 64)),
    ...store.cvmfsRecords.list().flatMap((key) => store.cvmfsRecords.get(key, store.layers)?.diffId ?? []),
  ]);
  const known = new Set([...[...left].map(blobHex), ...kept]);
  const needs = new Map([...left].map((name) => [name, needsOf(`${blobs}/${name}`, known)]));
  for (let before = -1; before !== left.size; ) {
    before = left.size;
    for (const name of left) {
      if (!isKept(needs.get(name), kept)) continue;
      kept.add(blobHex(name));
      left.delete(name);
    }
  }
  for (const name of left) removeName(store.layout, `${blobs}/${name}`);
}

function isKept(needs: Needs | undefined, kept: ReadonlySet<string>): boolean {
  if (needs === undefined || needs.names.size === 0) return false;
  const names = [...needs.names];
  return needs.all ? names.every((name) => kept.has(name)) : names.some((name) => kept.has(name));
}

/**
 * Finds out which names a document needs. The parsers for registry answers read it here too; a document that they
 * refuse needs nothing and is deleted. A document above MAX_TAKEN_APART is searched for digests and not parsed, since
 * a stranger could make this process use too much memory. Such a document is kept while the store has one of its
 * digests, but not longer than the bounds (bounds.ts) allow.
 */
function needsOf(path: string, known: ReadonlySet<string>): Needs {
  const bytes = readFactBytes(path, MAX_BLOB_BYTES);
  if (bytes === undefined) return NOTHING;
  if (bytes.length > MAX_TAKEN_APART) return anyOf(digestsIn(bytes), known);
  return needsOfManifest(bytes, known) ?? needsOfConfig(bytes, known) ?? NOTHING;
}

const NOTHING: Needs = { names: new Set(), all: true };
/** A parsed document takes up to 25 times its size in memory. Real documents have 10 KB. */
const MAX_TAKEN_APART = 256 * KiB;

function needsOfManifest(bytes: Uint8Array, known: ReadonlySet<string>): Needs | undefined {
  const manifest = unlessRefused(() => parseManifest(bytes, undefined, ''));
  if (manifest === undefined) return undefined;
  if (manifest.kind === 'image') return allOf([hexOf(manifest.config.digest)], known);
  return anyOf(
    manifest.entries.map(({ digest }) => hexOf(digest)),
    known,
  );
}

function needsOfConfig(bytes: Uint8Array, known: ReadonlySet<string>): Needs | undefined {
  const config = unlessRefused(() => parseConfig(bytes, '', silentLogger));
  return config && allOf(config.diffIds.map(hexOf), known);
}

function unlessRefused<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof PluginError) return undefined;
    throw error;
  }
}

/** When the store lacks one of the names, the document is not kept, and its names are not stored. */
function allOf(names: readonly string[], known: ReadonlySet<string>): Needs {
  return { names: new Set(names.every((name) => known.has(name)) ? names : []), all: true };
}

function anyOf(names: Iterable<string>, known: ReadonlySet<string>): Needs {
  const there = new Set<string>();
  for (const name of names) if (known.has(name)) there.add(name);
  return { names: there, all: false };
}

const DIGEST = /sha256:([0-9a-f]{64})/g;

function* digestsIn(bytes: Uint8Array): Generator<string> {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  for (const [, hex = ''] of text.matchAll(DIGEST)) yield hex;
}
