/** Whether the reference in a signature is the one that a requirement demands (containers-policy.json(5), signedIdentity). */
import { printable } from '../../base/text.ts';
import { type DockerName, formatDockerName, isRepository, parseDockerName } from './docker-name.ts';
import type { SignedIdentity } from './requirement.ts';
import type { Refusal, Signable } from './verdict.ts';

/** Undefined when the reference holds. @param signed the text in the signature, which a stranger may have written */
export function judgeReference(
  identity: SignedIdentity,
  { name }: Pick<Signable, 'name'>,
  signed: string,
): Refusal | undefined {
  const found = parseDockerName(signed);
  if (found === undefined) return refusal(`it names '${printable(signed)}', which is no reference`);
  const wanted = wantedBy(identity, name);
  if (typeof wanted === 'string') return refusal(wanted);
  return wanted.holds(found) ? undefined : refusal(`it names '${printable(signed)}', not ${wanted.shown}`);
}

interface Wanted {
  readonly shown: string;
  readonly holds: (found: DockerName) => boolean;
}

/** A text says why no reference can hold. */
function wantedBy(identity: SignedIdentity, name: DockerName | undefined): Wanted | string {
  switch (identity.type) {
    case 'exactReference':
      return exactly(identity.reference);
    case 'exactRepository':
      return anyOf(identity.repository);
  }
  if (name === undefined) return 'the image has no name in a registry with which it could be compared';
  switch (identity.type) {
    case 'matchExact':
      return exactly(name);
    case 'matchRepository':
      return anyOf(name.repository);
    case 'matchRepoDigestOrExact':
      return repositoryOrExactly(name);
    case 'remapIdentity': {
      const repository = remapped(name.repository, identity.prefix, identity.signedPrefix);
      if (!isRepository(repository)) return `remapIdentity makes '${printable(repository)}' of its name`;
      return repositoryOrExactly({ ...name, repository });
    }
  }
}

function repositoryOrExactly(name: DockerName): Wanted {
  if (name.tag !== undefined || name.digest === undefined) return exactly(name);
  const wanted = anyOf(name.repository);
  // The digest of the image is held against the signature elsewhere; a name alone says nothing about an image.
  return { ...wanted, holds: (found) => !isNameOnly(found) && wanted.holds(found) };
}

/** With a tag and a digest the tag has to be the signature's: its digest is compared anyway. */
function exactly(name: DockerName): Wanted {
  const { repository, tag, digest } = name;
  const holds = (found: DockerName) =>
    found.repository === repository &&
    !isNameOnly(found) &&
    found.tag === tag &&
    (found.digest === digest || (tag !== undefined && found.digest === undefined));
  return { shown: formatDockerName(name), holds };
}

function anyOf(repository: string): Wanted {
  return { shown: `a reference of ${repository}`, holds: (found) => found.repository === repository };
}

function isNameOnly({ tag, digest }: DockerName): boolean {
  return tag === undefined && digest === undefined;
}

/** The prefix ends at a slash or at the end of the name, so that `host/ap` is no prefix of `host/app`. */
function remapped(repository: string, prefix: string, signedPrefix: string): string {
  const fits = repository === prefix || repository.startsWith(`${prefix}/`);
  return fits ? `${signedPrefix}${repository.slice(prefix.length)}` : repository;
}

function refusal(detail: string): Refusal {
  return { code: 'other-identity', detail };
}
