/**
 * Which points of a scene a run tries. All of them take a quarter of an hour, so `npm test` tries every eighth, another
 * eighth each day; `ci/faults` tries all.
 */

/** `all`, or `1/8` to `8/8`: that part alone. */
const VARIABLE = 'GRAFT_FAULT_SAMPLE';
const PARTS = 8;
const DAY_MS = 86_400_000;

export interface FaultSample {
  readonly part: number;
  readonly parts: number;
}

/**
 * The sample that the environment names, else the one of this day. Days count from 1970 in UTC.
 * @throws Error when the variable holds something else
 */
export function faultSample(named = process.env[VARIABLE], now = Date.now()): FaultSample {
  if (named === 'all') return { part: 0, parts: 1 };
  if (named === undefined) return { part: Math.floor(now / DAY_MS) % PARTS, parts: PARTS };
  const part = Number(/^([1-8])\/8$/.exec(named)?.[1]);
  if (Number.isNaN(part)) throw new Error(`${VARIABLE}=${named}: all or 1/8 to 8/8 is needed`);
  return { part: part - 1, parts: PARTS };
}

/**
 * Every `parts`th item.
 * @param shift moves the choice, so that tests of the same items (one for each error) try different ones on one day
 */
export function sampled<T>(items: readonly T[], { part, parts }: FaultSample, shift = 0): T[] {
  return items.filter((_, i) => (i + shift) % parts === part);
}

/** How a failure names its sample, so that it can be run again. */
export function sampleName({ part, parts }: FaultSample): string {
  return parts === 1 ? `${VARIABLE}=all` : `${VARIABLE}=${part + 1}/${parts}`;
}
