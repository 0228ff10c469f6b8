import { PluginError } from '../../base/errors/error.ts';
import type { CvmfsDeps } from '../../cvmfs/locate.ts';
import { namedOnCvmfs } from '../source/image-layer.ts';
import type { ResolvedImage } from '../source/source.ts';

/**
 * The repositories that an image's layers may be used from where they are: of an image that has to be signed, those that
 * the operator accepts without verification.
 * @throws TRUST_UNVERIFIED_LAYERS for an image with a layer that only another repository has
 */
export function inPlaceFor(image: ResolvedImage, cvmfs: CvmfsDeps | undefined): CvmfsDeps | undefined {
  const { inPlaceFrom, layers, name, trust } = image;
  if (inPlaceFrom === undefined) return cvmfs;
  for (const layer of layers) {
    const onCvmfs = namedOnCvmfs(layer);
    if (onCvmfs === undefined || onCvmfs.elsewhere) continue;
    const repository = onCvmfs.address.repository.name;
    if (!inPlaceFrom.includes(repository))
      throw new PluginError('TRUST_UNVERIFIED_LAYERS', {
        image: name,
        repository,
        policy: trust?.policy ?? '',
      });
  }
  const repositories = cvmfs?.settings.repositories.filter((one) => inPlaceFrom.includes(one.name)) ?? [];
  if (cvmfs === undefined || repositories.length === 0) return undefined;
  return { ...cvmfs, settings: { ...cvmfs.settings, repositories } };
}
