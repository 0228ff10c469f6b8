import type { Digest } from '../base/digest.ts';
import { PluginError } from '../base/errors/error.ts';
import { MAX_MANIFEST_BYTES } from '../base/limits.ts';
import type { Descriptor } from './descriptor.ts';
import type { ImageManifest, Manifest } from './manifest.ts';
import { candidates, type IndexEntry, noPlatform, type Platform } from './platform.ts';

/** An index in an index in an index: real ones nest once; a cycle must end. */
const MAX_INDEX_DEPTH = 3;
/** Manifests read on the way to one image; real images need two. An index of indexes could ask for a million. */
const MAX_FETCHES = 16;

export interface FoundManifest {
  readonly manifest: ImageManifest;
  /** Of the image manifest itself, not of an index above it. */
  readonly digest: Digest | undefined;
}

/**
 * From a manifest of either kind to the one image for `platform`.
 * @param fetch reads and verifies the manifest behind a descriptor.
 * @throws IMAGE_NO_PLATFORM, IMAGE_BAD_MANIFEST (cycle, depth, size)
 */
export async function resolveToImage(
  start: { readonly manifest: Manifest; readonly digest: Digest | undefined },
  platform: Platform,
  source: string,
  fetch: (descriptor: Descriptor) => Promise<Manifest>,
): Promise<FoundManifest> {
  const seen = new Set<Digest>(start.digest === undefined ? [] : [start.digest]);
  const offered: IndexEntry[] = [];

  async function descend(
    manifest: Manifest,
    digest: Digest | undefined,
    depth: number,
  ): Promise<FoundManifest | undefined> {
    if (manifest.kind === 'image') return { manifest, digest };
    if (depth > MAX_INDEX_DEPTH) throw bad(source, `indexes nest deeper than ${MAX_INDEX_DEPTH} levels`);
    offered.push(...manifest.entries);
    for (const entry of candidates(manifest.entries, platform)) {
      if (seen.has(entry.digest)) continue;
      seen.add(entry.digest);
      if (seen.size > MAX_FETCHES) throw bad(source, `more than ${MAX_FETCHES} manifests to look through`);
      if (entry.size > MAX_MANIFEST_BYTES)
        throw bad(source, `a manifest of ${entry.size} bytes, more than the ${MAX_MANIFEST_BYTES} allowed`);
      const found = await descend(await fetch(entry), entry.digest, depth + 1);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  const found = await descend(start.manifest, start.digest, 1);
  if (found === undefined) throw noPlatform(offered, platform, source);
  return found;
}

function bad(source: string, reason: string): PluginError {
  return new PluginError('IMAGE_BAD_MANIFEST', { source, reason });
}
