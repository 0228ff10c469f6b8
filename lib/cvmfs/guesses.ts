/**
 * Open questions about a layer on CVMFS after its walk, and the answers of the repository's policy.
 * A directory that publishing made up has one of two reasons. The tar may have no entry for it: then the directory
 * looks as in the layers below, and belongs to the container's root where no lower layer has it. Or its entry came late
 * in the tar and was ignored: then only the tar has its attributes, and a guess could open a closed directory or give
 * it to another user.
 * Nearly all layers have no entry for their own root, so a made-up root has a policy of its own: a wrong guess there is
 * wrong for `/` of the container.
 */
import type { ByteName } from '../base/bytes.ts';
import { bytesOf } from '../base/bytes.ts';
import { printable } from '../base/text.ts';
import type { Owners } from './found-layer.ts';
import type { LayerWalk } from './probe-protocol.ts';
import type { Loss, LossPolicy, Repository } from './settings.ts';

export interface Guesses {
  /** Directories below the root whose attributes publishing may have lost. */
  readonly directories: readonly ByteName[];
  /** True when publishing may have lost the attributes of the root. */
  readonly root: boolean;
  readonly owners: Owners;
}

/** @param owners the finding from the layer's top directory */
export function guessesOf(walk: LayerWalk, owners: Owners): Guesses {
  const implied = walk.directories.flatMap(({ path, implied: made }) => (made ? [path] : []));
  const directories = walk.vouched ? walk.late.filter((path) => path !== '') : implied;
  const root = walk.vouched ? walk.late.some((path) => path === '') : !walk.explicitRoot;
  const isProven = owners === 'unproven' && (walk.ownersKept || walk.owners.length > 1);
  return { directories, root, owners: isProven ? 'kept' : owners };
}

/**
 * The open questions as sentences, each with the policy that decides on it. Owners come first, since their loss is the
 * worst.
 */
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

/** The open questions to which the repository's policy gives this answer. */
export function answeredBy(repository: Repository, policy: LossPolicy, guesses: Guesses): string[] {
  return openQuestions(guesses).flatMap(({ loss, text }) =>
    repository.lostMetadata[loss] === policy ? [text] : [],
  );
}
