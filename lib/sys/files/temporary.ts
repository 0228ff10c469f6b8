const PREFIX = '.graft-tmp-';
const TEMPORARY = /^\.graft-tmp-[0-9a-z]+(\.[0-9a-z.-]+)?$/;

/**
 * A name in `directory` for an unfinished file. The unfinished file lies beside the final one, since a rename cannot
 * cross filesystems or project ids. The name is random, not numbered: process ids repeat across pid namespaces.
 * @param owner the part of the name that says which process makes the file, so that a sweep can tell dead processes
 * from living ones
 */
export function temporaryPath(directory: string, owner?: string): string {
  const random = Math.floor(Math.random() * Number.MAX_SAFE_INTEGER).toString(36);
  return `${directory}/${PREFIX}${random}${owner === undefined ? '' : `.${owner}`}`;
}

/** Returns true when `temporaryPath` made this name, so the file may be unfinished. For sweeps. */
export function isTemporaryName(name: string): boolean {
  return TEMPORARY.test(name);
}

/** The `owner` that `temporaryPath` was given for this name. */
export function temporaryOwner(name: string): string | undefined {
  return TEMPORARY.exec(name)?.[1]?.slice(1);
}
