/** Random changes of a mounted root filesystem, as programs in a container make them. Names and content follow from a seed. */
import {
  chmodSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { lsetxattr, mknodAt } from '../../../lib/sys/kernel/files.ts';
import { AT_FDCWD } from '../../../lib/sys/kernel/libc.ts';
import { S } from '../../../lib/sys/kernel/stat.ts';

type Random = (below: number) => number;

/** mulberry32: numbers from 0 to `below` - 1 that depend on the seed only. */
function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const SLASH = Buffer.from('/');
/** Names that ustar holds, and names that it does not: long, with a newline, not UTF-8. */
const NAMES: readonly Buffer[] = [
  ...['a', 'b', 'c', 'etc', 'bin', 'usr', 'wh.x', 'x.wh.', 'Ä', 'new\nline', ' blank ', '-', '=', 'b='].map(
    (name) => Buffer.from(name),
  ),
  Buffer.from([0xff, 0xfe, 0x41]),
  Buffer.from('n'.repeat(101)),
  Buffer.from('l'.repeat(200)),
];
const MODES = [0o644, 0o755, 0o600, 0o4755, 0o2755, 0o1777, 0o000, 0o444];
const IDS = [0, 1, 1000, 65534, 2_097_152];

/** Makes `count` changes below `root`. @param ids the largest owner that may be given to a file */
export function changeRandomly(root: string, seed: number, count: number, ids = 3_000_000): void {
  const random = randomOf(seed);
  for (let made = 0; made < count; made += 1) {
    try {
      changeOnce(Buffer.from(root), random, ids);
    } catch (error) {
      // The name that was drawn does not fit the change: a file where a directory is needed, and so on.
      const { code } = error as NodeJS.ErrnoException;
      if (
        !['EEXIST', 'ENOENT', 'ENOTDIR', 'EISDIR', 'ENOTEMPTY', 'EXDEV', 'EINVAL', 'EPERM', 'ELOOP'].includes(
          code ?? '',
        )
      )
        throw error;
    }
  }
}

function pick<T>(list: readonly T[], random: Random): T {
  return list[random(list.length)] as T;
}

function below(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, SLASH, name]);
}

/** A directory of the tree, at most four levels down. */
function directoryIn(root: Buffer, random: Random): Buffer {
  let at = root;
  for (let depth = random(5); depth > 0; depth -= 1) {
    const directories = readdirSync(at, { encoding: 'buffer' }).filter((name) =>
      lstatSync(below(at, name)).isDirectory(),
    );
    if (directories.length === 0) return at;
    at = below(at, pick(directories, random));
  }
  return at;
}

/** A name that exists, or else a new one. */
function existing(directory: Buffer, random: Random): Buffer {
  const names = readdirSync(directory, { encoding: 'buffer' });
  return below(directory, names.length === 0 ? pick(NAMES, random) : pick(names, random));
}

/** Opening a FIFO waits for its other end, and capabilities of anything but a file have no effect. @throws EINVAL */
function fileOnly(path: Buffer): Buffer {
  if (lstatSync(path).isFile()) return path;
  throw Object.assign(new Error('no file'), { code: 'EINVAL' });
}

/** chmod(2) and setxattr(2) of node:fs follow links, which may lead out of the tree. @throws EINVAL */
function noLink(path: Buffer): Buffer {
  if (!lstatSync(path).isSymbolicLink()) return path;
  throw Object.assign(new Error('a link'), { code: 'EINVAL' });
}

function changeOnce(root: Buffer, random: Random, ids: number): void {
  const directory = directoryIn(root, random);
  const fresh = below(directory, pick(NAMES, random));
  const old = existing(directory, random);
  const changes: readonly (() => void)[] = [
    () => writeFileSync(fresh, Buffer.alloc(random(3) * 700 + random(5), random(256)), { flag: 'wx' }),
    () =>
      writeFileSync(fileOnly(old), Buffer.alloc(random(90_000), random(256)), {
        flag: random(2) === 0 ? 'a' : 'w',
      }),
    () => mkdirSync(fresh),
    () => rmSync(old, { recursive: true }),
    () => {
      rmSync(old, { recursive: true });
      mkdirSync(old);
      writeFileSync(below(old, pick(NAMES, random)), 'again');
    },
    () =>
      symlinkSync(
        pick(
          [Buffer.from('/nowhere/on/this/machine'), Buffer.from('t'.repeat(150)), Buffer.from([0xc3])],
          random,
        ),
        fresh,
      ),
    () => linkSync(old, fresh),
    () => renameSync(old, fresh),
    () => chmodSync(noLink(old), pick(MODES, random)),
    () => lchownSync(old, Math.min(pick(IDS, random), ids), Math.min(pick(IDS, random), ids)),
    () => lutimesSync(old, 1_600_000_000, random(2_000_000_000) + 0.25),
    () => mknodAt(AT_FDCWD, fresh, S.IFIFO | 0o620),
    () =>
      lsetxattr(
        old,
        `user.${pick(['a', 'origin', 'longer.name'], random)}`,
        Buffer.from([0, random(256), 10]),
      ),
    () =>
      lsetxattr(
        fileOnly(old),
        'security.capability',
        Buffer.from('0100000200040000000000000000000000000000', 'hex'),
      ),
    () => truncateSync(fileOnly(old), random(200_000)),
  ];
  pick(changes, random)();
}
