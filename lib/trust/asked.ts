/** An image reference as a policy sees it. */
import { type ImageReference, repositoryOf } from '../oci/reference.ts';
import type { DockerName } from './policy/docker-name.ts';
import { scopesOfName, scopesOfPath } from './policy/scopes.ts';

export interface Asked {
  readonly transport: 'docker' | 'oci' | 'oci-archive' | 'docker-archive' | 'aci' | 'tarball' | 'cvmfs';
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
    case 'oci-archive':
      return { transport: 'oci-archive', scopes: scopesOfPath(directory ?? reference.path), name: undefined };
    case 'docker-archive':
      return { transport: 'docker-archive', scopes: [], name: undefined };
    case 'aci':
      return { transport: 'aci', scopes: scopesOfPath(directory ?? reference.path), name: undefined };
    case 'cvmfs':
      return { transport: 'cvmfs', scopes: scopesOfPath(reference.path), name: undefined };
    case 'tar':
      return { transport: 'tarball', scopes: [], name: undefined };
  }
}
