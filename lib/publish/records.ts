/** The files that make an image of layers, in the order in which they become visible. */
import { posix } from 'node:path';
import { type Digest, digestOf } from '../base/digest.ts';
import { MAX_MANIFEST_BYTES } from '../base/limits.ts';
import { formatDuccManifest, formatOrigin, parseOrigin } from '../cvmfs/records.ts';
import type { ImageManifest } from '../oci/manifest.ts';
import { DOCUMENTS, KEPT, layerPath, metadataPath } from './repository/paths.ts';
import type { PublishedRepository } from './repository/published.ts';
import type { PublishedFile } from './targets/target.ts';

export interface ImageRecords {
  readonly name: string;
  readonly manifest: ImageManifest;
  readonly manifestBytes: Uint8Array;
  readonly configBytes: Uint8Array;
  readonly indexBytes: Uint8Array | undefined;
  /** Until when the image that had the name is kept. Undefined: it goes now. */
  readonly keepUntil: Date | undefined;
}

/** The files of an image that the repository has not, or not with these bytes. */
export function imageFiles(repository: PublishedRepository, image: ImageRecords): PublishedFile[] {
  const directory = metadataPath(image.name);
  const text = (path: string, content: string) => ({ path, bytes: Buffer.from(content) });
  const index = image.indexBytes;
  const wanted = [
    ...originFiles(repository, image.manifest),
    ...keptFiles(repository, image),
    ...(index === undefined ? [] : [{ path: `${directory}/${DOCUMENTS.index}`, bytes: index }]),
    { path: `${directory}/${DOCUMENTS.config}`, bytes: image.configBytes },
    { path: `${directory}/${DOCUMENTS.manifest}`, bytes: image.manifestBytes },
    text(`${directory}/${DOCUMENTS.complete}`, formatDuccManifest(image.manifest)),
  ];
  return wanted.filter(({ path, bytes }) => {
    const there = repository.read(path, MAX_MANIFEST_BYTES);
    return there === undefined || digestOf(there) !== digestOf(bytes);
  });
}

/** Links from each layer back to the configurations of its images. */
function originFiles(repository: PublishedRepository, { layers, config }: ImageManifest): PublishedFile[] {
  const digests = [...new Set(layers.map(({ digest }) => digest))];
  return digests.map((digest) => {
    const path = `${layerPath(digest)}/.metadata/origin.json`;
    const before = parseOrigin(repository.read(path));
    const origins: readonly Digest[] = before.includes(config.digest) ? before : [...before, config.digest];
    return { path, bytes: Buffer.from(formatOrigin(origins)) };
  });
}

/**
 * The manifest of the image that had the name, under a name of its own. Containers may run on its layers, and both graft's
 * prune and DUCC's collector leave layers that any `manifest.json` names.
 */
function keptFiles(repository: PublishedRepository, { name, manifest, keepUntil }: ImageRecords) {
  const before = repository.manifest(name);
  if (before === undefined || keepUntil === undefined || before.config.digest === manifest.config.digest)
    return [];
  return [keptManifest(keepUntil, name, formatDuccManifest(before))];
}

/** A manifest that a prune removes after `until`, and whose layers it leaves until then. */
export function keptManifest(until: Date, name: string, manifest: string): PublishedFile {
  // Without colons, which `cvmfs_server ingest -d` takes for separators.
  const time = until
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(':', '');
  return { path: posix.join(KEPT, time, name, DOCUMENTS.complete), bytes: Buffer.from(manifest) };
}
