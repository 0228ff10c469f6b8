/** Owners and extended attributes of a container's files as an image has them: with the ids of the container. */
import { type ByteName, byteName } from '../../base/bytes.ts';
import { PluginError } from '../../base/errors/error.ts';
import { type IdMappings, type IdRange, toContainerId } from '../../base/id-mapping.ts';
import type { Xattr } from '../../layer/tar/entry.ts';
import { fgetxattr, flistxattr } from '../../sys/kernel/xattr.ts';
import { shownPath } from './tree-walk.ts';

/** Most attributes of an entry, and most bytes of them, that graft unpacks (lib/layer/tree/xattrs.ts, lib/layer/tar). */
const MAX_XATTRS = 128;
const MAX_XATTR_BYTES = 512 * 1024;

const CAPABILITY = 'security.capability';
const ACL = /^system\.posix_acl_(access|default)$/;
const ACL_HEADER = 4;
const ACL_ENTRY = 8;
/** Tags of ACL entries that name a user or group (linux/posix_acl.h). */
const ACL_USER = 0x02;
const ACL_GROUP = 0x08;

/** Notes of overlayfs about a name of an upper directory. */
interface OverlayNotes {
  readonly opaque: boolean;
  /** The content or the children are in a lower directory, so that the upper directory alone does not have them. */
  readonly elsewhere: 'redirect' | 'metacopy' | undefined;
}

export interface ReadAttributes {
  readonly xattrs: readonly Xattr[];
  readonly overlay: OverlayNotes;
}

/**
 * Reads the attributes of an open file or directory. Exported are capabilities, ACLs and `user.*`; the labels of this
 * machine and everything that overlayfs obeys are not.
 * @throws COMMIT_ENTRY, COMMIT_ID
 */
export function readAttributes(fd: number, path: ByteName, mappings: IdMappings): ReadAttributes {
  const xattrs: Xattr[] = [];
  let bytes = 0;
  let [opaque, elsewhere]: [boolean, OverlayNotes['elsewhere']] = [false, undefined];
  for (const raw of flistxattr(fd, path)) {
    const name = byteName(raw);
    if (name === 'trusted.overlay.opaque') opaque = isYes(fgetxattr(fd, raw, path));
    if (name === 'trusted.overlay.redirect') elsewhere = 'redirect';
    if (name === 'trusted.overlay.metacopy') elsewhere = 'metacopy';
    if (!isExported(name)) continue;
    const value = fgetxattr(fd, raw, path);
    const mapped = value && toImage(name, value, path, mappings);
    if (mapped === undefined) continue;
    bytes += name.length + mapped.length;
    // A PAX record ends its key at the first `=`.
    if (name.includes('=') || xattrs.length === MAX_XATTRS || bytes > MAX_XATTR_BYTES)
      throw new PluginError('COMMIT_ENTRY', { path: shownPath(path), reason: 'attributes' });
    xattrs.push({ name, value: mapped });
  }
  return { xattrs, overlay: { opaque, elsewhere } };
}

/** `y` hides the lower directories; `x` only says that whiteouts of another form are inside (overlayfs.rst). */
function isYes(value: Uint8Array | undefined): boolean {
  return value?.[0] === 'y'.charCodeAt(0);
}

function isExported(name: string): boolean {
  if (name === CAPABILITY || ACL.test(name)) return true;
  return name.startsWith('user.') && !name.startsWith('user.overlay.');
}

function toImage(
  name: string,
  value: Uint8Array,
  path: ByteName,
  mappings: IdMappings,
): Uint8Array | undefined {
  if (name === CAPABILITY) return toImageCapability(value, mappings);
  return ACL.test(name) ? toImageAcl(value, path, mappings) : value;
}

/**
 * Version 3 of a capability (24 bytes, first word 0x03……) ends in the id of the root user for whom it has an effect. The
 * kernel writes it when the root of a user namespace sets a capability. For the container's own root it becomes version
 * 2, which images have; for the root of another namespace it has no meaning in an image and is left out.
 */
function toImageCapability(value: Uint8Array, { uids }: IdMappings): Uint8Array | undefined {
  if (value.length !== 24 || value[3] !== 3) return value;
  const root = new DataView(value.buffer, value.byteOffset, value.length).getUint32(20, true);
  if (toContainerId(uids, root) !== 0) return undefined;
  const image = value.slice(0, 20);
  image[3] = 2;
  return image;
}

/** An ACL with the ids of the container (linux/posix_acl_xattr.h: version, then tag, permissions and id of each entry). */
function toImageAcl(value: Uint8Array, path: ByteName, { uids, gids }: IdMappings): Uint8Array {
  const image = value.slice();
  const view = new DataView(image.buffer);
  for (let at = ACL_HEADER; at + ACL_ENTRY <= image.length; at += ACL_ENTRY) {
    const tag = view.getUint16(at, true);
    if (tag !== ACL_USER && tag !== ACL_GROUP) continue;
    const [kind, ranges] = tag === ACL_USER ? (['uid', uids] as const) : (['gid', gids] as const);
    view.setUint32(at + 4, toImageId(view.getUint32(at + 4, true), kind, ranges, path), true);
  }
  return image;
}

/** The container's id. @throws COMMIT_ID for an id of the host that no container of the store has */
export function toImageId(
  id: number,
  kind: 'uid' | 'gid',
  ranges: readonly IdRange[],
  path: ByteName,
): number {
  const found = toContainerId(ranges, id);
  if (found === undefined) throw new PluginError('COMMIT_ID', { path: shownPath(path), kind, id });
  return found;
}
