/** Doubts about layers on CVMFS, in words and as errors. */

import { PluginError } from '../../base/errors/error.ts';
import { printable } from '../../base/text.ts';
import type { RepositoryDoubt } from '../../cvmfs/found-layer.ts';
import { digestOfLayer, type ImageLayer, namedOnCvmfs } from '../source/image-layer.ts';

export function shownDoubt({ repository, doubt, reason }: RepositoryDoubt): string {
  return `${repository.name}: ${reason} (${doubt})`;
}

/** The error for a doubt where the configuration forbids another source, or where there is none. */
export function unhealthy(layer: ImageLayer, { repository, doubt, reason }: RepositoryDoubt): PluginError {
  const what = namedOnCvmfs(layer)?.shown ?? `layer ${digestOfLayer(layer)}`;
  return new PluginError('CVMFS_UNHEALTHY', { repository: repository.name, what, doubt, reason });
}

/** The error for a layer that an image names and that is not published there. */
export function missing(layer: ImageLayer, reason: string): PluginError {
  const onCvmfs = namedOnCvmfs(layer);
  if (onCvmfs?.thinImage !== undefined) {
    return new PluginError('CVMFS_THIN_LAYER_MISSING', {
      image: onCvmfs.thinImage,
      url: onCvmfs.shown,
      reason: `it is ${reason}`,
    });
  }
  const repository = onCvmfs?.address.repository.name ?? '';
  return new PluginError('CVMFS_NOT_PUBLISHED', { repository, path: onCvmfs?.shown ?? '' });
}

/** The reason why a repair failed. */
export function repairFailure(error: unknown): string {
  if (error instanceof Unrepairable) return `what publishing lost of it cannot be repaired: ${error.message}`;
  const what = error instanceof PluginError ? error.code : printable(String(error));
  return `what publishing lost could not be read from the image's source: ${what}`;
}

/** Thrown when a repaired layer cannot be walked again. */
export class PlanRefused extends Error {
  readonly doubt: RepositoryDoubt;

  constructor(doubt: RepositoryDoubt) {
    super(doubt.reason);
    this.doubt = doubt;
  }
}

/** Thrown when lost attributes cannot be repaired beside the layer. */
export class Unrepairable extends Error {}
