import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { graft, graftMust } from '../graft.ts';
import { must, type Ran, type RunOptions } from '../shell.ts';
import { type TempDir, tempDir } from '../temp.ts';

const MiB = 1024 * 1024;
/** mkfs.xfs refuses less than 300 MB; the file is sparse, so a roomier one costs nothing. */
const DEFAULT_XFS_BYTES = 1024 * MiB;

/** Makes a sparse file of `bytes` with XFS in it at `<dir>/<name>.img` and mounts it at `<dir>/<name>`. */
export async function mountXfs(
  dir: string,
  options: { name?: string; bytes?: number; mountOptions?: string } = {},
): Promise<string> {
  const at = join(dir, options.name ?? 'xfs');
  const image = `${at}.img`;
  mkdirSync(at);
  await must('truncate', ['-s', String(options.bytes ?? DEFAULT_XFS_BYTES), image]);
  await must('mkfs.xfs', ['-q', image]);
  const flags = ['loop', 'noatime', options.mountOptions].filter((flag) => flag !== undefined).join(',');
  await must('mount', ['-t', 'xfs', '-o', flags, image, at]);
  return at;
}

/** An initialised store of a test's own, on its own XFS without quotas, and the program bound to it. */
export interface TestStore extends AsyncDisposable {
  readonly path: string;
  readonly dir: TempDir;
  /** Runs a verb on this store. */
  graft(args: readonly string[], options?: RunOptions): Promise<Ran>;
  /** Runs a verb on this store that must succeed; returns its stdout. */
  must(args: readonly string[], options?: RunOptions): Promise<string>;
}

/** GRAFT_TEST_LAYERS runs the tests of stores with another kind of layers than directories. */
function layersOption(): string[] {
  const kind = process.env['GRAFT_TEST_LAYERS'];
  return kind === undefined ? [] : ['--layers', kind];
}

/** A store on XFS on a loop device. `init` are options for init-store, `bytes` the size of the filesystem. */
export async function testStore(
  options: { init?: readonly string[]; bytes?: number; mountOptions?: string; parent?: string } = {},
): Promise<TestStore> {
  const dir = tempDir(options.parent);
  try {
    const path = join(await mountXfs(dir.path, options), 'store');
    mkdirSync(path);
    const store: TestStore = {
      path,
      dir,
      graft: (args, runOptions) => graft(['--store', path, ...args], runOptions),
      must: (args, runOptions) => graftMust(['--store', path, ...args], runOptions),
      [Symbol.asyncDispose]: () => dir.remove(),
    };
    await store.must(['init-store', ...layersOption(), ...(options.init ?? [])]);
    return store;
  } catch (error) {
    await dir.remove();
    throw error;
  }
}
