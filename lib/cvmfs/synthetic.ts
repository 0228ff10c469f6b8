/**
 * Recognises directories that publishing made up. Where a layer's tar has `usr/bin/x` before `usr/` and `usr/bin/`, or
 * no entries for these at all, the ingest command makes them with mode 0755, the ids of the publication (-1 with
 * `--keep-ownership`, cvmfs issue 4439) and the time of publication. The command ignores entries that come later.
 * The time tells a made-up directory from one of the image: an entry of the tar has a time from before the image was
 * pulled. The tree does not tell which of the two reasons the command had.
 */
import { type ByteName, bytesOf } from '../base/bytes.ts';
import { readDirents } from '../sys/kernel/dirents.ts';
import { close, openAt } from '../sys/kernel/files.ts';
import { O } from '../sys/kernel/libc.ts';
import { statAt, statFd, statIfThere } from '../sys/kernel/stat.ts';
import { stampOf } from './beneath.ts';
import { CATALOG } from './markers.ts';
import type { Stamp } from './probe-protocol.ts';

/** Returns true for the attributes of a made-up directory. */
export type Synthetic = (stamp: Stamp) => boolean;

/** An ingest makes its directories one after the other. A layer of many gigabytes takes some minutes. */
const WINDOW_SECONDS = 600;
/**
 * The directory around a layer is made at the beginning of the ingest. Its time counts if it is not older than this.
 */
const LONGEST_INGEST_SECONDS = 86_400;
/** The command reads the clock for each directory, in whole seconds. */
const SLACK_SECONDS = 5;
/**
 * The id that the kernel shows for an id without a mapping in the user namespace (/proc/sys/kernel/overflowuid), and -1
 * itself.
 */
const NOBODY = [65534, 4294967295];

/**
 * The test for the layer whose tree `root` is open on.
 * @param around attributes of the directory around the tree, which the same command makes, with the same ids
 */
export function syntheticTest(root: number, around: Stamp | undefined): Synthetic {
  const made = catalogOf(root) ?? rootIfSynthetic(root);
  if (made === undefined) return () => false;
  const tree = stampOf(statFd(root));
  // `ingest -u NAME` gives directories to NAME; the catalog file belongs to the user who ran the command.
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

/** True for -1: a publication that keeps owners gives it to directories that it makes up. */
export function isNobody({ uid, gid }: Pick<Stamp, 'uid' | 'gid'>): boolean {
  return NOBODY.includes(uid) && NOBODY.includes(gid);
}

/**
 * The root's attributes, if the root seems made up. A layer of 2017 has no catalog file, so only the root can tell: a
 * made-up root is younger than all entries in it. If this is wrong, an image's root loses its time and nothing else.
 */
function rootIfSynthetic(root: number): Stamp | undefined {
  const stamp = stampOf(statFd(root));
  if (stamp.mode !== 0o755) return undefined;
  // A second descriptor, since readers of one descriptor share their position in the list.
  const list = openAt(root, '.', O.RDONLY | O.DIRECTORY);
  try {
    const isOlder = (name: ByteName) => statAt(root, bytesOf(name)).mtime.sec + SLACK_SECONDS < stamp.sec;
    return readDirents(list, '').every(({ name }) => isOlder(name)) ? stamp : undefined;
  } finally {
    close(list);
  }
}

/** Attributes of the layer's catalog file, which the publishing client made during the ingest. */
function catalogOf(root: number): Stamp | undefined {
  const stat = statIfThere(root, CATALOG);
  return stat && stampOf(stat);
}
