import { PluginError } from '../../base/errors/error.ts';
import { printable } from '../../base/text.ts';

/** The id of an image (a container's rootfs): a file name of the caller's choice. */
export type ImageId = string & { readonly __brand: 'ImageId' };

/** NAME_MAX of Linux filesystems. */
const MAX_BYTES = 255;

/** Says why a text cannot be an id, as a part of a sentence; undefined when it can. */
function whyNot(text: string): string | undefined {
  if (text === '') return 'is empty';
  if (text === '.' || text === '..') return 'is a directory name of its own';
  if (text.includes('/')) return 'contains invalid characters: `/`';
  if (/[\x00-\x1f\x7f]/.test(text)) return 'contains control characters';
  if (Buffer.byteLength(text) > MAX_BYTES) return `is longer than ${MAX_BYTES} bytes`;
  return undefined;
}

/** @throws IMAGE_ID_INVALID for a text that cannot be a file name, or that would be dangerous as one. */
export function parseImageId(text: string): ImageId {
  const reason = whyNot(text);
  if (reason !== undefined) throw new PluginError('IMAGE_ID_INVALID', { id: printable(text), reason });
  return text as ImageId;
}

/** Parses a name that was read from one of the store's own directories. */
export function imageIdOrUndefined(text: string): ImageId | undefined {
  return whyNot(text) === undefined ? (text as ImageId) : undefined;
}

/**
 * The argument of `delete` and `stats`: an id, or the path of an image in this store.
 * @throws IMAGE_OUTSIDE_STORE for other paths, IMAGE_ID_INVALID.
 */
export function parseIdOrPath(argument: string, storeRoot: string): ImageId {
  if (!argument.startsWith('/')) return parseImageId(argument);
  const path = argument.replace(/\/+/g, '/').replace(/\/$/, '');
  const prefix = `${storeRoot}/images/`;
  const name = path.startsWith(prefix) ? path.slice(prefix.length) : '';
  if (whyNot(name) !== undefined) {
    throw new PluginError('IMAGE_OUTSIDE_STORE', { path: printable(argument), store: storeRoot });
  }
  return name as ImageId;
}
