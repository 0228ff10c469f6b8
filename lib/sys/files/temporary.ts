const PREFIX = '.graft-tmp-';
const TEMPORARY = /^\.graft-tmp-[0-9a-z]+(\.[0-9a-z.-]+)?$/;

/**
 * A name in `directory` for what is not finished: beside the final one, since a rename cannot cross
 * filesystems or project ids. Random rather than numbered: process ids repeat across pid namespaces.
 * @param owner what the name says of whoever is at it, for sweepers that must tell the dead from the living
 */
export function temporaryPath(directory: string, owner?: string): string {
  const random = Math.floor(Math.random() * Number.MAX_SAFE_INTEGER).toString(36);
  return `${directory}/${PREFIX}${random}${owner === undefined ? '' : `.${owner}`}`;
}

/** Was this name made by `temporaryPath`, by somebody who may not have finished? For sweepers. */
export function isTemporaryName(name: string): boolean {
  return TEMPORARY.test(name);
}

/** The `owner` that `temporaryPath` was given for this name. */
export function temporaryOwner(name: string): string | undefined {
  return TEMPORARY.exec(name)?.[1]?.slice(1);
}
