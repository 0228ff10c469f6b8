/** The scopes under which policy.json and registries.d are looked up for an image. */
import { printable } from '../../base/text.ts';
import { type DockerName, isHost, isRepository } from './docker-name.ts';
import { PolicyProblem } from './strict.ts';

/** The transports of containers-transports(5), and graft's own for images by their path on CVMFS and for App Container Images. */
const TRANSPORTS: Readonly<Record<string, 'names' | 'paths' | 'none' | 'other'>> = {
  docker: 'names',
  atomic: 'names',
  'docker-daemon': 'other',
  'containers-storage': 'other',
  ostree: 'other',
  oci: 'paths',
  'oci-archive': 'paths',
  dir: 'paths',
  sif: 'paths',
  cvmfs: 'paths',
  aci: 'paths',
  'docker-archive': 'none',
  tarball: 'none',
};

/** @throws PolicyProblem for a transport that no program has, which would be a policy that never counts */
export function checkTransport(transport: string): void {
  if (!Object.hasOwn(TRANSPORTS, transport))
    throw new PolicyProblem(`transports has an unknown transport '${printable(transport)}'`);
}

/** @throws PolicyProblem for a scope that no image can have */
export function checkScope(transport: string, scope: string): void {
  if (scope === '') return;
  const kind = TRANSPORTS[transport];
  const wrong = (reason: string) =>
    new PolicyProblem(`transports.${transport} has the scope '${printable(scope)}': ${reason}`);
  if (kind === 'none') throw wrong('this transport has only the scope ""');
  if (kind === 'paths' && !isPath(scope)) throw wrong('it must be an absolute path without . and .., not /');
  if (kind === 'names') checkName(scope, wrong);
}

function isPath(scope: string): boolean {
  const [first, ...names] = scope.split('/');
  return first === '' && names.every((name) => name !== '' && name !== '.' && name !== '..');
}

/** @throws PolicyProblem */
export function checkName(scope: string, wrong: (reason: string) => PolicyProblem): void {
  const name = scope.replace(/(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}|@sha256:[0-9a-f]{64})$/, '');
  const host = scope.split('/', 1)[0] ?? '';
  if (host !== host.toLowerCase()) throw wrong('hosts are written in small letters');
  if (host === 'index.docker.io' || host === 'registry-1.docker.io') throw wrong('its name is docker.io');
  if (scope.startsWith('*.') && isHost(scope.slice(2)) && !scope.includes(':')) return;
  if (isHost(scope) || isRepository(scope) || (name.includes('/') && isRepository(name))) return;
  throw wrong('it is neither *.domain nor host[:port][/path][:tag or @digest]');
}

/**
 * The scopes of an image in a registry, the most specific first. Of a reference with tag and digest only the digest
 * says which image is meant, so a scope with the tag does not count for it.
 */
export function scopesOfName({ repository, tag, digest }: DockerName): string[] {
  const exact = digest === undefined ? `${repository}:${tag ?? 'latest'}` : `${repository}@${digest}`;
  const [host = ''] = repository.split('/', 1);
  const labels = host.replace(/:\d+$/, '').split('.').slice(1);
  return [exact, ...parents(repository), ...labels.map((_, at) => `*.${labels.slice(at).join('.')}`)];
}

/** The scopes of a path: itself and the directories above it, without `/`. */
export function scopesOfPath(path: string): string[] {
  return parents(path).filter((scope) => scope !== '');
}

function parents(name: string): string[] {
  const found = [name];
  for (let end = name.lastIndexOf('/'); end >= 0; end = name.lastIndexOf('/', end - 1)) {
    found.push(name.slice(0, end));
    if (end === 0) break;
  }
  return found;
}
