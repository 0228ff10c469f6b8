import { isPluginError } from '../../base/errors/error.ts';

/** The errors of the unpacker that bytes cause which are not the layer's. */
const WRONG_BYTES: ReadonlySet<string> = new Set([
  'LAYER_DIGEST_MISMATCH',
  'LAYER_DIFFID_MISMATCH',
  'LAYER_SIZE_MISMATCH',
  'LAYER_BAD_COMPRESSION',
  'LAYER_BAD_HEADER',
  'LAYER_NOT_A_TAR',
  'LAYER_TRUNCATED',
]);

/** True for an error after which the same layer from another place may be right. */
export function isOfWrongBytes(error: unknown): boolean {
  return isPluginError(error) && WRONG_BYTES.has(error.code);
}
