import { isLower, type StackKey } from '../layout/layer-key.ts';
import type { Layout } from '../layout/layout.ts';
import { isCount, isOptional, isRecord, isStrings, isText } from '../layout/own-json.ts';
import { recall, remember } from './records.ts';

/** Attributes of a directory that are carried from one layer to another place. Xattrs as base64 pairs. */
export interface DirectoryAttributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Undefined: leave the time of making. */
  readonly mtime: { readonly sec: number; readonly nsec: number } | undefined;
  readonly xattrs: readonly (readonly [string, string])[];
}

/** How a list of layers becomes a root filesystem: worked out once, remembered under the list's name. */
export interface StackPlan {
  /** Lower directories, topmost first: names below volumes/ (layers and shims), or absolute foreign paths. */
  readonly lowers: readonly string[];
  /** Directories of which the foreign paths among `lowers` are read through an idmapped mount (lib/sys/mounts/idmap.ts). */
  readonly idmapRoots?: readonly string[] | undefined;
  /** Everything of the store that the plan relies on, as leases and image records name it. */
  readonly uses: readonly string[];
  /** Bytes of the layers' files, each layer once. */
  readonly layerBytes: number;
  /** Whose images may be given the layers without a question: `EVERYBODY`, or those of a place (grants.ts). */
  readonly open?: string | undefined;
  /** Attributes of `/`: they go onto the upper directory, which always hides the lower ones. */
  readonly root: DirectoryAttributes;
}

/** It cannot be a place. */
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
