/** An image reference as a policy sees it. */
import { PluginError } from '../base/errors/error.ts';
import { formatReference, type ImageReference, repositoryOf } from '../oci/reference.ts';
import { close, openAt, readlinkAt } from '../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../sys/kernel/libc.ts';
import type { DockerName } from './policy/docker-name.ts';
import { scopesOfName, scopesOfPath } from './policy/scopes.ts';

export interface Asked {
  readonly transport: 'docker' | 'oci' | 'tarball' | 'cvmfs';
  /** The most specific first. */
  readonly scopes: readonly string[];
  /** Of an image in a registry. */
  readonly name: DockerName | undefined;
}

/** @param directory of an OCI layout without symbolic links */
export function askedFor(reference: ImageReference, directory: string | undefined): Asked {
  switch (reference.kind) {
    case 'registry': {
      const { tag, digest } = reference;
      const name = { repository: repositoryOf(reference), tag, digest };
      return { transport: 'docker', scopes: scopesOfName(name), name };
    }
    case 'oci':
      return { transport: 'oci', scopes: scopesOfPath(directory ?? reference.directory), name: undefined };
    case 'cvmfs':
      return { transport: 'cvmfs', scopes: scopesOfPath(reference.path), name: undefined };
    case 'tar':
      return { transport: 'tarball', scopes: [], name: undefined };
  }
}

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
