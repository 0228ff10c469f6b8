import type { ByteName } from '../../base/bytes.ts';
import { listNames } from '../../sys/kernel/look.ts';
import { maskOf, type PublishedKey, publishedKeyOrUndefined, shimOf } from '../layout/layer-key.ts';
import type { Layout } from '../layout/layout.ts';
import { isCount, isOptional, isRecord, isStrings, isText } from '../layout/own-json.ts';
import { removeName } from '../layout/staging.ts';
import type { Layers } from './layers.ts';
import { recall, remember } from './records.ts';

/** What a walk of a layer on CVMFS found: remembered, since the next create should not walk again. */
export interface PublishedRecord {
  /** Absolute path of the tree, for people. */
  readonly path: string;
  /** 64 hex digits, where the image names it: image configurations are found by it. */
  readonly diffId?: string | undefined;
  /** What the layer counts for against an inclusive limit. */
  readonly bytes: number;
  readonly explicitRoot: boolean;
  readonly impliedDirs: readonly ByteName[];
  /** Implied directories in which nothing shows. */
  readonly hollowDirs: readonly ByteName[];
  readonly opaqueDirs: readonly ByteName[];
  /** Names to hide in the root of every container of this layer. */
  readonly rootHidden: readonly ByteName[];
  readonly hasShim: boolean;
  readonly hasMask: boolean;
  /** The mask has what publishing lost, the attributes of the root among it. */
  readonly isRepaired?: boolean | undefined;
  /** What may have been lost in publishing and is accepted, one sentence each. */
  readonly accepted?: readonly string[] | undefined;
  /** Why no container can be made with it, under the policies that its name stands for; found out once. */
  readonly unusable?: string | undefined;
  /** What kind of doubt that is. */
  readonly doubt?: UnusableDoubt | undefined;
}

const DOUBTS = ['unusable_layer', 'lost_metadata'] as const;
export type UnusableDoubt = (typeof DOUBTS)[number];

/** What a store keeps about layers that lie in CVMFS repositories. */
export class PublishedLayers {
  readonly #layout: Layout;

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  /** The record of a layer whose shim and mask, where it needs them, are there too. */
  get(key: PublishedKey, layers: Layers): PublishedRecord | undefined {
    const record = recall(this.#path(key), isPublished);
    if (record === undefined) return undefined;
    const whole =
      (!record.hasShim || layers.has(shimOf(key))) && (!record.hasMask || layers.has(maskOf(key)));
    return whole ? record : undefined;
  }

  put(key: PublishedKey, record: PublishedRecord): void {
    remember(this.#layout, this.#path(key), record);
  }

  list(): PublishedKey[] {
    return listNames(this.#layout.published).flatMap((name) => publishedKeyOrUndefined(name) ?? []);
  }

  forget(key: PublishedKey): void {
    removeName(this.#layout, this.#path(key));
  }

  #path(key: PublishedKey): string {
    return `${this.#layout.published}/${key}`;
  }
}

function isDoubt(value: unknown): value is UnusableDoubt {
  return DOUBTS.some((doubt) => doubt === value);
}

function isPublished(value: unknown): value is PublishedRecord {
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
