/** Where signatures lie: the files of containers-registries.d(5). */
import { printable } from '../../base/text.ts';
import { checkName } from './scopes.ts';
import { membersOf, PolicyProblem, textOf } from './strict.ts';

/** A namespace of a file. */
interface Namespace {
  readonly lookaside: URL | undefined;
  readonly attachments: boolean | undefined;
}

/** All files together, by scope; `default` stands for `default-docker`. */
export interface RegistriesD {
  readonly docker: ReadonlyMap<string, Namespace>;
  readonly default: Namespace | undefined;
}

/** Where skopeo and podman look, as root, if no file names another place. */
const DEFAULT_LOOKASIDE = new URL('file:///var/lib/containers/sigstore');

/** @param documents the parsed files. @throws PolicyProblem, whose message names the file */
export function readRegistriesD(documents: readonly { path: string; value: unknown }[]): RegistriesD {
  const docker = new Map<string, Namespace>();
  let standard: Namespace | undefined;
  for (const { path, value } of documents) {
    if (value === null || value === undefined) continue;
    const fields = membersOf(value, path, ['default-docker', 'docker']);
    if (isThere(fields['default-docker'])) {
      if (standard !== undefined) throw new PolicyProblem(`${path}: default-docker is in another file too`);
      standard = namespace(fields['default-docker'], `${path}: default-docker`);
    }
    if (!isThere(fields['docker'])) continue;
    for (const [scope, content] of Object.entries(membersOf(fields['docker'], `${path}: docker`))) {
      const where = `${path}: docker '${printable(scope)}'`;
      checkName(scope, (reason) => new PolicyProblem(`${where}: ${reason}`));
      if (docker.has(scope)) throw new PolicyProblem(`${where} is in another file too`);
      docker.set(scope, namespace(content, where));
    }
  }
  return { docker, default: standard };
}

/** YAML's empty value: a section whose lines are all comments. */
function isThere(value: unknown): boolean {
  return value !== null && value !== undefined;
}

function namespace(value: unknown, where: string): Namespace {
  if (!isThere(value)) return { lookaside: undefined, attachments: undefined };
  const stores = ['lookaside', 'lookaside-staging', 'sigstore', 'sigstore-staging'];
  const fields = membersOf(value, where, [...stores, 'use-sigstore-attachments']);
  for (const name of stores) if (isThere(fields[name])) storeOf(fields[name], `${where}: ${name}`);
  const attachments = fields['use-sigstore-attachments'];
  if (isThere(attachments) && typeof attachments !== 'boolean')
    throw new PolicyProblem(`${where}: use-sigstore-attachments must be true or false`);
  const [name] = ['lookaside', 'sigstore'].filter((one) => isThere(fields[one]));
  return {
    lookaside: name === undefined ? undefined : storeOf(fields[name], `${where}: ${name}`),
    attachments: attachments as boolean | undefined,
  };
}

function storeOf(value: unknown, where: string): URL {
  const text = textOf(value, where);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['file:', 'http:', 'https:'].includes(url.protocol))
    throw new PolicyProblem(`${where} must be a URL with file:, http: or https:`);
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw new PolicyProblem(`${where} must be a URL without credentials, query and fragment`);
  if (url.protocol === 'file:' && url.host !== '')
    throw new PolicyProblem(`${where} must have three slashes after file:`);
  return url;
}

/** The store of an image's signatures. Each key is taken from the most specific namespace that has it. */
export function lookasideOf(found: RegistriesD, scopes: readonly string[]): URL {
  return first(found, scopes, ({ lookaside }) => lookaside) ?? DEFAULT_LOOKASIDE;
}

/** True where signatures are attached to images in their registry: `use-sigstore-attachments`. */
export function attachmentsOf(found: RegistriesD, scopes: readonly string[]): boolean {
  return first(found, scopes, ({ attachments }) => attachments) ?? false;
}

function first<T>(
  { docker, default: standard }: RegistriesD,
  scopes: readonly string[],
  value: (one: Namespace) => T | undefined,
): T | undefined {
  for (const scope of scopes) {
    const namespace = docker.get(scope);
    const found = namespace && value(namespace);
    if (found !== undefined) return found;
  }
  return standard && value(standard);
}
