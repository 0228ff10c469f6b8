/** Remembered facts about layers that are gone: plans, sources, manifests. All of them can be found out again. */
import { listNames } from '../sys/look.ts';
import { MAX_BLOB_BYTES } from './ceilings.ts';
import { stackKeyOrUndefined, type VolumeName } from './layer-key.ts';
import { readFact } from './read-file.ts';
import { recall } from './records.ts';
import { neededFor } from './sources.ts';
import { removeName } from './staging.ts';
import type { Store } from './store.ts';

export function forget(store: Store): void {
  forgetStacks(store);
  forgetSources(store);
  forgetBlobs(store);
}

/** What was found out about layers on CVMFS that no container uses. @param used what images and live leases name */
export function forgetPublished({ published }: Store, used: ReadonlySet<string>): void {
  for (const key of published.list()) if (!used.has(key)) published.forget(key);
}

function forgetStacks(store: Store): void {
  const { layout } = store;
  for (const name of listNames(layout.stacks)) {
    const key = stackKeyOrUndefined(name);
    const plan = key && store.stacks.get(key);
    const whole = plan?.lowers.every(
      (lower) => lower.startsWith('/') || store.layers.has(lower as VolumeName),
    );
    if (!whole) removeName(layout, `${layout.stacks}/${name}`);
  }
}

function forgetSources(store: Store): void {
  const { layout } = store;
  const layers = new Set(store.layers.list().map((key) => key.slice(0, 64)));
  for (const name of listNames(layout.sources)) {
    const needed = neededFor(recall(`${layout.sources}/${name}`, isAnything));
    if (needed?.every((hex) => layers.has(hex)) !== true) removeName(layout, `${layout.sources}/${name}`);
  }
}

function isAnything(value: unknown): value is unknown {
  return value !== undefined;
}

/** What keeps a blob: each of these names, or one of them. By hex: layers, and other blobs. */
interface Needs {
  readonly names: ReadonlySet<string>;
  readonly all: boolean;
}

/**
 * Manifests and configurations of which layers are gone: a configuration goes with the first of its layers, as others
 * of them may stay for years below newer images; a manifest goes with its configuration, an index with its manifests.
 * Blobs are a stranger's and may be large: one at a time is in memory, and what it names of what the store has.
 */
function forgetBlobs(store: Store): void {
  const { blobs } = store.layout;
  const left = new Set(listNames(blobs));
  const kept = new Set([
    ...store.layers.list().map((key) => key.slice(0, 64)),
    ...store.published.list().flatMap((key) => store.published.get(key, store.layers)?.diffId ?? []),
  ]);
  const known = new Set([...left, ...kept]);
  const needs = new Map([...left].map((name) => [name, needsOf(`${blobs}/${name}`, known)]));
  for (let before = -1; before !== left.size; ) {
    before = left.size;
    for (const name of left) {
      if (!isKept(needs.get(name), kept)) continue;
      kept.add(name);
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

function needsOf(path: string, known: ReadonlySet<string>): Needs {
  const text = readFact(path, MAX_BLOB_BYTES) ?? '';
  const { rootfs, config } = parsed(text);
  if (Array.isArray(rootfs?.diff_ids)) return allOf(rootfs.diff_ids.map(hexOf), known);
  if (config?.digest !== undefined) return allOf([hexOf(config.digest)], known);
  const names = [...text.matchAll(DIGEST)].map(([, hex = '']) => hex).filter((hex) => known.has(hex));
  return { names: new Set(names), all: false };
}

/** A list with a name that is not there keeps nothing, and need not lie in memory. */
function allOf(names: readonly string[], known: ReadonlySet<string>): Needs {
  return { names: new Set(names.every((name) => known.has(name)) ? names : []), all: true };
}

/** An image configuration has the one, a manifest the other. */
interface Document {
  readonly rootfs?: { readonly diff_ids?: unknown } | null;
  readonly config?: { readonly digest?: unknown } | null;
}

function parsed(text: string): Document {
  try {
    return (JSON.parse(text) as Document | null) ?? {};
  } catch {
    return {};
  }
}

const DIGEST = /sha256:([0-9a-f]{64})/g;

function hexOf(digest: unknown): string {
  return String(digest).replace('sha256:', '');
}
