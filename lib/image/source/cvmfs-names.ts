import { parseImageReference } from '../../oci/reference.ts';

/**
 * The registry's reference for a public name on CVMFS: `<registry>/<repository>:<tag>`, or `…:sha256:<hex>` for an
 * image that was asked for by digest alone. Undefined where the name may be something else: any directory can be
 * published, and a directory that only looks like an image must not become a stranger's image on Docker Hub.
 */
export function publishedName(path: string): string | undefined {
  const plain = path.replace(/^\.multiarch\/[^/]+\//, '');
  if (!/^([^/.][^/]*[.:][^/]*|localhost)\/.*:[^/]+$/.test(plain)) return undefined;
  return registryReference(`docker://${plain.replace(/:sha256:([0-9a-f]{64})$/, '@sha256:$1')}`);
}

/** The text, if it is a reference to an image in a registry. */
export function registryReference(text: string): string | undefined {
  try {
    return parseImageReference(text).kind === 'registry' ? text : undefined;
  } catch {
    return undefined;
  }
}
