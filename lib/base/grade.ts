/**
 * To whom what a source delivered may be given again without asking the source:
 *  - `everybody`: an anonymous caller got it;
 *  - `cell`: what the settings have (credentials, client certificates, mirrors) got it, which work for each caller of
 *    this cell whose image names the same repository;
 *  - `asked`: the caller's own credentials got it, so the repository is asked each time.
 */
export type Grade = 'everybody' | 'cell' | 'asked';

const STRICTNESS: readonly Grade[] = ['everybody', 'cell', 'asked'];

/** Of content that came in parts, or in several documents. */
export function strictest(grades: Iterable<Grade>): Grade {
  return [...grades].reduce((worst, one) => (rank(one) > rank(worst) ? one : worst), 'everybody');
}

function rank(grade: Grade): number {
  return STRICTNESS.indexOf(grade);
}
