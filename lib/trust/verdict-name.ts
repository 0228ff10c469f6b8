/** The part of a verdict's key that names the image. Apart from the scopes of a policy, which a kept verdict does not need. */
import { PluginError } from '../base/errors/error.ts';
import { formatReference, type ImageReference } from '../oci/reference.ts';
import { close, openAt, readlinkAt } from '../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../sys/kernel/libc.ts';

/**
 * An OCI layout's directory without symbolic links, since scopes are such paths; undefined for other images.
 * @throws IMAGE_SOURCE_MISSING
 */
export function directoryOf(reference: ImageReference): string | undefined {
  if (reference.kind !== 'oci') return undefined;
  try {
    const fd = openAt(AT_FDCWD, reference.directory, O.PATH | O.DIRECTORY);
    try {
      return new TextDecoder().decode(readlinkAt(AT_FDCWD, `/proc/self/fd/${fd}`));
    } finally {
      close(fd);
    }
  } catch (error) {
    throw new PluginError('IMAGE_SOURCE_MISSING', { path: reference.directory }, { cause: error });
  }
}

/** The name under which a verdict is kept: what was asked for, and not what it led to. */
export function shownAs(reference: ImageReference, directory: string | undefined): string {
  return `${formatReference(reference)}${directory === undefined ? '' : ` ${directory}`}`;
}
