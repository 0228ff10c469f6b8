/** The sources that only CVMFS needs: images by their path on CVMFS, and registries that thin images name. */
import { PluginError } from '../../lib/base/errors/error.ts';
import { CvmfsSource } from '../../lib/image/source/from-cvmfs.ts';
import type { RegistrySource } from '../../lib/image/source/from-registry.ts';
import type { ImageSource } from '../../lib/image/source/source.ts';
import type { Machine } from '../../lib/oci/machine.ts';
import { type CvmfsReference, parseImageReference } from '../../lib/oci/reference.ts';
import type { Store } from '../../lib/store/store.ts';
import type { SourceContext } from './context.ts';
import { cvmfsFor } from './cvmfs.ts';
import { openAnonymousSource, openRegistrySource } from './registry-source.ts';

/** @throws CVMFS_NOT_ALLOWED when no repository is configured */
export async function openCvmfsSource(
  context: SourceContext,
  reference: CvmfsReference,
  platform: Machine,
  store: Store | undefined,
  requireDigest: boolean,
): Promise<ImageSource> {
  const cvmfs = await cvmfsFor(context, store)();
  if (cvmfs === undefined) {
    const reason = 'no CVMFS repository is configured';
    throw new PluginError('CVMFS_NOT_ALLOWED', { path: reference.path, repositories: '', reason });
  }
  const registry = async (text: string): Promise<RegistrySource | undefined> => {
    const parsed = parseImageReference(text);
    if (parsed.kind !== 'registry') return undefined;
    return openRegistrySource(context, parsed, platform, store, requireDigest);
  };
  return new CvmfsSource({ reference, platform, cvmfs, registry, requireDigest, log: context.log });
}

/** The source of an image that a thin image names, without credentials; undefined where it is not in a registry. */
export async function anonymousSource(
  context: SourceContext,
  text: string,
  platform: Machine,
  store: Store | undefined,
): Promise<ImageSource | undefined> {
  const reference = parseImageReference(text);
  return reference.kind === 'registry' ? openAnonymousSource(context, reference, platform, store) : undefined;
}
