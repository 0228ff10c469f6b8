import { formatOwner, isAlive, owner, parseOwner } from '../../sys/kernel/process.ts';

/**
 * Who made a lease or a piece of rubbish, as a file name: the owner (lib/sys/kernel/process.ts) and a number.
 * The name alone tells whether it is still wanted, even when a crash left the file empty.
 */
export type OwnerName = string & { readonly __ownerName: true };

const NUMBERED = /^(.+)\.([0-9a-z]+)$/;
let made = 0;

/** A name that no other process and no other call in this one has. */
export function newOwnerName(): OwnerName {
  made += 1;
  return `${formatOwner(owner())}.${made.toString(36)}` as OwnerName;
}

/** The part of a file name in tmp/ before its first `~`: whose it is. Undefined for names that are not ours. */
export function ownerNameOf(file: string): OwnerName | undefined {
  const name = file.split('~', 1)[0] ?? '';
  return parseOwner(NUMBERED.exec(name)?.[1] ?? '') === undefined ? undefined : (name as OwnerName);
}

/** When in doubt the owner is alive; a name that is no owner's belongs to nobody. */
export function ownerIsAlive(name: OwnerName): boolean {
  const who = parseOwner(NUMBERED.exec(name)?.[1] ?? '');
  return who !== undefined && isAlive(who);
}
