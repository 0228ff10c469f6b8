import type { ErofsWay } from '../../sys/mounts/erofs.ts';
import { isOptional, isRecord, isText } from './own-json.ts';

/** `auto`: images where the kernel mounts them from their files with direct I/O, else directories. */
export const LAYER_WISHES = ['auto', 'directories', 'images'] as const;
export type LayerWish = (typeof LAYER_WISHES)[number];

/** How the store writes layers, and what a trial at `init-store` found. */
export interface LayerForm {
  readonly wish: LayerWish;
  readonly kind: 'directories' | 'images';
  /** How images are mounted. */
  readonly way: ErofsWay;
  /** The reason why images are not written although they are wished for. */
  readonly lack?: string | undefined;
}

/** Also of a store that an earlier graft made. */
export const DIRECTORIES: LayerForm = { wish: 'directories', kind: 'directories', way: 'file' };

export function isLayerWish(value: unknown): value is LayerWish {
  return LAYER_WISHES.some((wish) => wish === value);
}

export function isLayerForm(value: unknown): value is LayerForm {
  return (
    isRecord(value) &&
    isLayerWish(value['wish']) &&
    (value['kind'] === 'directories' || value['kind'] === 'images') &&
    (value['way'] === 'file' || value['way'] === 'loop') &&
    isOptional(value['lack'], isText)
  );
}

export function isSameForm(one: LayerForm, other: LayerForm): boolean {
  return (
    one.wish === other.wish && one.kind === other.kind && one.way === other.way && one.lack === other.lack
  );
}
