import { type Digest, parseDigest } from '../base/digest.ts';
import { isPluginError } from '../base/errors/error.ts';
import { Secret } from '../base/secret.ts';
import type { Refuse } from './reference-path.ts';
import { userinfoIn } from './userinfo.ts';

/** The grammar of github.com/distribution/reference, with an expression for each part, so that a refusal names the part. */
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const HOST = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;
const IPV6 = /^\[[0-9a-f:.]{2,45}\]$/;
/** distribution/reference: RepositoryNameTotalLengthMax. */
const MAX_REPOSITORY_LENGTH = 255;
/** The limit of a name in the DNS. */
const MAX_HOST_LENGTH = 253;

const DOCKER_HUB = 'docker.io';
/** Other names of Docker Hub: the name in old configurations, and the host that answers requests. */
const DOCKER_HUB_NAMES: ReadonlySet<string> = new Set([
  DOCKER_HUB,
  'index.docker.io',
  'registry-1.docker.io',
]);

export interface RegistryParts {
  readonly registry: string;
  readonly repository: string;
  readonly tag: string | undefined;
  readonly digest: Digest | undefined;
  readonly userinfo: { readonly username: string; readonly password: Secret } | undefined;
}

/**
 * Parses `//[user[:password]@][host[:port]]/name[:tag][@digest]`. Unlike in a `docker pull` argument, the host part is
 * a host also without a dot, so that Docker Hub never sees a name of an inner network.
 * A refusal names the wrong part and does not quote it: a password with a slash in it can end up in any part.
 */
export function parseRegistryParts(rest: string, refuse: Refuse): RegistryParts {
  const { authority, path } = split(rest, refuse);
  const at = authority.lastIndexOf('@');
  const registry = parseHost(authority.slice(at + 1), refuse);
  const userinfo = at < 0 ? undefined : parseUserinfo(authority.slice(0, at), refuse);
  const { name, tag, digest } = splitName(path, refuse);
  const official = registry === DOCKER_HUB && !name.includes('/');
  const repository = parseRepository(official ? `library/${name}` : name, refuse);
  return {
    registry,
    repository,
    tag: tag ?? (digest === undefined ? 'latest' : undefined),
    digest,
    userinfo,
  };
}

function split(rest: string, refuse: Refuse): { authority: string; path: string } {
  if (rest.includes('?')) throw refuse('a query (?) has no meaning here');
  if (/[\s\x00-\x1f\x7f]/.test(rest)) throw refuse('it holds a space or a control character');
  if (!rest.startsWith('/')) throw refuse('write docker:///name for Docker Hub or docker://host/name');
  if (!rest.startsWith('//')) return { authority: '', path: rest.slice(1) };
  const slash = rest.indexOf('/', 2);
  if (slash < 0)
    throw refuse('it names a host and no repository; for Docker Hub write three slashes, docker:///name');
  return { authority: rest.slice(2, slash), path: rest.slice(slash + 1) };
}

function parseHost(text: string, refuse: Refuse): string {
  if (text === '') return DOCKER_HUB;
  const match = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(text.toLowerCase());
  const host = match?.[1] ?? '';
  const port = match?.[2];
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65535))
    throw refuse('the port is not a number from 1 to 65535');
  if (host.startsWith('[')) {
    if (!IPV6.test(host) || !URL.canParse(`http://${host}/`)) throw refuse('the host is not an IPv6 address');
  } else if (host.length > MAX_HOST_LENGTH || !HOST.test(host)) {
    throw refuse('the host is not a name or address');
  }
  if (port === undefined && DOCKER_HUB_NAMES.has(host)) return DOCKER_HUB;
  return port === undefined ? host : `${host}:${Number(port)}`;
}

function parseUserinfo(text: string, refuse: Refuse): { username: string; password: Secret } {
  const colon = text.indexOf(':');
  try {
    return {
      username: decodeURIComponent(colon < 0 ? text : text.slice(0, colon)),
      password: new Secret(decodeURIComponent(colon < 0 ? '' : text.slice(colon + 1))),
    };
  } catch {
    throw refuse('the percent-encoding of the credentials is broken');
  }
}

interface NameParts {
  readonly name: string;
  readonly tag: string | undefined;
  readonly digest: Digest | undefined;
}

function splitName(path: string, refuse: Refuse): NameParts {
  const at = path.indexOf('@');
  const digest = at < 0 ? undefined : parseImageDigest(path.slice(at + 1), refuse);
  const tagged = at < 0 ? path : path.slice(0, at);
  const colon = tagged.indexOf(':');
  const name = colon < 0 ? tagged : tagged.slice(0, colon);
  const tag = colon < 0 ? undefined : tagged.slice(colon + 1);
  if (tag !== undefined && !TAG.test(tag)) throw refuse(badTag(tag));
  return { name, tag, digest };
}

function badTag(tag: string): string {
  if (/^sha(256|512):/.test(tag)) return 'an @, not a colon, comes before a digest: name@sha256:…';
  if (tag === '') return 'the tag is empty';
  return 'the tag is not up to 128 letters, digits, _ . and -, with no . or - in front';
}

function parseImageDigest(text: string, refuse: Refuse): Digest {
  try {
    return parseDigest(text);
  } catch (error) {
    if (isPluginError(error, 'BAD_DIGEST'))
      throw refuse('the digest is not sha256: and 64 lower-case hex digits');
    throw error;
  }
}

function parseRepository(name: string, refuse: Refuse): string {
  if (name === '' || name === 'library/') throw refuse('it names no repository');
  if (name.length > MAX_REPOSITORY_LENGTH)
    throw refuse(`the repository name is longer than ${MAX_REPOSITORY_LENGTH} characters`);
  for (const component of name.split('/')) {
    if (COMPONENT.test(component)) continue;
    if (component === '') throw refuse('the repository name has an empty part (a slash too many)');
    if (component.includes('%')) throw refuse('names in a registry are written without percent-encoding');
    if (/[A-Z]/.test(component)) throw refuse('repository names are lower case');
    throw refuse('a part of the repository name is not lower-case letters and digits joined by . _ __ or -');
  }
  return name;
}

/** The argument with `***` for its userinfo, also where the userinfo is in a wrong part. */
export function redactReference(argument: string): string {
  const found = userinfoIn(argument);
  return found === undefined ? argument : `${argument.slice(0, found.start)}***${argument.slice(found.end)}`;
}
