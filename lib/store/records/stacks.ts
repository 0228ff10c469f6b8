import { isLower, type Lower, type StackKey } from '../layout/layer-key.ts';
import type { Layout } from '../layout/layout.ts';
import { isCount, isOptional, isRecord, isStrings, isText } from '../layout/own-json.ts';
import { recall, remember } from './records.ts';

/** Attributes of a directory that are copied from one layer to another directory. Xattrs are pairs in base64. */
export interface DirectoryAttributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Undefined: the copy keeps the time at which it was made. */
  readonly mtime: { readonly sec: number; readonly nsec: number } | undefined;
  readonly xattrs: readonly (readonly [string, string])[];
}

/**
 * How the layers of an image become a rootfs. The plan is made once and remembered under the name of the list of
 * layers.
 */
export interface StackPlan {
  /**
   * Lower directories, topmost first: names below volumes/ (layers and shims), or absolute paths outside the store.
   */
  readonly lowers: readonly Lower[];
  /**
   * The directories that need an idmapped mount, for the paths outside the store among `lowers`
   * (lib/sys/mounts/idmap.ts).
   */
  readonly idmapRoots?: readonly string[] | undefined;
  /** The keys of everything in the store that the plan needs, written as in leases and image records. */
  readonly uses: readonly string[];
  /** Bytes of the layers' files; each layer counts once. */
  readonly layerBytes: number;
  /**
   * The callers that may use the layers without asking a registry: `EVERYBODY`, or those whose image names this place
   * (grants.ts).
   */
  readonly open?: string | undefined;
  /** Attributes of `/`. They are set on the upper directory, which always hides those of the lower directories. */
  readonly root: DirectoryAttributes;
}

/** No place has this name. */
export const EVERYBODY = 'everybody';

export class Stacks {
  readonly #layout: Layout;

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  get(key: StackKey): StackPlan | undefined {
    return recall(`${this.#layout.stacks}/${key}`, isPlan);
  }

  put(key: StackKey, plan: StackPlan): void {
    remember(this.#layout, `${this.#layout.stacks}/${key}`, plan);
  }
}

function isPlan(value: unknown): value is StackPlan {
  return (
    isRecord(value) &&
    Array.isArray(value['lowers']) &&
    value['lowers'].every(isLower) &&
    isStrings(value['uses']) &&
    isOptional(value['idmapRoots'], isStrings) &&
    isOptional(value['open'], isText) &&
    isCount(value['layerBytes']) &&
    isAttributes(value['root'])
  );
}

function isAttributes(value: unknown): boolean {
  if (!isRecord(value)) return false;
  const { mode, uid, gid, mtime, xattrs } = value;
  return (
    [mode, uid, gid].every(isCount) &&
    (mtime === undefined ||
      (isRecord(mtime) && Number.isSafeInteger(mtime['sec']) && isCount(mtime['nsec']))) &&
    Array.isArray(xattrs) &&
    xattrs.every((pair) => isStrings(pair) && pair.length === 2)
  );
}
