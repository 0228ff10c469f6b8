/**
 * The text of `meta/totals`, with numbers in bytes unless a line says otherwise:
 *
 *   = COMMITTED LAYERS FACTS FILES            the totals that a clean counted
 *   @ STACK IMAGES FILES OWN                  a stack, with the number of images on it
 *   + COMMITTED LAYERS FACTS FILES            one later change; negative numbers are bytes removed
 *   + COMMITTED LAYERS FACTS FILES STACK ±1 FILES FETCHED   the same, with an image that was made or deleted on a stack
 *
 * STACK is the first sixteen digits of a stack's key: they are enough within one store, and keep the line short.
 */
import type { StackKey } from '../layout/layer-key.ts';

/** Bytes; negative where a change removes them. */
export interface Totals {
  /** The sum of the limits of all images. */
  readonly committedBytes: number;
  /** Bytes of the layers on the disk. */
  readonly layerBytes: number;
  /** Bytes of remembered facts: manifests, plans, records. */
  readonly factBytes: number;
  /** Bytes of the files of all layers, as GrootFS counts them. */
  readonly fileBytes: number;
}

/** The images on one stack of layers. */
export interface StackCount {
  /** 0 when no image uses the stack any more and its layers are still there. */
  readonly images: number;
  /** Bytes of the files of the stack's layers, as in `image_info`. */
  readonly fileBytes: number;
  /**
   * Bytes of the files of those layers that were fetched for this stack and that no other stack here counts as its
   * own.
   */
  readonly ownBytes: number;
}

/** An image that was made (1) or deleted (-1). */
export interface ImageChange {
  readonly stack: ShortKey;
  readonly images: 1 | -1;
  /** Bytes of the files of the stack's layers. */
  readonly fileBytes: number;
  /** Bytes of the files of the layers that were fetched for this image. */
  readonly fetchedBytes: number;
}

export type ShortKey = string & { readonly __shortStackKey: true };

export function shortKey(stack: StackKey): ShortKey {
  return stack.slice(STACK_PREFIX, STACK_PREFIX + 16) as ShortKey;
}
const STACK_PREFIX = 'stack-'.length;

/** The content of the file. */
export interface Counted {
  readonly totals: Totals;
  /** In the order of their latest change; the stack that changed last is last. */
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

/** Undefined for a text that these functions do not write, and for negative sums. */
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
  // The sums of many limits of 8 PiB are above 2^53, where a number is not exact: the totals may be a little wrong.
  return Object.values(totals).every((sum) => sum >= 0) ? { totals, stacks: stacks.all } : undefined;
}

/** The stacks in the lines of the file that were read so far. */
class Stacks {
  readonly all = new Map<ShortKey, StackCount>();
  #ownBytes = 0;

  set(key: ShortKey, stack: StackCount): void {
    this.#ownBytes += stack.ownBytes - (this.all.get(key)?.ownBytes ?? 0);
    this.all.delete(key);
    this.all.set(key, stack);
  }

  /**
   * Counts an image made or deleted.
   * @param change its `ownBytes` are those of layers that were fetched for this image
   * @param filesSoFar bytes of the files of all layers, up to this line
   */
  change(key: ShortKey, { images, fileBytes, ownBytes: fetched }: StackCount, filesSoFar: number): void {
    const known = this.all.get(key);
    // When the line of an image is lost, its deletion must not make the count negative.
    const left = Math.max((known?.images ?? 0) + images, 0);
    // Files of layers that no stack counts as its own: they came with a pull, or with an image before the last clean.
    const nobodys = left === 0 ? 0 : Math.max(filesSoFar - this.#ownBytes, 0);
    const own = Math.max(known?.ownBytes ?? (fetched > 0 ? 0 : nobodys), fetched);
    this.set(key, { images: left, fileBytes, ownBytes: Math.min(own, fileBytes) });
  }
}

/**
 * Bytes of the files of layers in use. The sum is exact after a clean. Between cleans it is exact as long as all
 * stacks share one base: the stack that counts the base as its own may have no image left while other stacks use the
 * base.
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
