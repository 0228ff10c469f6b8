/** Reads a published image for its thin image: the configuration, and where each layer lies. */
import type { Digest } from '../base/digest.ts';
import { PluginError } from '../base/errors/error.ts';
import { MAX_MANIFEST_BYTES } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { printable } from '../base/text.ts';
import { parseConfig } from '../oci/config.ts';
import { parseJson } from '../oci/json.ts';
import { isDirectoryAt } from '../sys/kernel/look.ts';
import { isRepositoryName } from './repository/names.ts';
import { layerPath } from './repository/paths.ts';
import { PublishedRepository } from './repository/published.ts';

interface ImageToThin {
  /** Bottom first. */
  readonly layers: readonly { readonly digest: Digest; readonly url: string }[];
  /** The parsed configuration of the published image. */
  readonly config: Readonly<Record<string, unknown>>;
}

export interface PublishedImages {
  /** @throws THIN_UNPUBLISHED, CVMFS_BAD_RECORD, IMAGE_BAD_CONFIG */
  image(name: string, log: Logger): ImageToThin;
}

/**
 * Opens a repository for reading, so no release manager is needed.
 * @param text `directory:/path` or `cvmfs:repository`
 * @param repositoryName the fully qualified name that clients mount the repository by; a directory does not say it
 * @throws PUBLISH_BAD_TARGET
 */
export function openPublished(text: string, repositoryName: string | undefined): PublishedImages {
  const { root, name } = placeOf(text, repositoryName);
  if (!isDirectoryAt(root)) throw bad(text, `there is no directory ${printable(root)}`);
  const repository = new PublishedRepository(root);
  return { image: (image, log) => imageToThin(repository, image, name, log) };
}

/** The URL of the image that was published under a name, as DUCC writes it. */
export function originOf(name: string): string {
  return `https://${name}`;
}

function placeOf(text: string, given: string | undefined): { root: string; name: string } {
  const [, kind, place = ''] = /^(directory|cvmfs):(.*)$/.exec(text) ?? [];
  if (kind === undefined) throw bad(text, 'write directory:/PATH or cvmfs:REPOSITORY');
  const name = given ?? (kind === 'cvmfs' ? place : undefined);
  if (name === undefined)
    throw bad(text, 'a directory does not say what clients call it; write --repository NAME');
  if (!isRepositoryName(name))
    throw bad(text, `${printable(name)} is no name of a repository, such as images.example.org`);
  if (kind === 'cvmfs') {
    if (name !== place) throw bad(text, `--repository says ${printable(name)}`);
    return { root: `/cvmfs/${place}`, name };
  }
  if (!place.startsWith('/')) throw bad(text, 'its path must be absolute');
  return { root: place.replace(/\/+$/, '') || '/', name };
}

function imageToThin(
  repository: PublishedRepository,
  image: string,
  repositoryName: string,
  log: Logger,
): ImageToThin {
  const refuse = (reason: string) =>
    new PluginError('THIN_UNPUBLISHED', { image, target: repository.root, reason });
  const manifest = repository.manifest(image);
  if (manifest === undefined) throw refuse('it is not published there');
  const missing = manifest.layers.find(({ digest }) => !repository.hasLayer(digest, undefined));
  if (missing !== undefined) throw refuse(`its layer ${missing.digest} is not there, or not whole`);
  const bytes = repository.document(image, manifest.config.digest);
  if (bytes === undefined) throw refuse('its configuration is not there');
  parseConfig(bytes, image, log);
  const url = (digest: Digest) => `cvmfs://${repositoryName}/${layerPath(digest)}/layerfs`;
  return {
    layers: manifest.layers.map(({ digest }) => ({ digest, url: url(digest) })),
    config: parseJson(bytes, MAX_MANIFEST_BYTES) as Readonly<Record<string, unknown>>,
  };
}

function bad(target: string, reason: string): PluginError {
  return new PluginError('PUBLISH_BAD_TARGET', { target: printable(target), reason });
}
