import type { LayerErrors } from '../../lib/base/errors/layer.ts';
import { notATar } from './layer-formats.ts';
import { bytesInWords } from './words.ts';

const REBUILD = 'build the image again with a current tool, or ask who publishes it';

/** The sentences of layers. They repeat the words of GrootFS where it has some, since its tests and operators search for them. */
export const layerSentences: { [C in keyof LayerErrors]: (s: LayerErrors[C]) => string } = {
  LAYER_PATH_ESCAPE: (s) =>
    `a layer of the image names '${s.entry}', which leads out of it; such an image is not unpacked`,
  LAYER_ROOT_REPLACED: (s) =>
    `a layer of the image replaces the root directory ('${s.entry}') by something else; such an image is not unpacked`,
  LAYER_LINK_LOOP: (s) =>
    `the name '${s.entry}' in a layer leads through more than 40 symbolic links; ${REBUILD}`,
  LAYER_NAME_TOO_LONG: (s) =>
    `the name '${s.entry}' in a layer is too long: ${s.limit} bytes are the limit; ${REBUILD}`,
  LAYER_BAD_HEADER: (s) =>
    `reading the layer's tar${s.entry === '' ? '' : ` at '${s.entry}'`}: ${s.reason}; ${REBUILD}`,
  LAYER_NOT_A_TAR: (s) => notATar(s.found),
  LAYER_TRUNCATED: (s) =>
    `the layer is not whole: ${s.reason}; fetch or copy it again, and if that does not help ${REBUILD}`,
  LAYER_BAD_HARDLINK: (s) =>
    `the hard link '${s.entry}' in a layer leads to '${s.target}', which no layer has as a file; ${REBUILD}`,
  LAYER_BAD_WHITEOUT: (s) => `'${s.entry}' in a layer is no valid whiteout; ${REBUILD}`,
  LAYER_UNSUPPORTED_ENTRY: (s) =>
    `'${s.entry}' in a layer is ${s.kind}, which image layers do not hold; build the layer without it`,
  LAYER_UNMAPPED_ID: (s) =>
    `'${s.entry}' in a layer belongs to ${s.kind} ${s.id}, which the store's mapping (${s.mappings}) does not have; ` +
    `use a store whose --${s.kind}-mapping covers it`,
  LAYER_BAD_XATTR: (s) =>
    `'${s.entry}' in a layer: the extended attribute '${s.xattr}' cannot be set: ${s.reason}; build the layer without it`,
  LAYER_TOO_LARGE: (s) =>
    `the layer has more than ${s.limit} ${s.what}, which is the most that is unpacked; build the image with smaller layers`,
  LAYER_STALLED: (s) =>
    `unpacking the layer stands still: nothing moved for ${s.seconds} seconds, and it does not wait for a registry; ` +
    'look at the disk of the store',
  LAYER_BAD_COMPRESSION: (s) =>
    `expected blob to be of type ${s.kind}: ${s.reason}; fetch or copy it again, and if that does not help ${REBUILD}`,
  LAYER_SIZE_MISMATCH: (s) =>
    `validating ${s.when} blob size: layer size is different from the value in the manifest; ` +
    `expected: ${s.expected}, actual ${s.actual}`,
  LAYER_DIGEST_MISMATCH: (s) =>
    `layerID digest mismatch: expected: ${s.expected}, actual: ${s.actual}; the bytes changed on the way or at their source`,
  LAYER_DIFFID_MISMATCH: (s) =>
    `diffID digest mismatch: expected: ${s.expected}, actual: ${s.actual}; the image's configuration does not fit its layers`,
  LAYER_EXCEEDS_QUOTA: (s) =>
    `uncompressed layer size exceeds quota: ${bytesInWords(s.actual)} so far, ` +
    `${bytesInWords(s.limit)} left of the disk limit; give the container a higher limit`,
  LAYER_BASE_DIRECTORY: (s) =>
    `base directory not found in parent layer: ${s.directory}: ${s.reason}; the layer goes on top of an image that has it`,
  LAYER_NEEDS_LOWER: (s) =>
    `'${s.entry}' in a layer leads to '${s.target}' in a lower layer, and the layer was unpacked alone; report this fault of graft`,
};
