/** The last step of a layer's image, when all its markers are known: what has no meaning goes, and the rest gets its marks. */
import type { ByteName } from '../../base/bytes.ts';
import { splitName } from '../tar/entry-name.ts';
import { OPAQUE_XATTR } from '../tree/lower-trees.ts';
import { waysTo } from '../tree/ways-to.ts';
import { FILE_TYPE } from './format.ts';
import type { ImageWriter } from './image-writer.ts';
import type { LayerImage } from './layer-image.ts';
import type { DirectoryNumber } from './numbers.ts';
import { addXattr } from './xattrs.ts';

const OPAQUE = { name: OPAQUE_XATTR, value: Buffer.from('y') };

/** @param isWhole nothing is below the layer, so that its markers hide nothing */
export function endLayer(layer: LayerImage, image: ImageWriter, isWhole: boolean): void {
  const { marked } = layer;
  const meaningless = marked.meaninglessDirs();
  const ways = waysTo(isWhole ? [...marked.whiteoutDirs(), ...marked.opaqueDirs()] : []);
  removeWhiteouts(layer, image, new Set(isWhole ? marked.whiteoutDirs() : marked.coveredWhiteoutDirs()));
  for (const path of meaningless) removeEmpty(layer, path);
  if (isWhole) removeHollow(layer, ways);
  else markOpaque(layer, image);
  countLinks(layer, image);
}

function removeWhiteouts(layer: LayerImage, image: ImageWriter, directories: ReadonlySet<string>): void {
  if (directories.size === 0) return;
  const { names, marked } = layer;
  for (const entry of names.all()) {
    if (image.tree.type(entry) !== FILE_TYPE.character) continue;
    const path = names.path(image.tree.parent(entry));
    if (!directories.has(path)) continue;
    names.remove(entry, () => {});
    marked.removeWhiteout(path);
  }
}

/** Removes an implied directory if it is empty, then its parents likewise: without markers they would not exist. */
function removeEmpty(layer: LayerImage, from: string): void {
  let path = from;
  while (path !== '') {
    const [above] = splitName(path);
    if (!layer.marked.isImplied(path) || !layer.marked.isCovered(above)) return;
    const directory = layer.find(path);
    if (directory === undefined || !layer.names.isEmpty(directory)) return;
    layer.remove(path);
    path = above;
  }
}

/** Removes directories in which nothing shows and which are on the way to a marker, which hides nothing here. */
function removeHollow(layer: LayerImage, ways: ReadonlySet<ByteName>): void {
  const empty = new Set<DirectoryNumber>();
  // A directory comes before those in it in the order of strings, so the reverse order has children first.
  for (const path of layer.marked.impliedDirs().reverse()) {
    const directory = layer.find(path);
    if (directory === undefined || layer.names.files(directory) > 0) continue;
    if (![...layer.names.directoriesIn(directory)].every((inside) => empty.has(inside))) continue;
    if (ways.has(path)) layer.remove(path);
    else empty.add(directory);
  }
}

function markOpaque(layer: LayerImage, image: ImageWriter): void {
  for (const path of layer.marked.opaqueDirs()) {
    const directory = layer.find(path);
    if (directory === undefined) throw new Error('an opaque directory is missing');
    const attributes = image.tree.directories.attributes(directory);
    layer.set(directory, { ...attributes, xattrs: addXattr(path, attributes.xattrs, OPAQUE) });
  }
}

/** Inodes were written with one link. Names that were removed do not count. */
function countLinks({ names }: LayerImage, image: ImageWriter): void {
  const counts = new Map(names.shared.map((place) => [place, 0]));
  if (counts.size === 0) return;
  for (const entry of names.all()) {
    if (image.tree.type(entry) === FILE_TYPE.directory) continue;
    const place = image.tree.place(entry);
    const count = counts.get(place);
    if (count !== undefined) counts.set(place, count + 1);
  }
  for (const [place, links] of counts) image.setLinks(place, links);
}
