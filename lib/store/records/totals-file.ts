/**
 * The text of `meta/totals`, numbers in bytes unless said otherwise:
 *
 *   = COMMITTED LAYERS FACTS FILES            what a clean has counted
 *   @ STACK IMAGES FILES OWN                  a stack, with the number of images on it
 *   + COMMITTED LAYERS FACTS FILES            what came since, or went with a sign: one line a change
 *   + COMMITTED LAYERS FACTS FILES STACK ±1 FILES FETCHED   the same, with an image made on a stack, or deleted from it
 *
 * STACK is the beginning of a stack's key: sixteen digits tell the stacks of one store apart, and the line stays short.
 */
import type { StackKey } from '../layout/layer-key.ts';

/** Bytes; with a sign where they are a change. */
export interface Totals {
  /** Limits of all images. */
  readonly committedBytes: number;
  /** What layers take on the disk. */
  readonly layerBytes: number;
  /** What the store remembers: manifests, plans, records. */
  readonly factBytes: number;
  /** Files of all layers, as GrootFS counts them. */
  readonly fileBytes: number;
}

/** Images on one stack of layers. */
export interface StackCount {
  /** 0: a stack that no image is on any more, whose layers are still there. */
  readonly images: number;
  /** Files of the stack's layers, as `image_info` has them. */
  readonly fileBytes: number;
  /** Those of layers that came with this stack, and that no other stack here has for its own. */
  readonly ownBytes: number;
}

/** An image made (1) or deleted (-1). */
export interface ImageChange {
  readonly stack: ShortKey;
  readonly images: 1 | -1;
  /** Of the stack. */
  readonly fileBytes: number;
  /** Of layers that came for this image. */
  readonly fetchedBytes: number;
}

export type ShortKey = string & { readonly __shortStackKey: true };

export function shortKey(stack: StackKey): ShortKey {
  return stack.slice(STACK_PREFIX, STACK_PREFIX + 16) as ShortKey;
}
const STACK_PREFIX = 'stack-'.length;

/** All that the file says. */
export interface Counted {
  readonly totals: Totals;
  /** Those that changed last are last. */
  readonly stacks: ReadonlyMap<ShortKey, StackCount>;
}

export function encodeCounted({ totals, stacks }: Counted): string {
  const lines = [numbers('=', totals)];
  for (const [key, { images, fileBytes, ownBytes }] of stacks)
    lines.push(`@ ${key} ${images} ${fileBytes} ${ownBytes}`);
  return `${lines.join('\n')}\n`;
}

export function encodeChange(totals: Totals, image: ImageChange | undefined): string {
  if (image === undefined) return `${numbers('+', totals)}\n`;
  const { stack, images, fileBytes, fetchedBytes } = image;
  return `${numbers('+', totals)} ${stack} ${images} ${fileBytes} ${fetchedBytes}\n`;
}

function numbers(sign: string, { committedBytes, layerBytes, factBytes, fileBytes }: Totals): string {
  return `${sign} ${committedBytes} ${layerBytes} ${factBytes} ${fileBytes}`;
}

const LINE =
  /^(?:([=+]) (-?\d{1,20}) (-?\d{1,20}) (-?\d{1,20}) (-?\d{1,20})|@)(?: ([0-9a-f]{16}) (-?\d{1,9}) (\d{1,20}) (\d{1,20}))?$/;

/** Undefined for what these functions do not write, and for sums that cannot be. */
export function decodeCounted(text: string): Counted | undefined {
  const lines = text.split('\n');
  if (lines.pop() !== '' || lines.length === 0) return undefined;
  let [committedBytes, layerBytes, factBytes, fileBytes] = [0, 0, 0, 0];
  const stacks = new Stacks();
  for (const [at, line] of lines.entries()) {
    const found = LINE.exec(line);
    if (found === null || (found[1] === '=') !== (at === 0)) return undefined;
    const [, sign, committed = '0', layers = '0', facts = '0', files = '0', key, images, total, part] = found;
    if ((sign === '=' && key !== undefined) || (sign === undefined && key === undefined)) return undefined;
    committedBytes += Number(committed);
    layerBytes += Number(layers);
    factBytes += Number(facts);
    fileBytes += Number(files);
    if (key === undefined) continue;
    const stack = { images: Number(images), fileBytes: Number(total), ownBytes: Number(part) };
    if (sign === undefined) stacks.set(key as ShortKey, stack);
    else stacks.change(key as ShortKey, stack, fileBytes);
  }
  const totals = { committedBytes, layerBytes, factBytes, fileBytes };
  // Limits of 8 PiB each add up to what a number does not hold exactly: that is near enough.
  return Object.values(totals).every((sum) => sum >= 0) ? { totals, stacks: stacks.all } : undefined;
}

/** The stacks as far as the file was read. */
class Stacks {
  readonly all = new Map<ShortKey, StackCount>();
  #ownBytes = 0;

  set(key: ShortKey, stack: StackCount): void {
    this.#ownBytes += stack.ownBytes - (this.all.get(key)?.ownBytes ?? 0);
    this.all.delete(key);
    this.all.set(key, stack);
  }

  /** @param change its `ownBytes` came for this image. @param filesSoFar of all layers there are */
  change(key: ShortKey, { images, fileBytes, ownBytes: fetched }: StackCount, filesSoFar: number): void {
    const known = this.all.get(key);
    // Of an image whose line is lost the deletion is not counted either.
    const left = Math.max((known?.images ?? 0) + images, 0);
    // Layers that were there and that no stack has: those of a pull, or of an image before the last clean.
    const nobodys = left === 0 ? 0 : Math.max(filesSoFar - this.#ownBytes, 0);
    const own = Math.max(known?.ownBytes ?? (fetched > 0 ? 0 : nobodys), fetched);
    this.set(key, { images: left, fileBytes, ownBytes: Math.min(own, fileBytes) });
  }
}

/**
 * Files of the layers in use, in bytes. Exact after a clean, and as long as the stacks share one base: who brought that may
 * be gone while others stand on it.
 */
export function usedFileBytes({ totals, stacks }: Counted): number {
  let [own, gone, others, largest] = [0, 0, 0, 0];
  for (const { images, fileBytes, ownBytes } of stacks.values()) {
    if (images === 0) {
      gone += ownBytes;
      continue;
    }
    own += ownBytes;
    others = Math.max(others, fileBytes - ownBytes);
    largest = Math.max(largest, fileBytes);
  }
  return Math.min(Math.max(own + Math.min(gone, others), largest), totals.fileBytes);
}
