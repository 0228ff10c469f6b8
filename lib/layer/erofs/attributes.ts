/** The attributes of a layer's entry as its inode has them: mapped, checked, and with what the kernel would make of them. */
import type { IdMappings } from '../../base/id-mapping.ts';
import type { LayerEntry, Xattr } from '../tar/entry.ts';
import { readAcl } from '../tree/acl.ts';
import { badXattr, chooseXattrs, mapId } from '../tree/xattrs.ts';
import type { Attributes } from './format.ts';
import { encodeXattrs } from './xattrs.ts';

const ACCESS_ACL = 'system.posix_acl_access';
const DEFAULT_ACL = 'system.posix_acl_default';
const NONE = new Uint8Array(0);

export class EntryAttributes {
  readonly #mappings: IdMappings;
  droppedXattrs = 0;

  constructor(mappings: IdMappings) {
    this.#mappings = mappings;
  }

  /** @throws LAYER_UNMAPPED_ID */
  owner(entry: { readonly name: string; readonly uid: number; readonly gid: number }): {
    uid: number;
    gid: number;
  } {
    const { uids, gids } = this.#mappings;
    return { uid: mapId(entry, 'uid', entry.uid, uids), gid: mapId(entry, 'gid', entry.gid, gids) };
  }

  /** Of a directory without an entry of its own. */
  implied(path: string, mtime: Attributes['mtime']): Attributes {
    return { mode: 0o755, ...this.owner({ name: path, uid: 0, gid: 0 }), mtime, xattrs: NONE };
  }

  /** @throws LAYER_UNMAPPED_ID, LAYER_BAD_XATTR */
  of(entry: LayerEntry): Attributes {
    const common = { ...this.owner(entry), mtime: entry.mtime };
    const mode = entry.kind === 'symlink' ? 0o777 : entry.mode;
    if (entry.xattrs.length === 0 && entry.foreignXattrs === 0) return { mode, ...common, xattrs: NONE };
    const chosen = chooseXattrs(entry, this.#mappings);
    this.droppedXattrs += chosen.dropped;
    const kept = new Map<string, Xattr>();
    let permissions = mode & 0o777;
    for (const xattr of chosen.set) {
      permissions = this.#keep(entry, xattr, kept) ?? permissions;
    }
    const xattrs = encodeXattrs(entry.name, [...kept.values()]);
    return { mode: (mode & ~0o777) | permissions, ...common, xattrs };
  }

  /** @returns the permission bits that an ACL decides. @throws LAYER_BAD_XATTR */
  #keep(entry: LayerEntry, xattr: Xattr, kept: Map<string, Xattr>): number | undefined {
    const { name, value } = xattr;
    if (name === ACCESS_ACL || name === DEFAULT_ACL) {
      if (entry.kind === 'symlink') throw badXattr(entry, name, 'the filesystem cannot keep it');
      const acl = readAcl(value);
      if (acl === undefined) throw new Error('an ACL was not checked');
      const isKept = !acl.isEmpty && !(acl.isMode && name === ACCESS_ACL);
      if (isKept) kept.set(name, xattr);
      else kept.delete(name);
      return name === ACCESS_ACL && !acl.isEmpty ? acl.permissions : undefined;
    }
    const isOfUser = name.startsWith('user.');
    // Links and FIFOs have no attributes of users (xattr(7)).
    if (isOfUser && entry.kind !== 'file' && entry.kind !== 'directory') this.droppedXattrs += 1;
    else if (name === 'user.') throw badXattr(entry, name, 'the kernel refuses it');
    else kept.set(name, xattr);
    return undefined;
  }
}
