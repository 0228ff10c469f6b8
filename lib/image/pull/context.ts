/** Services that a pull uses, and its result. */
import type { CvmfsDeps } from '../../cvmfs/locate.ts';
import type { StackPlan } from '../../store/records/stacks.ts';
import type { LayerChoice } from '../cvmfs/cvmfs-layers.ts';
import type { Admission, AdmissionDeps } from '../source/admission.ts';
import type { Patience } from '../source/layer-turns.ts';
import type { ImageLayer } from '../source/source.ts';
import type { StackRules } from '../stack/stack.ts';
import type { FetchDeps, FetchedLayer } from './fetch-layer.ts';

export interface PullDeps extends FetchDeps, Pick<AdmissionDeps, 'authenticate'> {
  /** Layers fetched and unpacked at a time. */
  readonly concurrency: number;
  /** Repositories that layers may be used from where they are. Asked for when the store lacks a layer, not before. */
  readonly cvmfs?: (() => Promise<CvmfsDeps | undefined>) | undefined;
  /** False when somebody else will mount the plan, who cannot be asked for an idmapped mount. */
  readonly mapsIds?: boolean | undefined;
  /** When the verb began, in milliseconds of `performance.now()`: from then on it waits for others; now, if not said. */
  readonly since?: number | undefined;
  /** How long others are waited for, in tests. */
  readonly patience?: Patience | undefined;
  /** All of them unless said otherwise. */
  readonly stackRules?: StackRules | undefined;
}

/** With what decides whether the caller may have what is there. */
export interface AdmittedDeps extends PullDeps {
  readonly admission: Admission;
}

export interface PulledImage {
  readonly plan: StackPlan;
  /** The layers that were fetched now; all others were there. */
  readonly fetched: readonly FetchedLayer[];
  /** Where layers come from that CVMFS was asked for, and why. */
  readonly choices: ReadonlyMap<ImageLayer, LayerChoice>;
}
