/** How names and directories of an image are called while it is written. */

/** The number of a directory, in the order in which they were made; the root is 0. A directory follows the one above. */
export type DirectoryNumber = number & { readonly __brand: 'DirectoryNumber' };
export const ROOT = 0 as DirectoryNumber;

/** The number of a name. A name that was removed keeps its number and gets it again. */
export type EntryNumber = number & { readonly __brand: 'EntryNumber' };
