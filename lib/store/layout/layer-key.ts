import { type DiffId, type Digest, hexOf, sha256Hex } from '../../base/digest.ts';

/** The name of a directory below volumes/. */
export type VolumeName = string & { readonly __volume: true };
/**
 * The name of a layer below volumes/. The name covers everything that shapes the layer's tree, except the store's
 * mapping.
 */
export type LayerKey = VolumeName & { readonly __layerKey: true };
/** The name of a layer on CVMFS: the layer's shim, mask and record in the store have this name. */
export type CvmfsKey = string & { readonly __cvmfsKey: true };
/** The name of a list of layers, bottom first. */
export type StackKey = string & { readonly __stackKey: true };

/**
 * This number is raised whenever unpacking gives another tree for the same bytes (which xattrs are kept, how names
 * are treated). Then no create finds layers of the older policy any more, and a clean deletes them.
 */
const POLICY = 1;

export interface LayerIdentity {
  /**
   * The digest that names the bytes: the diffID; for a layer that was not validated, the digest that the image
   * declares.
   */
  readonly content: DiffId | Digest;
  /** Part of the name, so that a layer that was not validated never gets the name of a validated one. */
  readonly validated: boolean;
  /** The base directory, and the layer from which missing parent directories are copied. */
  readonly base?: { readonly directory: string; readonly parent: LayerKey | undefined } | undefined;
  /** The layers below, bottom first, for a layer that cannot be unpacked without them. */
  readonly chain?: readonly LayerKey[] | undefined;
}

/** `<64 hex>.p1` for a plain layer, `<64 hex>.p1-<16 hex>` where more than the bytes shape the tree. */
export function layerKey(identity: LayerIdentity): LayerKey {
  const { content, validated, base, chain } = identity;
  const plain = `${hexOf(content)}.p${POLICY}`;
  if (validated && base === undefined && chain === undefined) return plain as LayerKey;
  const shape = JSON.stringify([validated, base?.directory, base?.parent, chain]);
  return `${plain}-${sha256Hex(shape).slice(0, 16)}` as LayerKey;
}

/** The same as POLICY, for shims, masks and records that come from the walk of a layer on CVMFS. */
const CVMFS_POLICY = 1;

export interface CvmfsIdentity {
  /** The digest of the compressed blob, or another digest that names the bytes. */
  readonly content: Digest;
  /** The path of the layer on CVMFS and its state there: everything else that shapes the shim and the mask. */
  readonly place: readonly (string | boolean)[];
}

/** `<64 hex>.c1-<16 hex>` */
export function cvmfsKey({ content, place }: CvmfsIdentity): CvmfsKey {
  return `${hexOf(content)}.c${CVMFS_POLICY}-${sha256Hex(JSON.stringify(place)).slice(0, 16)}` as CvmfsKey;
}

const CVMFS_KEY = /^[0-9a-f]{64}\.c\d+-[0-9a-f]{16}$/;

export function cvmfsKeyOrUndefined(text: string): CvmfsKey | undefined {
  return CVMFS_KEY.test(text) ? (text as CvmfsKey) : undefined;
}

const LAYER_KEY = /^[0-9a-f]{64}\.p\d+(-[0-9a-f]{16})?$/;
const STACK_KEY = /^stack-[0-9a-f]{64}$/;

export function layerKeyOrUndefined(text: string): LayerKey | undefined {
  return LAYER_KEY.test(text) ? (text as LayerKey) : undefined;
}

export function stackKey(layers: readonly string[]): StackKey {
  return `stack-${sha256Hex(layers.join('\n'))}` as StackKey;
}

export function stackKeyOrUndefined(text: string): StackKey | undefined {
  return STACK_KEY.test(text) ? (text as StackKey) : undefined;
}

/** The shim of a layer (mounted directly below the layer) or of a stack (mounted on top of the stack). */
export function shimOf(of: LayerKey | StackKey | CvmfsKey): VolumeName {
  return `${of}.shim` as VolumeName;
}

/**
 * The mask of a layer on CVMFS: the lower directory directly above the layer, which hides the whiteout markers in it.
 */
export function maskOf(of: CvmfsKey): VolumeName {
  return `${of}.mask` as VolumeName;
}

/**
 * The name that an image record or a lease contains while this volume is in use: for a shim or a mask the name that
 * it belongs to, else the volume's own.
 */
export function usedThrough(volume: string): string {
  return volume.replace(/\.(shim|mask)$/, '');
}

/** The absolute path of a lower directory outside the store: a layer on CVMFS. */
export type OutsidePath = string & { readonly __outsidePath: true };

/** A lower directory of a stack, as records and plans write it. */
export type Lower = VolumeName | OutsidePath;

/** True for a lower directory outside the store. */
export function isOutside(lower: Lower): lower is OutsidePath {
  return lower.startsWith('/');
}

/** True for a lower directory in a record or a plan that was read. */
export function isLower(value: unknown): value is Lower {
  if (typeof value !== 'string' || value.includes('\0')) return false;
  return value.startsWith('/') || isVolume(value);
}

/** True for a name that graft gives to a directory below volumes/. */
export function isVolume(name: string): name is VolumeName {
  const of = usedThrough(name);
  return LAYER_KEY.test(of) || STACK_KEY.test(of) || CVMFS_KEY.test(of);
}

/**
 * The name below l/: 12 characters, so that the options with 300 of them fit into the one page that mount(2) takes.
 * The name has 60 bits of a hash, so that two volumes may get the same one: `layers.ensureLink` detects that.
 */
export function shortName(volume: VolumeName): string {
  return BigInt(`0x${sha256Hex(volume).slice(0, 15)}`)
    .toString(36)
    .padStart(12, '0');
}
