/** Names of images in registries as signatures and policies have them: fully expanded, without a scheme. */
import type { Digest } from '../../base/digest.ts';

export interface DockerName {
  /** `host[:port]/path`; `docker.io/library/` is written out. */
  readonly repository: string;
  readonly tag: string | undefined;
  readonly digest: Digest | undefined;
}

/** The grammar of github.com/distribution/reference. */
const LABEL = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?';
const HOST = `(?:${LABEL}(?:\\.${LABEL})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`;
const PART = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const PATH = `${PART}(?:/${PART})*`;
const DOMAIN = new RegExp(`^${HOST}$`);
const NAME = new RegExp(`^${HOST}/${PATH}$`);
const REST = /^(.*?)(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$/;
/** A name of this form could be the id of an image. */
const HEX_ID = /^[a-f0-9]{64}$/;
const MAX_NAME = 255;
/** The longest reference: name, tag and digest. */
const MAX_REFERENCE = 512;

/** The reference with Docker Hub's short forms written out; undefined for what is no reference. */
export function parseDockerName(text: string): DockerName | undefined {
  if (text.length > MAX_REFERENCE || HEX_ID.test(text)) return undefined;
  const slash = text.indexOf('/');
  const first = slash < 0 ? '' : text.slice(0, slash);
  const isHost = /[.:A-Z]/.test(first) || first === 'localhost';
  const host = isHost && first !== 'index.docker.io' ? first : 'docker.io';
  const rest = isHost ? text.slice(slash + 1) : text;
  const match = REST.exec(rest);
  const path = match?.[1] ?? '';
  const expanded = host === 'docker.io' && !path.includes('/') ? `library/${path}` : path;
  const repository = `${host}/${expanded}`;
  if (!isRepository(repository) || path.length > MAX_NAME) return undefined;
  return { repository, tag: match?.[2], digest: match?.[3] as Digest | undefined };
}

export function formatDockerName({ repository, tag, digest }: DockerName): string {
  return `${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

/** True for a fully expanded `host[:port]/path`. */
export function isRepository(text: string): boolean {
  return NAME.test(text);
}

/** True for `host[:port]`. */
export function isHost(text: string): boolean {
  return DOMAIN.test(text);
}
