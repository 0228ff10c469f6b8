/**
 * Directories that publishing invented. Where a layer's tar has `usr/bin/x` without `usr/` and `usr/bin/`, the
 * ingest command makes the missing ones with mode 0755, the publishing client's ids (or -1 with
 * `--keep-ownership`, cvmfs issue 4439) and the time of publication. Overlayfs would show those attributes instead
 * of the lower layers', so they must be told from directories that the image has. The time is what tells them
 * apart: entries of the tar have the image's times, and no image is pulled before it was built.
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
/** Clocks are read per directory, in whole seconds. */
const SLACK_SECONDS = 5;
/** What an id that does not exist in the user namespace is shown as (/proc/sys/kernel/overflowuid), and -1 itself. */
const NOBODY = [65534, 4294967295];

/** The test for the layer whose tree `root` is open on. */
export function syntheticTest(root: number): Synthetic {
  const made = catalogOf(root) ?? rootIfSynthetic(root);
  if (made === undefined) return () => false;
  return (stamp) => {
    const owned = stamp.uid === made.uid && stamp.gid === made.gid;
    const nobody = NOBODY.includes(stamp.uid) && NOBODY.includes(stamp.gid);
    return stamp.mode === 0o755 && (owned || nobody) && Math.abs(made.sec - stamp.sec) <= WINDOW_SECONDS;
  };
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
