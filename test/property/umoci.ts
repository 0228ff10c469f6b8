/**
 * The second opinion on what a stack is: umoci, which unpacks layer after layer into one directory. Where it and the
 * model differ, the image specification decides:
 *  - umoci looks at markers when they come. A directory that is only implied, and marked as gone or below an opaque
 *    one, keeps the attributes of the lower one if an entry below it came before the marker. To the specification the
 *    order of a layer's entries means nothing, so there is nothing left that the directory could have them from.
 *  - umoci's implied directories are made by mkdir(2) alone and take group and setgid bit from the directory they lie
 *    in; ours are root's and 0755, wherever.
 *  - the times of directories: umoci's are those of the last thing unpacked into them, where no later entry says more.
 *  - a file that has two names in lower layers, and a third in this one: an overlay copies it, umoci links all three.
 * What umoci refuses is not compared: entries below what is a file in a lower layer, or below a link to one, links to
 * what comes later, and markers that link leads round for.
 */
import { rmSync } from 'node:fs';
import type { TreeEntry } from '../support/images/compare-trees.ts';
import { run } from '../support/shell.ts';
import { ANY, describeModel, differentEntries } from './differences.ts';
import type { LayerStack } from './entries.ts';
import { type MergedTree, mergeStack } from './model.ts';
import type { Workbench } from './workbench.ts';

const FREE = { owner: ANY, mode: ANY, mtime: ANY, 'xattr user.mark': ANY } as const;

/** What is different in umoci's tree, a line each. */
export async function compareWithUmoci(bench: Workbench, stack: LayerStack): Promise<string[] | 'refused'> {
  return bench.inLayout(stack, async (layout) => {
    const rootfs = `${layout}.umoci`;
    try {
      const { code } = await run('umoci', ['raw', 'unpack', '--image', `${layout}:latest`, rootfs]);
      if (code !== 0) return 'refused';
      return differentEntries(expected(mergeStack(stack)), rootfs, { directoryTimes: false }).filter(
        (line) => !line.includes(': linked together: ') || !linksIntoLower(stack),
      );
    } finally {
      rmSync(rootfs, { recursive: true, force: true });
    }
  });
}

function expected(tree: MergedTree): Map<string, TreeEntry> {
  const entries = [...describeModel(tree.root)].map(([name, entry]): [string, TreeEntry] => {
    if (entry['type'] !== 'directory') return [name, entry];
    // Nobody said anything about it.
    return [name, entry['mtime'] === ANY ? { ...entry, ...FREE } : { ...entry, mtime: ANY }];
  });
  return new Map(entries);
}

function linksIntoLower(stack: LayerStack): boolean {
  return stack.some(({ entries }) =>
    entries.some((link) => link.kind === 'hardlink' && !entries.some(({ name }) => name === link.target)),
  );
}
