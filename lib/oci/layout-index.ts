import { PluginError } from '../base/errors/error.ts';
import { printable } from '../base/text.ts';
import type { ImageIndex, Manifest } from './manifest.ts';
import { type IndexEntry, mayBeImage } from './platform.ts';

/** The annotation with a manifest's name in a layout (image-spec, annotations.md). */
const REF_NAME = 'org.opencontainers.image.ref.name';

/** A layout, as a directory or as an archive, and the name of an image in it. */
export interface PlaceInLayout {
  readonly transport: 'oci' | 'oci-archive';
  readonly path: string;
  readonly ref: string | undefined;
}

/**
 * The entry of a layout's `index.json` that a reference means: `@N` by position, a name by its annotation. A reference
 * without a name is valid only where the layout has a single image. Several entries of the same name, a platform each,
 * come back as an index.
 * @throws IMAGE_AMBIGUOUS, IMAGE_REF_MISSING, IMAGE_NO_PLATFORM, IMAGE_BAD_MANIFEST
 */
export function findInLayout(
  index: Manifest,
  { transport, path, ref }: PlaceInLayout,
  source: string,
): IndexEntry | ImageIndex {
  if (index.kind !== 'index')
    throw new PluginError('IMAGE_BAD_MANIFEST', {
      source,
      reason: 'its index.json is an image manifest, not an index',
    });
  if (ref === undefined) return theOnly(index.entries, { transport, path }, source);
  const named = ref.startsWith('@')
    ? index.entries.slice(Number(ref.slice(1)), Number(ref.slice(1)) + 1)
    : index.entries.filter((entry) => entry.annotations.get(REF_NAME) === ref);
  const [first] = named;
  if (first === undefined)
    throw new PluginError('IMAGE_REF_MISSING', { path, ref, names: namesOf(index.entries) });
  if (named.length === 1) return first;
  return { ...index, entries: named };
}

function theOnly(
  entries: readonly IndexEntry[],
  place: Pick<PlaceInLayout, 'transport' | 'path'>,
  source: string,
): IndexEntry {
  // A single entry is the image, also where its media type says that it can be none: the error then names the type.
  const images = entries.length === 1 ? entries : entries.filter(mayBeImage);
  const [first] = images;
  if (first === undefined)
    throw new PluginError('IMAGE_BAD_MANIFEST', { source, reason: 'its index.json names no image' });
  if (images.length > 1) throw new PluginError('IMAGE_AMBIGUOUS', { ...place, names: namesOf(entries) });
  return first;
}

/** The most names that a sentence lists. */
const MAX_NAMES = 20;

/** The references that a caller can use: names, and positions of entries without a name. */
function namesOf(entries: readonly IndexEntry[]): string {
  const names = entries.map((entry, at) => entry.annotations.get(REF_NAME) ?? `@${at}`);
  const shown = names.slice(0, MAX_NAMES).map(printable).join(', ');
  return (names.length > MAX_NAMES ? `${shown}, …` : shown) || 'none';
}
