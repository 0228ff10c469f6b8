/** One stack, both ways. */
import { differences } from './differences.ts';
import type { LayerStack } from './entries.ts';
import { Ambiguous, type MergedTree, mergeStack, Refused } from './model.ts';
import type { Workbench } from './workbench.ts';

/** What is wrong with the mounted tree of a stack, a line each. */
export async function checkStack(bench: Workbench, stack: LayerStack): Promise<string[]> {
  const tree = mergeStack(stack);
  return bench.inLayout(stack, async (layout) => {
    const result = await bench.mounted(layout, (rootfs) => differences(tree, stack, rootfs));
    return 'value' in result ? result.value : [`the stack is refused: ${result.refused}`];
  });
}

/** What is wrong with the exported tree of a stack, a line each. */
export async function checkExport(bench: Workbench, stack: LayerStack): Promise<string[]> {
  const tree = mergeStack(stack);
  return bench.inLayout(stack, async (layout) => {
    const result = await bench.exported(layout, (rootfs) => differences(tree, stack, rootfs));
    return 'value' in result ? result.value : [`the export is refused: ${result.refused}`];
  });
}

/** The smallest stack found of which `check` still complains: layers, then entries are left out one by one. */
export async function minimise(
  stack: LayerStack,
  check: (stack: LayerStack) => Promise<readonly string[]>,
): Promise<LayerStack> {
  let smallest = stack;
  for (let found = true; found; ) {
    found = false;
    for (const smaller of smallerStacks(smallest)) {
      if (!makesSense(smaller) || (await check(smaller)).length === 0) continue;
      smallest = smaller;
      found = true;
      break;
    }
  }
  return smallest;
}

function* smallerStacks(stack: LayerStack): Generator<LayerStack> {
  for (const i of stack.keys()) yield stack.filter((_, at) => at !== i);
  for (const layer of new Set(stack)) {
    for (const i of layer.entries.keys()) {
      const less = { ...layer, entries: layer.entries.filter((_, at) => at !== i) };
      yield stack.map((one) => (one === layer ? less : one));
    }
  }
}

function makesSense(stack: LayerStack): boolean {
  return stack.length > 0 && modelOrUndefined(stack) !== undefined;
}

function modelOrUndefined(stack: LayerStack): MergedTree | undefined {
  try {
    return mergeStack(stack);
  } catch (error) {
    if (error instanceof Ambiguous || error instanceof Refused) return undefined;
    throw error;
  }
}
