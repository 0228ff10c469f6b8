import { type DiffId, type Digest, hexOf, sha256Hex } from '../../base/digest.ts';

/** The name of a directory below volumes/. */
export type VolumeName = string & { readonly __volume: true };
/** The name of a layer there: everything that shapes its tree, besides the store's own mapping. */
export type LayerKey = VolumeName & { readonly __layerKey: true };
/** The name of what the store keeps about a layer that lies in a CVMFS repository: its shim, its mask, its facts. */
export type PublishedKey = string & { readonly __publishedKey: true };
/** A list of layers, bottom first, as one name. */
export type StackKey = string & { readonly __stackKey: true };

/**
 * Raised whenever unpacking would give another tree for the same bytes (which xattrs are kept, how names
 * are treated …): layers of an older policy are then simply never found again, and collected.
 */
const POLICY = 1;

export interface LayerIdentity {
  /** What names the bytes: the diffID; for layers nobody validated, the digest that was claimed. */
  readonly content: DiffId | Digest;
  /** Validated layers and invented digests must never meet under one name. */
  readonly validated: boolean;
  /** The base directory, and what its missing components are copied from. */
  readonly base?: { readonly directory: string; readonly parent: LayerKey | undefined } | undefined;
  /** The layers below, bottom first, for a layer that cannot stand alone. */
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

/** As POLICY, for what is made of the walk of a published layer. */
const PUBLISHED_POLICY = 1;

export interface PublishedIdentity {
  /** Of the compressed blob, or of whatever else names the bytes. */
  readonly content: Digest;
  /** Where the layer lies, and what it looked like there: whatever else shapes the shim and the mask. */
  readonly place: readonly (string | boolean)[];
}

/** `<64 hex>.c1-<16 hex>` */
export function publishedKey({ content, place }: PublishedIdentity): PublishedKey {
  return `${hexOf(content)}.c${PUBLISHED_POLICY}-${sha256Hex(JSON.stringify(place)).slice(0, 16)}` as PublishedKey;
}

const PUBLISHED_KEY = /^[0-9a-f]{64}\.c\d+-[0-9a-f]{16}$/;

export function publishedKeyOrUndefined(text: string): PublishedKey | undefined {
  return PUBLISHED_KEY.test(text) ? (text as PublishedKey) : undefined;
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

/** The shim that belongs to a layer (it stands below it) or to a stack (it stands on top). */
export function shimOf(of: LayerKey | StackKey | PublishedKey): VolumeName {
  return `${of}.shim` as VolumeName;
}

/** What stands directly above a published layer and hides the markers in it. */
export function maskOf(of: PublishedKey): VolumeName {
  return `${of}.mask` as VolumeName;
}

/** What must be named by an image or a lease for this volume to be in use: itself, or what its shim or mask is for. */
export function usedThrough(volume: string): string {
  return volume.replace(/\.(shim|mask)$/, '');
}

/** A lower directory as records and plans name it: below volumes/, or an absolute path that is not the store's. */
export function isLower(value: unknown): value is string {
  if (typeof value !== 'string' || value.includes('\0')) return false;
  return value.startsWith('/') || isVolume(value);
}

/** A name that graft gives to something below volumes/. */
export function isVolume(name: string): name is VolumeName {
  const of = usedThrough(name);
  return LAYER_KEY.test(of) || STACK_KEY.test(of) || PUBLISHED_KEY.test(of);
}

/**
 * The name below l/: 12 characters, so that 300 of them fit the one page that mount(2) takes. 60 bits of the
 * name's hash; `layers.ensureLink` notices a collision instead of trusting it away.
 */
export function shortName(volume: VolumeName): string {
  return BigInt(`0x${sha256Hex(volume).slice(0, 15)}`)
    .toString(36)
    .padStart(12, '0');
}
