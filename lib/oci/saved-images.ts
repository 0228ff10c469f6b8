/** The list of images in an archive that `docker save`, `podman save` or skopeo wrote: its manifest.json. */
import { PluginError } from '../base/errors/error.ts';
import { MAX_LAYERS, MAX_MANIFEST_BYTES } from '../base/limits.ts';
import { printable } from '../base/text.ts';
import { SAVED_IMAGES } from './document-shapes.ts';
import { isSavedImages } from './generated/validators.js';
import { asGoReads } from './go-json.ts';
import { JsonRefused, parseJson } from './json.ts';
import { savedName } from './reference.ts';
import { describeSchemaError } from './schema-error.ts';

/** An image of the archive, by the names of its members. */
export interface SavedImage {
  readonly config: string;
  /** Names with tags, as the archive has them. */
  readonly tags: readonly string[];
  /** Bottom layer first. */
  readonly layers: readonly string[];
}

interface RawImage {
  readonly Config: string;
  readonly RepoTags?: readonly string[] | null;
  readonly Layers?: readonly string[] | null;
}

/** The most names that a sentence lists. */
const MAX_NAMES = 20;

/** @throws IMAGE_BAD_MANIFEST, IMAGE_TOO_MANY_LAYERS */
export function parseSavedImages(bytes: Uint8Array, source: string): readonly SavedImage[] {
  const images = readList(bytes, source).map((raw) => ({
    config: raw.Config,
    tags: raw.RepoTags ?? [],
    layers: raw.Layers ?? [],
  }));
  const layers = Math.max(0, ...images.map((image) => image.layers.length));
  if (layers > MAX_LAYERS) throw new PluginError('IMAGE_TOO_MANY_LAYERS', { layers, limit: MAX_LAYERS });
  return images;
}

function readList(bytes: Uint8Array, source: string): readonly RawImage[] {
  const bad = (reason: string) => new PluginError('IMAGE_BAD_MANIFEST', { source, reason });
  let document: unknown;
  try {
    document = asGoReads(parseJson(bytes, MAX_MANIFEST_BYTES), SAVED_IMAGES);
  } catch (error) {
    throw error instanceof JsonRefused ? bad(error.message) : error;
  }
  if (!isSavedImages(document)) throw bad(describeSchemaError(isSavedImages));
  return document as readonly RawImage[];
}

/**
 * The image that a reference means: by position (`@N`), by name and tag, or the only one.
 * @param path of the archive, for errors
 * @throws IMAGE_AMBIGUOUS, IMAGE_REF_MISSING, IMAGE_BAD_MANIFEST for an archive without an image
 */
export function findSavedImage(
  images: readonly SavedImage[],
  ref: string | undefined,
  path: string,
): SavedImage {
  const found = ref === undefined ? images : images.filter((image, at) => isMeant(image, at, ref));
  const [first] = found;
  if (first !== undefined && found.length === 1) return first;
  const names = namesOf(images);
  if (ref !== undefined && first === undefined)
    throw new PluginError('IMAGE_REF_MISSING', { path, ref, names });
  if (first !== undefined)
    throw new PluginError('IMAGE_AMBIGUOUS', { transport: 'docker-archive', path, names });
  throw new PluginError('IMAGE_BAD_MANIFEST', { source: path, reason: 'its manifest.json names no image' });
}

function isMeant({ tags }: SavedImage, at: number, ref: string): boolean {
  if (ref.startsWith('@')) return Number(ref.slice(1)) === at;
  const wanted = savedName(ref);
  return tags.some((tag) => savedName(tag) === wanted);
}

/** The references that a caller can use. */
function namesOf(images: readonly SavedImage[]): string {
  const names = images.flatMap(({ tags }, at) => (tags.length === 0 ? [`@${at}`] : tags));
  const shown = names.slice(0, MAX_NAMES).map(printable).join(', ');
  return (names.length > MAX_NAMES ? `${shown}, …` : shown) || 'none';
}
