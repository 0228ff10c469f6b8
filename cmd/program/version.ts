import { version } from '../../package.json';

/** Set by ci/build; where the sources run, nothing sets it. */
declare const GRAFT_COMMIT: string | undefined;

export const VERSION: string = version;

/** The commit of the sources; undefined where they were built outside a repository. */
export const COMMIT: string | undefined =
  typeof GRAFT_COMMIT === 'undefined' || GRAFT_COMMIT === '' ? undefined : GRAFT_COMMIT;
