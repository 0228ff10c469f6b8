/** The services of a pull, its request, and its result. */

import type { CvmfsDeps } from '../../cvmfs/locate.ts';
import type { Lease } from '../../store/records/leases.ts';
import type { StackPlan } from '../../store/records/stacks.ts';
import type { LayerChoice } from '../cvmfs/cvmfs-layers.ts';
import type { Admission, AdmissionDeps } from '../source/admission.ts';
import type { ImageLayer } from '../source/image-layer.ts';
import type { Patience } from '../source/layer-turns.ts';
import type { ResolvedImage } from '../source/source.ts';
import type { StackRules } from '../stack/rules.ts';
import type { FetchContext, FetchedLayer } from './fetch-layer.ts';
import type { NamedLayer } from './layer-names.ts';

/** The services of a pull. */
export interface PullContext extends FetchContext, Pick<AdmissionDeps, 'authenticate'> {
  /** Layers that are fetched and unpacked at the same time. */
  readonly concurrency: number;
  /** The repositories whose layers may be used in place. Read when the store lacks a layer, not before. */
  readonly cvmfs?: (() => Promise<CvmfsDeps | undefined>) | undefined;
  /** The waits for other processes, in tests. */
  readonly patience?: Patience | undefined;
  /** All of them unless said otherwise. */
  readonly stackRules?: StackRules | undefined;
}

/** An image to pull. */
export interface PullRequest {
  readonly image: ResolvedImage;
  /** The image's layers with their names, bottom first (`nameLayers`). */
  readonly layers: readonly NamedLayer[];
  readonly lease: Lease;
  /** Uncompressed bytes that an inclusive limit allows; undefined without one. */
  readonly quotaBytes: number | undefined;
  /** False when another program mounts the plan, which cannot be asked for an idmapped mount. */
  readonly mapsIds: boolean;
  /** The start of the verb, in milliseconds of `performance.now()`, from which waits count. */
  readonly since: number;
}

/** A pull under way: services, request, and the decision whether the caller may have layers of the store. */
export interface Pull {
  readonly context: PullContext;
  readonly request: PullRequest;
  readonly admission: Admission;
}

export interface PulledImage {
  readonly plan: StackPlan;
  /** The layers that were fetched now. The store had all others. */
  readonly fetched: readonly FetchedLayer[];
  /** The source of each layer that CVMFS was asked for, and the reason. */
  readonly choices: ReadonlyMap<ImageLayer, LayerChoice>;
}
