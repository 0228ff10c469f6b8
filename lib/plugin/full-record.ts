/** The parts of `list --json` that are not in the record of a container. */
import { layerKeyOrUndefined } from '../store/layout/layer-key.ts';
import { storeRoot } from '../store/opened.ts';
import type { ImageRecord, LayerProvenance } from '../store/records/image-record.ts';
import { Store } from '../store/store.ts';

/** How the bytes of a layer were held against what the image promises. */
type Checked =
  /** Against the digest of the blob and against the diffID. */
  | 'digest'
  /** A local tar, of which nothing is promised: it was read whole, and did not change meanwhile. */
  | 'unpromised'
  /** A layout's layer whose digests are only names, by the setting. */
  | 'unvalidated'
  /** Used in place on CernVM-FS, in the revision that the record has: its publisher is trusted. */
  | 'in-place';

/**
 * The record with what the store knows of each layer: how it was checked, and the hosts that gave it. Both are absent for
 * a layer whose record is damaged; `check` tells of that.
 */
export function fullRecord(storePath: string): (record: ImageRecord | undefined) => object {
  const store = Store.open(storeRoot(storePath));
  return (record) => {
    if (record === undefined) return {};
    return { ...record, layers: record.layers.map((layer) => ({ ...layer, ...checkedOf(store, layer) })) };
  };
}

function checkedOf(
  store: Store,
  { layer, source, digest }: LayerProvenance,
): { checked?: Checked; hosts?: readonly string[] | undefined } {
  if (source === 'cvmfs') return { checked: 'in-place' };
  const key = layerKeyOrUndefined(layer);
  const found = key && store.layers.recordIfReadable(key);
  if (found === undefined) return {};
  const promised = found.validated ? 'digest' : 'unvalidated';
  return { checked: digest === undefined ? 'unpromised' : promised, hosts: found.hosts };
}
