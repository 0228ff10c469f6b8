/**
 * Directories that publishing invented. Where a layer's tar has `usr/bin/x` before `usr/` and `usr/bin/`, or has no
 * entries for these at all, the ingest command makes them with mode 0755, the ids of the layer's own publication (-1
 * with `--keep-ownership`, cvmfs issue 4439) and the time of publication, and ignores entries that come later. The time is
 * what tells them from directories that the image has: entries of the tar have the image's times, and no image is
 * pulled before it was built. Which of the two reasons there was for inventing one, nothing in the tree says.
 */
import { type ByteName, bytesOf } from '../base/bytes.ts';
import { readDirents } from '../sys/kernel/dirents.ts';
import { close, openAt } from '../sys/kernel/files.ts';
import { O } from '../sys/kernel/libc.ts';
import { statAt, statFd, statIfThere } from '../sys/kernel/stat.ts';
import { stampOf } from './beneath.ts';
import { CATALOG } from './markers.ts';
import type { Stamp } from './probe-protocol.ts';

/** True for the attributes of a directory that publishing invented. */
export type Synthetic = (stamp: Stamp) => boolean;

/** One ingest makes its directories one after the other; a layer of many gigabytes takes some minutes. */
const WINDOW_SECONDS = 600;
/** The directory around a layer is made up at its beginning: where that is not longer ago than this, it counts. */
const LONGEST_INGEST_SECONDS = 86_400;
/** Clocks are read per directory, in whole seconds. */
const SLACK_SECONDS = 5;
/** What an id that does not exist in the user namespace is shown as (/proc/sys/kernel/overflowuid), and -1 itself. */
const NOBODY = [65534, 4294967295];

/**
 * The test for the layer whose tree `root` is open on.
 * @param around of the directory around the tree, which the same command makes up, with the same ids
 */
export function syntheticTest(root: number, around: Stamp | undefined): Synthetic {
  const made = catalogOf(root) ?? rootIfSynthetic(root);
  if (made === undefined) return () => false;
  const tree = stampOf(statFd(root));
  // `ingest -u NAME` gives directories to NAME, and the catalog file belongs to who ran it.
  const owners = [made, around].flatMap((stamp) => stamp ?? []);
  const isOwned = (stamp: Stamp) =>
    isNobody(stamp) || owners.some(({ uid, gid }) => stamp.uid === uid && stamp.gid === gid);
  const first = [tree, around].flatMap((stamp) => {
    const isMadeUp = stamp !== undefined && stamp.mode === 0o755 && isOwned(stamp);
    return isMadeUp && made.sec - stamp.sec <= LONGEST_INGEST_SECONDS ? [stamp.sec - SLACK_SECONDS] : [];
  });
  const from = Math.min(made.sec - WINDOW_SECONDS, ...first);
  const until = made.sec + WINDOW_SECONDS;
  return (stamp) => stamp.mode === 0o755 && stamp.sec >= from && stamp.sec <= until && isOwned(stamp);
}

/** True for -1, which publications that keep owners give to what they make up. */
export function isNobody({ uid, gid }: Pick<Stamp, 'uid' | 'gid'>): boolean {
  return NOBODY.includes(uid) && NOBODY.includes(gid);
}

/**
 * Without a catalog file (the layers of 2017) only the root can tell: one that publishing invented is younger than all
 * that is in it. Where that is wrong, the root of an image loses its time and nothing else.
 */
function rootIfSynthetic(root: number): Stamp | undefined {
  const stamp = stampOf(statFd(root));
  if (stamp.mode !== 0o755) return undefined;
  // A descriptor of its own: this one's reader has its own place in the list.
  const list = openAt(root, '.', O.RDONLY | O.DIRECTORY);
  try {
    const isOlder = (name: ByteName) => statAt(root, bytesOf(name)).mtime.sec + SLACK_SECONDS < stamp.sec;
    return readDirents(list, '').every(({ name }) => isOlder(name)) ? stamp : undefined;
  } finally {
    close(list);
  }
}

/** Attributes of the layer's catalog file: the publishing client made it at the time of the ingest. */
function catalogOf(root: number): Stamp | undefined {
  const stat = statIfThere(root, CATALOG);
  return stat && stampOf(stat);
}
