import type { Stat } from '../../sys/kernel/stat.ts';

/** Permission bits with which others than the owner can change a directory or a file. */
const OTHERS_WRITE = 0o022;

/**
 * Why a directory or a file is not root's alone to change, in words that follow its name; undefined where it is. With
 * access control lists the bits of the group are the most that any of them gives (acl(5)).
 */
export function whyNotRoots({ uid, mode }: Stat): string | undefined {
  if (uid !== 0) return `belongs to user ${uid}, not to root`;
  if ((mode & OTHERS_WRITE) !== 0) return `can be written by others than root (mode ${octal(mode)})`;
  return undefined;
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, '0');
}
