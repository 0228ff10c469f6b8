/**
 * A grade says which callers get content again without a new request to its source:
 *  - `everybody`: the source gave it to an anonymous caller;
 *  - `cell`: the source gave it for the cell's own settings (credentials, client certificates, mirrors), which hold for
 *    each caller of this cell whose image names the same repository;
 *  - `asked`: the source gave it for the caller's own credentials, so graft asks the repository each time.
 */
export type Grade = 'everybody' | 'cell' | 'asked';

const STRICTNESS: readonly Grade[] = ['everybody', 'cell', 'asked'];

/** The grade of content that came in several parts or documents; `everybody` where there is none. */
export function strictest(grades: Iterable<Grade>): Grade {
  return [...grades].reduce((worst, one) => (rank(one) > rank(worst) ? one : worst), 'everybody');
}

function rank(grade: Grade): number {
  return STRICTNESS.indexOf(grade);
}
