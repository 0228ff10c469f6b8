/** Many cases of a seed, until one fails. */
import { checkExport, checkStack, minimise } from './check-case.ts';
import { describeStack, type LayerStack } from './entries.ts';
import { COUNTED, type Counts, noCounts, randomStack } from './stacks.ts';
import { compareWithUmoci } from './umoci.ts';
import { Workbench } from './workbench.ts';

export interface Run {
  readonly seed: number;
  readonly first: number;
  readonly cases: number;
  /** Every n-th case is compared with what umoci makes of it, too; 0: none. */
  readonly umociEvery: number;
  readonly onProgress?: (done: number) => void;
}

export interface Outcome {
  readonly counts: Counts;
  /** Cases that umoci unpacked, and those it refused, which it may (umoci.ts). */
  readonly umoci: { readonly compared: number; readonly refused: number };
  readonly failure: Failure | undefined;
}

interface Failure {
  readonly number: number;
  /** The smallest stack that fails, and how. */
  readonly text: string;
}

export async function runCases(run: Run): Promise<Outcome> {
  await using directories = new Workbench();
  await using images = new Workbench({ layers: 'images' });
  const counts = noCounts();
  const umoci = { compared: 0, refused: 0 };
  for (let number = run.first; number < run.first + run.cases; number += 1) {
    // By pairs, so that umoci is asked about both kinds.
    const bench = Math.floor(number / 2) % 2 === 0 ? directories : images;
    const generated = randomStack(run.seed, number, 'ours');
    for (const name of COUNTED) counts[name] += generated.counts[name];
    if ((await checkStack(bench, generated.stack)).length > 0) {
      const stack = await minimise(generated.stack, (smaller) => checkStack(bench, smaller));
      return {
        counts,
        umoci,
        failure: failureOf(number, describeStack(stack), await checkStack(bench, stack)),
      };
    }
    if ((await checkExport(bench, generated.stack)).length > 0) {
      const stack = await minimise(generated.stack, (smaller) => checkExport(bench, smaller));
      return {
        counts,
        umoci,
        failure: failureOf(number, describeStack(stack), await checkExport(bench, stack)),
      };
    }
    if (run.umociEvery > 0 && number % run.umociEvery === 0) {
      const failure = await askUmoci(bench, run.seed, number, umoci);
      if (failure !== undefined) return { counts, umoci, failure };
    }
    run.onProgress?.(number + 1 - run.first);
  }
  return { counts, umoci, failure: undefined };
}

async function askUmoci(
  bench: Workbench,
  seed: number,
  number: number,
  totals: { compared: number; refused: number },
): Promise<Failure | undefined> {
  const { stack } = randomStack(seed, number, 'any');
  const result = await compareWithUmoci(bench, stack);
  if (result === 'refused') totals.refused += 1;
  else totals.compared += 1;
  if (result === 'refused' || result.length === 0) return undefined;
  const check = async (one: LayerStack) => {
    const again = await compareWithUmoci(bench, one);
    return again === 'refused' ? [] : again;
  };
  const smaller = await minimise(stack, check);
  return failureOf(number, describeStack(smaller), ['umoci makes another tree:', ...(await check(smaller))]);
}

function failureOf(number: number, stack: string, lines: readonly string[]): Failure {
  return { number, text: `${stack}\n${lines.join('\n')}` };
}
