import { formatOwner, isAlive, owner, parseOwner } from '../../sys/kernel/process.ts';

/**
 * A file name that says which process made a lease or a stage: the owner (lib/sys/kernel/process.ts) and a number.
 * The name alone tells whether that process is alive, even when a crash left the file empty.
 */
export type OwnerName = string & { readonly __ownerName: true };

const NUMBERED = /^(.+)\.([0-9a-z]+)$/;
let made = 0;

/** Makes a name that differs from all names of other processes and of earlier calls. */
export function newOwnerName(): OwnerName {
  made += 1;
  return `${formatOwner(owner())}.${made.toString(36)}` as OwnerName;
}

/** The owner in a file name in tmp/: the part before the first `~`. Undefined for names that graft does not make. */
export function ownerNameOf(file: string): OwnerName | undefined {
  const name = file.split('~', 1)[0] ?? '';
  return parseOwner(NUMBERED.exec(name)?.[1] ?? '') === undefined ? undefined : (name as OwnerName);
}

/** True also when it is not certain that the owner is dead. False for a name that is not an owner's. */
export function ownerIsAlive(name: OwnerName): boolean {
  const who = parseOwner(NUMBERED.exec(name)?.[1] ?? '');
  return who !== undefined && isAlive(who);
}
