/**
 * Decides which extended attributes of a layer are set on the disk. Allowed are attributes that mean the same on every
 * machine: capabilities, ACLs and `user.*`. `trusted.*` and `user.overlay.*` are left out, because overlayfs obeys
 * them: a forged redirect shows another directory of the host. Labels and hashes of the machine that made the layer
 * (selinux, ima) are left out too.
 */
import { type ByteName, bytesOf } from '../../base/bytes.ts';
import { PluginError } from '../../base/errors/error.ts';
import { type IdMappings, type IdRange, toHostId } from '../../base/id-mapping.ts';
import { XATTR_MAX_BYTES } from '../../sys/kernel/xattr.ts';
import type { LayerEntry, Xattr } from '../tar/entry.ts';
import { shown } from '../tar/header.ts';
import { isCapability, readAcl } from './acl.ts';

/** Most attributes of an entry. Real files have few, and the kernel's list of names ends at 64 KiB. */
const MAX_XATTRS = 128;
/** XATTR_NAME_MAX (linux/limits.h). */
const MAX_NAME = 255;

export const CAPABILITY = 'security.capability';
const ACL = 'system.posix_acl_';
const ACL_HEADER = 4;
const ACL_ENTRY = 8;
/** Tags of ACL entries that name a user or group (linux/posix_acl.h). */
const ACL_USER = 0x02;
const ACL_GROUP = 0x08;

export interface ChosenXattrs {
  readonly set: readonly Xattr[];
  readonly dropped: number;
}

const NONE: ChosenXattrs = { set: [], dropped: 0 };

/** @throws PluginError LAYER_BAD_XATTR, LAYER_UNMAPPED_ID */
export function chooseXattrs(entry: LayerEntry, mappings: IdMappings): ChosenXattrs {
  if (entry.xattrs.length === 0 && entry.foreignXattrs === 0) return NONE;
  if (entry.xattrs.length > MAX_XATTRS) {
    throw badXattr(entry, '', `there are more than ${MAX_XATTRS} of them`);
  }
  const set: Xattr[] = [];
  for (const xattr of entry.xattrs) {
    const chosen = choose(entry, xattr, mappings);
    if (chosen !== undefined) set.push(chosen);
  }
  return { set, dropped: entry.xattrs.length - set.length + entry.foreignXattrs };
}

export function badXattr(entry: LayerEntry, name: string, reason: string): PluginError {
  return new PluginError('LAYER_BAD_XATTR', { entry: shown(entry.name), xattr: shown(name), reason });
}

function choose(entry: LayerEntry, { name, value }: Xattr, mappings: IdMappings): Xattr | undefined {
  if (name.length > MAX_NAME) throw badXattr(entry, name, `its name is longer than ${MAX_NAME} bytes`);
  if (value.length > XATTR_MAX_BYTES)
    throw badXattr(entry, name, `it is larger than ${XATTR_MAX_BYTES} bytes`);
  if (name === CAPABILITY) {
    // The kernel sets an empty one without a look at it, and then refuses to read it.
    if (!isCapability(value)) throw badXattr(entry, name, 'it is no capability of version 2 or 3');
    return mapCapability(name, value, mappings);
  }
  if (name === `${ACL}access` || (name === `${ACL}default` && entry.kind === 'directory')) {
    return { name, value: mapAcl(entry, name, value, mappings) };
  }
  return name.startsWith('user.') && !name.startsWith('user.overlay.') ? { name, value } : undefined;
}

/**
 * A capability with its root id mapped. Version 3 (24 bytes, first word 0x03……) ends in the id of the root user for
 * whom it has an effect. Versions 1 and 2 have an effect in every user namespace below the host's
 * (security/commoncap.c). A capability for an id outside the mapping has no effect here.
 */
function mapCapability(name: ByteName, value: Uint8Array, { uids }: IdMappings): Xattr | undefined {
  if (value.length !== 24 || value[3] !== 3 || uids.length === 0) return { name, value };
  const mapped = value.slice();
  const view = new DataView(mapped.buffer, mapped.byteOffset, mapped.length);
  const host = toHostId(uids, view.getUint32(20, true));
  if (host === undefined) return undefined;
  view.setUint32(20, host, true);
  return { name, value: mapped };
}

/**
 * An ACL with its ids mapped. The kernel's form (linux/posix_acl_xattr.h) is version 2, then tag, permissions and id
 * for each entry.
 */
function mapAcl(entry: LayerEntry, name: string, value: Uint8Array, { uids, gids }: IdMappings): Uint8Array {
  const mapped = value.slice();
  const view = new DataView(mapped.buffer, mapped.byteOffset, mapped.length);
  if (
    value.length < ACL_HEADER ||
    view.getUint32(0, true) !== 2 ||
    (value.length - ACL_HEADER) % ACL_ENTRY !== 0
  ) {
    throw badXattr(entry, name, 'it is no ACL of version 2');
  }
  // The kernel would refuse the ACL only when it is set, which for a directory may be at the end of the layer.
  if (readAcl(value) === undefined) throw badXattr(entry, name, 'it is no valid ACL');
  for (let at = ACL_HEADER; at < value.length; at += ACL_ENTRY) {
    const tag = view.getUint16(at, true);
    if (tag !== ACL_USER && tag !== ACL_GROUP) continue;
    const id = view.getUint32(at + 4, true);
    view.setUint32(
      at + 4,
      mapId(entry, tag === ACL_USER ? 'uid' : 'gid', id, tag === ACL_USER ? uids : gids),
      true,
    );
  }
  return mapped;
}

/**
 * The host's id for an id of the layer. @throws PluginError LAYER_UNMAPPED_ID outside the mapping: a layer must never
 * choose an id of the host
 */
export function mapId(
  entry: { readonly name: string },
  kind: 'uid' | 'gid',
  id: number,
  ranges: readonly IdRange[],
): number {
  const host = toHostId(ranges, id);
  if (host !== undefined) return host;
  const mappings = ranges.map((range) => `${range.container}:${range.host}:${range.size}`).join(', ');
  throw new PluginError('LAYER_UNMAPPED_ID', { entry: shown(entry.name), kind, id, mappings });
}

/** Returns true for names that a directory loses when a second entry gives it new attributes. */
export function isOurs(name: string): boolean {
  return (
    name === CAPABILITY ||
    name.startsWith(ACL) ||
    (name.startsWith('user.') && !name.startsWith('user.overlay.'))
  );
}

export function nameBytes(xattr: Xattr): Uint8Array {
  return bytesOf(xattr.name);
}
