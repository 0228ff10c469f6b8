import { bytesOf } from '../../base/bytes.ts';
import { isPluginError } from '../../base/errors/error.ts';
import type { Logger } from '../../base/log.ts';
import { printable } from '../../base/text.ts';
import { hashImage } from '../../layer/erofs/image-hash.ts';
import type { LayerImageFile } from '../../layer/tree/types.ts';
import { verifyTree } from '../../layer/tree/verify-tree.ts';
import { lookAtHold } from '../../sys/exclusive/hold.ts';
import { SysError } from '../../sys/kernel/errno.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';
import { listNames } from '../../sys/kernel/look.ts';
import { statIfThere } from '../../sys/kernel/stat.ts';
import { dropBadLayer, finishCollection, renamedForRemoval } from '../collect/collect.ts';
import {
  cvmfsKeyOrUndefined,
  type LayerKey,
  layerKeyOrUndefined,
  shortName,
  stackKeyOrUndefined,
  usedThrough,
} from '../layout/layer-key.ts';
import { removeName, trash } from '../layout/staging.ts';
import { linkedVolume } from '../records/layers.ts';
import type { Store } from '../store.ts';
import type { Finding } from './finding.ts';

/** The number of differences of one layer that are reported; the first ones show what damaged it. */
const DIFFERENCES_SHOWN = 3;

/** Checks every published layer against the manifest of its tree, and every name below volumes/ and l/. */
export function checkLayers(store: Store, log: Logger): Finding[] {
  const findings: Finding[] = [];
  for (const name of listNames(store.layout.volumes)) {
    const key = layerKeyOrUndefined(name);
    if (key !== undefined) findings.push(...checkLayer(store, key));
    else if (!/^(gc|bad)\./.test(name) && !isShim(name)) findings.push(unknown(store, name));
  }
  return [...findings, ...setAside(store, log), ...links(store)];
}

/**
 * Checks one layer. Reading it takes time: when a clean deleted it meanwhile, or it was fetched again, nothing is
 * reported.
 */
function checkLayer(store: Store, key: LayerKey): Finding[] {
  const what = `volumes/${key}`;
  const inode = () => statIfThere(AT_FDCWD, store.layout.volume(key))?.ino;
  const looked = inode();
  const isSame = () => looked !== undefined && looked === inode();
  const repair = () => void (isSame() && dropBadLayer(store, key));
  let image: LayerImageFile | undefined;
  try {
    image = store.layers.record(key)?.image;
  } catch (error) {
    if (!isPluginError(error, 'STORE_DAMAGED')) throw error;
    const detail = `its record: ${error.subject.reason}`;
    return isSame() ? [{ kind: 'layer-record', what, detail, repair }] : [];
  }
  const detail = image === undefined ? differences(store, key) : changedImage(store, key, image);
  return detail !== undefined && isSame() ? [{ kind: 'layer-changed', what, detail, repair }] : [];
}

/** The differences in words; undefined when the tree is as it was written. */
function differences(store: Store, key: LayerKey): string | undefined {
  const shown: string[] = [];
  let count = 0;
  try {
    for (const { path, what } of verifyTree(store.layout.tree(key), `${store.layout.volume(key)}/tree`)) {
      count += 1;
      if (shown.length < DIFFERENCES_SHOWN) shown.push(`/${printable(bytesOf(path))} ${what}`);
    }
  } catch (error) {
    // A read error is a difference too: a bad block, or a directory in place of the manifest.
    if (!(error instanceof SysError)) throw error;
    return error.message;
  }
  if (count === 0) return undefined;
  return shown.join('; ') + (count > shown.length ? ` and ${count - shown.length} more` : '');
}

/** The difference of a layer's image in words. EROFS has checksums for its first block alone. */
function changedImage(store: Store, key: LayerKey, written: LayerImageFile): string | undefined {
  try {
    const { bytes, hash } = hashImage(store.layout.layerImage(key));
    if (bytes !== written.bytes) return `fs.erofs has ${bytes} bytes and not ${written.bytes}`;
    return hash === written.hash ? undefined : 'fs.erofs has other bytes than were written';
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    return error.message;
  }
}

function isShim(name: string): boolean {
  const of = usedThrough(name);
  const known = [layerKeyOrUndefined, stackKeyOrUndefined, cvmfsKeyOrUndefined];
  return of !== name && known.some((parse) => parse(of) !== undefined);
}

function unknown(store: Store, name: string): Finding {
  return {
    kind: 'volume-unknown',
    what: `volumes/${name}`,
    detail: 'graft makes no such name',
    repair: () => void trash(store.layout, `${store.layout.volumes}/${name}`),
  };
}

/**
 * Reports volumes that a stopped clean renamed. A running clean still deletes its own, under its lock: these are not
 * reported.
 */
function setAside(store: Store, log: Logger): Finding[] {
  const isCleaning = () => typeof lookAtHold(store.layout.cleanLock) === 'object';
  const left = isCleaning() ? [] : renamedForRemoval(store);
  return (isCleaning() ? [] : left).map((name) => ({
    kind: 'volume-set-aside',
    what: `volumes/gc.${name}`,
    detail: 'left by a clean that was stopped',
    repair: async () => void (await finishCollection(store, log)),
  }));
}

function links(store: Store): Finding[] {
  return listNames(store.layout.links).flatMap((name): Finding[] => {
    const path = `${store.layout.links}/${name}`;
    const leads = () => {
      const volume = linkedVolume(path);
      return volume !== undefined && shortName(volume) === name && store.layers.has(volume);
    };
    if (leads()) return [];
    const repair = () => void (leads() || removeName(store.layout, path));
    return [
      { kind: 'link-dangling', what: `l/${name}`, detail: 'it leads to no layer of that name', repair },
    ];
  });
}
