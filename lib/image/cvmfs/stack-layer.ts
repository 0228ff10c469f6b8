import type { ByteName } from '../../base/bytes.ts';
import { toHostId } from '../../base/id-mapping.ts';
import type { FoundLayer } from '../../cvmfs/found-layer.ts';
import { type CvmfsKey, maskOf, type OutsidePath, shimOf } from '../../store/layout/layer-key.ts';
import type { CvmfsRecord } from '../../store/records/cvmfs-records.ts';
import type { DirectoryAttributes } from '../../store/records/stacks.ts';
import type { Store } from '../../store/store.ts';
import { attributesOf } from '../stack/shims.ts';
import {
  type CvmfsStackLayer,
  childOf,
  direntsOf,
  lookAtTree,
  type Sight,
  treePath,
} from '../stack/stack-view.ts';

/** A layer on CVMFS with its shim and mask, as the stack sees it. */
export function cvmfsStackLayer(
  store: Store,
  name: CvmfsKey,
  found: FoundLayer,
  record: CvmfsRecord,
): CvmfsStackLayer {
  const shim = record.hasShim ? shimOf(name) : undefined;
  const mask = record.hasMask ? maskOf(name) : undefined;
  const [shimTree, maskTree] = [shim && store.layout.tree(shim), mask && store.layout.tree(mask)];
  return {
    kind: 'cvmfs',
    lower: found.path as OutsidePath,
    tree: found.path,
    name,
    bytes: record.bytes,
    explicitRoot: record.explicitRoot,
    impliedDirs: new Set(record.impliedDirs),
    // The layer's shim keeps whiteouts from being listed.
    whiteoutDirs: [],
    opaqueDirs: new Set(record.opaqueDirs),
    shimBelow: shim,
    maskAbove: mask,
    rootHidden: record.rootHidden,
    idmapRoot: found.needsIdmap ? found.repository.path : undefined,
    look: (at) => lookThrough(found.path, shimTree, maskTree, at),
    list: (directory, max, onEntry) => listThrough(found.path, shimTree, maskTree, directory, max, onEntry),
    hollowDirs: new Set(record.hollowDirs),
    attributes: (at) => shownAttributes(store, found, maskTree, record.isRepaired === true, at),
  };
}

/** The type that mask, tree and shim show together: the mask hides names of the tree, the shim deletes lower ones. */
function lookThrough(
  tree: string,
  shim: string | undefined,
  mask: string | undefined,
  name: ByteName,
): Sight {
  const masked = mask !== undefined && lookAtTree(mask, name) === 'whiteout';
  const own = masked ? 'absent' : lookAtTree(tree, name);
  if (own !== 'absent' || shim === undefined) return own;
  return lookAtTree(shim, name) === 'whiteout' ? 'whiteout' : 'absent';
}

/** The types for all names of a directory; undefined where there are more than `max`. */
function listThrough(
  tree: string,
  shim: string | undefined,
  mask: string | undefined,
  directory: ByteName,
  max: number,
  onEntry: () => void,
): [string, Sight][] | undefined {
  const names = new Set<string>();
  for (const one of [tree, ...(shim === undefined ? [] : [shim])]) {
    // The shim has only the directories that its markers need.
    if (lookAtTree(one, directory) !== 'directory') continue;
    for (const { name } of direntsOf(one, directory)) {
      onEntry();
      names.add(name);
      if (names.size > max) return undefined;
    }
  }
  return [...names].map((name) => [name, lookThrough(tree, shim, mask, childOf(directory, name))]);
}

function shownAttributes(
  store: Store,
  found: FoundLayer,
  mask: string | undefined,
  isRepaired: boolean,
  name: ByteName,
): DirectoryAttributes {
  // A directory in the mask has the attributes that a container sees, in the store's own ids.
  const masked = mask !== undefined && lookAtTree(mask, name) === 'directory';
  if (masked && (name !== '' || isRepaired)) return attributesOf(treePath(mask, name));
  const attributes = attributesOf(treePath(found.path, name));
  // Attributes that a CernVM-FS client lists describe the client, not the directory.
  const xattrs = found.repository.type === 'cvmfs' ? [] : attributes.xattrs;
  if (!found.needsIdmap) return { ...attributes, xattrs };
  const { uids, gids } = store.format.mappings;
  return {
    ...attributes,
    xattrs,
    uid: toHostId(uids, attributes.uid) ?? store.owner.uid,
    gid: toHostId(gids, attributes.gid) ?? store.owner.gid,
  };
}
