import type { ByteName } from '../../base/bytes.ts';
import { listNames } from '../../sys/kernel/look.ts';
import { type CvmfsKey, cvmfsKeyOrUndefined, maskOf, shimOf } from '../layout/layer-key.ts';
import type { Layout } from '../layout/layout.ts';
import { isCount, isOptional, isRecord, isStrings, isText } from '../layout/own-json.ts';
import { removeName } from '../layout/staging.ts';
import type { Layers } from './layers.ts';
import { recall, remember } from './records.ts';

/** The result of a walk of a layer on CVMFS. The store remembers it, so that the next create does not walk again. */
export interface CvmfsRecord {
  /** Absolute path of the tree, for people. */
  readonly path: string;
  /** 64 hex digits, where the image names the diffID: the image configuration is found by it. */
  readonly diffId?: string | undefined;
  /** Bytes of the layer against an inclusive limit. */
  readonly bytes: number;
  readonly explicitRoot: boolean;
  readonly impliedDirs: readonly ByteName[];
  /** Implied directories in which no entry is visible. */
  readonly hollowDirs: readonly ByteName[];
  readonly opaqueDirs: readonly ByteName[];
  /** Names to hide in the root directory of every container with this layer. */
  readonly rootHidden: readonly ByteName[];
  readonly hasShim: boolean;
  readonly hasMask: boolean;
  /** True when the mask restores what publishing to CVMFS lost, including the attributes of the root directory. */
  readonly isRepaired?: boolean | undefined;
  /** Losses through publishing to CVMFS that are possible and accepted, one sentence each. */
  readonly accepted?: readonly string[] | undefined;
  /** Why no container can be made with the layer under the policies in its name; the walk finds this out once. */
  readonly unusable?: string | undefined;
  /** The kind of the reason in `unusable`. */
  readonly doubt?: UnusableDoubt | undefined;
}

const DOUBTS = ['unusable_layer', 'lost_metadata'] as const;
export type UnusableDoubt = (typeof DOUBTS)[number];

/** The records of layers that lie in CVMFS repositories. */
export class CvmfsRecords {
  readonly #layout: Layout;

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  /** The record of a layer; undefined also when the layer needs a shim or a mask that is missing. */
  get(key: CvmfsKey, layers: Layers): CvmfsRecord | undefined {
    const record = recall(this.#path(key), isCvmfsRecord);
    if (record === undefined) return undefined;
    const whole =
      (!record.hasShim || layers.has(shimOf(key))) && (!record.hasMask || layers.has(maskOf(key)));
    return whole ? record : undefined;
  }

  put(key: CvmfsKey, record: CvmfsRecord): void {
    remember(this.#layout, this.#path(key), record);
  }

  list(): CvmfsKey[] {
    return listNames(this.#layout.cvmfsRecords).flatMap((name) => cvmfsKeyOrUndefined(name) ?? []);
  }

  forget(key: CvmfsKey): void {
    removeName(this.#layout, this.#path(key));
  }

  #path(key: CvmfsKey): string {
    return `${this.#layout.cvmfsRecords}/${key}`;
  }
}

function isDoubt(value: unknown): value is UnusableDoubt {
  return DOUBTS.some((doubt) => doubt === value);
}

function isCvmfsRecord(value: unknown): value is CvmfsRecord {
  return (
    isRecord(value) &&
    isText(value['path']) &&
    isCount(value['bytes']) &&
    [value['diffId'], value['unusable']].every((text) => isOptional(text, isText)) &&
    [value['explicitRoot'], value['hasShim'], value['hasMask']].every((flag) => typeof flag === 'boolean') &&
    isOptional(value['accepted'], isStrings) &&
    isOptional(value['doubt'], isDoubt) &&
    [value['impliedDirs'], value['hollowDirs'], value['opaqueDirs'], value['rootHidden']].every(isStrings)
  );
}
