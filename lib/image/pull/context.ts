/** The services of a pull, and its result. */
import type { CvmfsDeps } from '../../cvmfs/locate.ts';
import type { StackPlan } from '../../store/records/stacks.ts';
import type { LayerChoice } from '../cvmfs/cvmfs-layers.ts';
import type { Admission, AdmissionDeps } from '../source/admission.ts';
import type { Patience } from '../source/layer-turns.ts';
import type { ImageLayer } from '../source/source.ts';
import type { StackRules } from '../stack/stack.ts';
import type { FetchDeps, FetchedLayer } from './fetch-layer.ts';

export interface PullDeps extends FetchDeps, Pick<AdmissionDeps, 'authenticate'> {
  /** Layers that are fetched and unpacked at the same time. */
  readonly concurrency: number;
  /** The repositories whose layers may be used in place. Read when the store lacks a layer, not before. */
  readonly cvmfs?: (() => Promise<CvmfsDeps | undefined>) | undefined;
  /** False when another program mounts the plan, which cannot be asked for an idmapped mount. */
  readonly mapsIds?: boolean | undefined;
  /** The start of the verb, in milliseconds of `performance.now()`, from which waits count; now, if not given. */
  readonly since?: number | undefined;
  /** The waits for other processes, in tests. */
  readonly patience?: Patience | undefined;
  /** All of them unless said otherwise. */
  readonly stackRules?: StackRules | undefined;
}

/** With the decision whether the caller may have layers of the store. */
export interface AdmittedDeps extends PullDeps {
  readonly admission: Admission;
}

export interface PulledImage {
  readonly plan: StackPlan;
  /** The layers that were fetched now. The store had all others. */
  readonly fetched: readonly FetchedLayer[];
  /** The source of each layer that CVMFS was asked for, and the reason. */
  readonly choices: ReadonlyMap<ImageLayer, LayerChoice>;
}
