/** Where the executable keeps the files it was compiled from; `Bun.main` lies there in a compiled program. */
export const EMBEDDED = '/$bunfs/root/';

/** False where the sources run as they are, as in tests of single modules. */
export const COMPILED = Bun.main.startsWith(EMBEDDED);
