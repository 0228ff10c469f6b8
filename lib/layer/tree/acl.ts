/**
 * Attributes as the kernel keeps them when setxattr(2) sets them. A filesystem checks them and changes others with them; an
 * image is written without a kernel, and has to hold what a directory tree of the same layer would.
 */

/** Tags of the entries of an ACL (linux/posix_acl.h). */
const TAG = { userObject: 1, user: 2, groupObject: 4, group: 8, mask: 0x10, other: 0x20 } as const;
const HEADER = 4;
const ENTRY = 8;
const NO_ID = 0xffff_ffff;

export interface AclFacts {
  /** The permission bits that the file gets with the ACL. */
  readonly permissions: number;
  /** True where the mode says all that the ACL says. The kernel then keeps no ACL. */
  readonly isMode: boolean;
  /** True for an ACL without entries, which removes the ACL of a file. */
  readonly isEmpty: boolean;
}

/**
 * @param acl of version 2, with whole entries
 * @returns undefined for an ACL that the kernel refuses (posix_acl_valid in fs/posix_acl.c): its entries have an order, and
 * those that name somebody need a mask
 */
export function readAcl(acl: Uint8Array): AclFacts | undefined {
  const view = new DataView(acl.buffer, acl.byteOffset, acl.length);
  const found = new Map<number, number>();
  /** Tags may only grow; those that name somebody may repeat. */
  let last = 0;
  for (let at = HEADER; at < acl.length; at += ENTRY) {
    const [tag, permissions, id] = [
      view.getUint16(at, true),
      view.getUint16(at + 2, true),
      view.getUint32(at + 4, true),
    ];
    const isNamed = tag === TAG.user || tag === TAG.group;
    const isKnown = (Object.values(TAG) as number[]).includes(tag);
    if (!isKnown || permissions > 7 || tag < last || (tag === last && !isNamed)) return undefined;
    if (isNamed && id === NO_ID) return undefined;
    found.set(tag, permissions);
    last = tag;
  }
  if (found.size === 0) return { permissions: 0, isMode: false, isEmpty: true };
  const needsMask = found.has(TAG.user) || found.has(TAG.group);
  const [user, group, other] = [found.get(TAG.userObject), found.get(TAG.groupObject), found.get(TAG.other)];
  const mask = found.get(TAG.mask);
  if (user === undefined || group === undefined || other === undefined) return undefined;
  if (needsMask && mask === undefined) return undefined;
  return {
    permissions: (user << 6) | ((mask ?? group) << 3) | other,
    isMode: mask === undefined,
    isEmpty: false,
  };
}

/** Sizes of versions 2 and 3 of a capability (linux/capability.h), and their numbers in the first word. */
const CAPABILITIES: readonly (readonly [bytes: number, version: number])[] = [
  [20, 2],
  [24, 3],
];

/** False for a capability that the kernel refuses (cap_convert_nscap in security/commoncap.c). */
export function isCapability(value: Uint8Array): boolean {
  return CAPABILITIES.some(([bytes, version]) => value.length === bytes && value[3] === version);
}
