import { shortBytes } from '../../base/units.ts';
import { lookAtMount } from '../layout/mount-state.ts';
import type { Store } from '../store.ts';
import type { Finding } from './finding.ts';

/** Checks the mount, the loop file and the disk below the store. No repair from inside the store is possible. */
export function checkMount({ layout }: Store): Finding[] {
  const { isReadOnly, isDeleted, below } = lookAtMount(layout);
  const found: Finding[] = [];
  if (isReadOnly) {
    const detail =
      'its filesystem is read-only: see dmesg for a failing disk, else mount it again with remount,rw';
    found.push({ kind: 'store-read-only', what: layout.root, detail });
  }
  if (isDeleted) {
    const detail = 'the file of the store was deleted: an unmount or a reboot loses all that is in the store';
    found.push({ kind: 'backing-deleted', what: layout.backing, detail });
  }
  if (below !== undefined) {
    const detail = `the disk below has ${shortBytes(below.freeBytes)} free, and the file may grow by ${shortBytes(below.growthBytes)}`;
    found.push({ kind: 'backing-full', what: layout.backing, detail });
  }
  return found;
}
