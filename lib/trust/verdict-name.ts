/** The part of a verdict's key that names the image. Apart from the scopes of a policy, which a kept verdict does not need. */
import { byteName } from '../base/bytes.ts';
import { PluginError } from '../base/errors/error.ts';
import { formatReference, type ImageReference } from '../oci/reference.ts';
import { close, openAt, readlinkAt } from '../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../sys/kernel/libc.ts';
import { utf8 } from '../sys/kernel/utf8.ts';

/**
 * The path of an OCI layout, or of an archive that a scope can name, without symbolic links, since scopes are such paths; undefined for
 * other images.
 * @throws IMAGE_SOURCE_MISSING
 */
export function directoryOf(reference: ImageReference): string | undefined {
  const path = pathOf(reference);
  if (path === undefined) return undefined;
  try {
    const fd = openAt(AT_FDCWD, path, O.PATH);
    try {
      return utf8(byteName(readlinkAt(AT_FDCWD, `/proc/self/fd/${fd}`)));
    } finally {
      close(fd);
    }
  } catch (error) {
    throw new PluginError('IMAGE_SOURCE_MISSING', { path }, { cause: error });
  }
}

function pathOf(reference: ImageReference): string | undefined {
  if (reference.kind === 'oci') return reference.directory;
  return reference.kind === 'oci-archive' || reference.kind === 'aci' ? reference.path : undefined;
}

/** The name under which a verdict is kept: what was asked for, and not what it led to. */
export function shownAs(reference: ImageReference, directory: string | undefined): string {
  return `${formatReference(reference)}${directory === undefined ? '' : ` ${directory}`}`;
}
