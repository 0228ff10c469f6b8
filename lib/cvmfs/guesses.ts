/**
 * The questions that a search of a layer on CVMFS leaves open, and whether the policy of its repository takes the layer all the same.
 * A made-up directory may be one that the tar only implies: then it looks as in the layers below, and belongs to the
 * container's root where there is none. Or its own entry came late and was ignored: then what it looked like is in the tar
 * alone, and a guess could open a closed directory or give it to another user. Nearly all layers have no entry for their
 * own root, so a made-up root has a policy of its own: what a guess can get wrong there is `/` of the container.
 */
import type { ByteName } from '../base/bytes.ts';
import { bytesOf } from '../base/bytes.ts';
import { printable } from '../base/text.ts';
import type { LayerWalk } from './probe-protocol.ts';
import type { Owners } from './published-layer.ts';
import type { Loss, LossPolicy, Repository } from './settings.ts';

export interface Guesses {
  /** Directories below the root that may have lost their attributes. */
  readonly directories: readonly ByteName[];
  /** The root may have. */
  readonly root: boolean;
  readonly owners: Owners;
}

/** @param owners what a look at the layer's top directory told */
export function guessesOf(walk: LayerWalk, owners: Owners): Guesses {
  const implied = walk.directories.flatMap(({ path, implied: made }) => (made ? [path] : []));
  const directories = walk.vouched ? walk.late.filter((path) => path !== '') : implied;
  const root = walk.vouched ? walk.late.some((path) => path === '') : !walk.explicitRoot;
  const isProven = owners === 'unproven' && (walk.ownersKept || walk.owners.length > 1);
  return { directories, root, owners: isProven ? 'kept' : owners };
}

/** The open questions as sentences, by the policy that decides on each. Owners come first: they are the most that can be lost. */
function openQuestions({ directories, root, owners }: Guesses): { loss: Loss; text: string }[] {
  const all: { loss: Loss; text: string }[] = [];
  if (owners === 'lost') all.push({ loss: 'owners', text: 'its owners were lost in publishing' });
  if (owners === 'unproven') {
    const text = 'nothing proves that its owners are those of the image: all its files belong to one user';
    all.push({ loss: 'owners', text });
  }
  const [first] = directories;
  if (first !== undefined) {
    const more = directories.length === 1 ? '' : ` and ${directories.length - 1} more`;
    const text = `attributes of the directory "${printable(bytesOf(first))}"${more} may have been lost in publishing`;
    all.push({ loss: 'directories', text });
  }
  if (root) {
    all.push({
      loss: 'root',
      text: 'attributes of its root directory, if the image gives any, are not published',
    });
  }
  return all;
}

/** The open questions that the repository's policy answers in this way. */
export function answeredBy(repository: Repository, policy: LossPolicy, guesses: Guesses): string[] {
  return openQuestions(guesses).flatMap(({ loss, text }) =>
    repository.lostMetadata[loss] === policy ? [text] : [],
  );
}
