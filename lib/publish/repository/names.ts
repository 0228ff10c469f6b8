import { PluginError } from '../../base/errors/error.ts';
import { printable } from '../../base/text.ts';
import {
  type AciReference,
  type ArchiveReference,
  formatReference,
  type ImageReference,
  type LayoutReference,
  type RegistryReference,
} from '../../oci/reference.ts';

/**
 * Parts of a name. The layout's own directories start with a dot. Only the first part has a port and only the last one a
 * tag, so that no name lies below another, or is the name of a file that the layout has.
 */
const REGISTRY = /^[A-Za-z0-9_[][A-Za-z0-9._:[\]-]{0,254}$/;
const MIDDLE = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,254}$/;
const LAST = /^[A-Za-z0-9_][A-Za-z0-9._-]*:[A-Za-z0-9_][A-Za-z0-9._:-]*$/;
const MAX_PART = 255;

/** References to images that can be published: they have a manifest. */
export type PublishableReference = RegistryReference | LayoutReference | ArchiveReference | AciReference;

/** @throws PUBLISH_SOURCE */
export function requirePublishable(reference: ImageReference): PublishableReference {
  if (reference.kind !== 'tar' && reference.kind !== 'cvmfs') return reference;
  throw new PluginError('PUBLISH_SOURCE', {
    image: formatReference(reference),
    reason: 'only images of registries, OCI layouts and archives have a manifest to publish',
  });
}

/**
 * The public name of an image, `<registry>/<repository>:<tag>`; an image with a digest alone is `…:sha256:<hex>`.
 * @param given the name that a person chose, which images from files need
 * @throws PUBLISH_NEEDS_NAME, PUBLISH_BAD_NAME
 */
export function publicName(reference: PublishableReference, given: string | undefined): string {
  if (given !== undefined) return checkName(given);
  if (reference.kind !== 'registry')
    throw new PluginError('PUBLISH_NEEDS_NAME', { image: formatReference(reference) });
  const { registry, repository, tag, digest } = reference;
  return checkName(`${registry}/${repository}:${tag ?? digest ?? 'latest'}`);
}

/** Whether `text` is a fully qualified name of a repository, as `cvmfs_server mkfs` takes it. */
export function isRepositoryName(text: string): boolean {
  return REPOSITORY_NAME.test(text);
}
const REPOSITORY_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+$/;

/** @throws PUBLISH_BAD_NAME for anything else than `<registry>/<repository>:<tag>` */
export function checkName(name: string): string {
  const [first = '', ...rest] = name.split('/');
  const last = rest.pop() ?? '';
  const isName = REGISTRY.test(first) && rest.every((part) => MIDDLE.test(part)) && LAST.test(last);
  if (!isName || last.length > MAX_PART) throw new PluginError('PUBLISH_BAD_NAME', { name: printable(name) });
  return name;
}
