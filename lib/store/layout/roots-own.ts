import type { Stat } from '../../sys/kernel/stat.ts';

/** The permission bits that let users other than the owner change a directory or a file. */
const OTHERS_WRITE = 0o022;

/**
 * Says why others than root can change a directory or a file, in words that follow its name; undefined when only root
 * can. With access control lists the group bits are the mask: no entry of the list gives more (acl(5)).
 */
export function whyNotRoots({ uid, mode }: Stat): string | undefined {
  if (uid !== 0) return `belongs to user ${uid}, not to root`;
  if ((mode & OTHERS_WRITE) !== 0) return `can be written by others than root (mode ${octal(mode)})`;
  return undefined;
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, '0');
}
