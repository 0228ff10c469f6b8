import { readFileSync } from 'node:fs';
import { PluginError } from '../../base/errors/error.ts';
import { MiB } from '../../base/limits.ts';
import { Secret } from '../../base/secret.ts';
import { asGoReads, map, structure, TEXT } from '../../oci/go-json.ts';
import { JsonRefused } from '../../oci/json.ts';
import type { Credential } from './credential.ts';

/** A configuration file holds a few entries. A larger file is something else. */
const MAX_BYTES = MiB;

/** The key that Docker writes for Docker Hub, and passes to helpers. */
export const DOCKER_HUB_KEY = 'https://index.docker.io/v1/';

interface Entry {
  /** `host[:port]`, lower case. */
  readonly host: string;
  /** The path of `host/namespace` (containers-auth.json(5)); empty for the whole host. */
  readonly path: string;
  readonly credential: Credential;
}

/** A docker `config.json`, or the `auth.json` of podman and skopeo, whose keys may also have a path. */
export class DockerConfig {
  readonly #entries: readonly Entry[];
  readonly #helpers: ReadonlyMap<string, string>;
  readonly #store: string | undefined;

  constructor(entries: readonly Entry[], helpers: ReadonlyMap<string, string>, store: string | undefined) {
    // The longest path comes first, so that the first match is the closest.
    this.#entries = entries.toSorted((a, b) => b.path.length - a.path.length);
    this.#helpers = helpers;
    this.#store = store;
  }

  find(host: string, repository: string): Credential | undefined {
    const fits = (path: string) => path === '' || repository === path || repository.startsWith(`${path}/`);
    return this.#entries.find((entry) => entry.host === host && fits(entry.path))?.credential;
  }

  /** All helpers that the file names, each once. */
  get helpers(): readonly string[] {
    const general = this.#store === undefined ? [] : [this.#store];
    return [...new Set([...this.#helpers.values(), ...general])];
  }

  /** The helper for a host without an entry in the file: the host's own, else the general store. */
  helperFor(host: string): string | undefined {
    return this.#helpers.get(host) ?? this.#store;
  }
}

/** @throws CONFIG_INVALID, whose reason never quotes the file */
export function readDockerConfig(path: string): DockerConfig {
  const bad = (reason: string) => new PluginError('CONFIG_INVALID', { path, reason });
  let text: string;
  try {
    const bytes = readFileSync(path);
    if (bytes.length > MAX_BYTES) throw bad(`it is larger than ${MAX_BYTES} bytes`);
    text = bytes.toString('utf8');
  } catch (error) {
    if (error instanceof PluginError) throw error;
    throw bad(`reading it fails with ${(error as { code?: string }).code ?? 'an error'}`);
  }
  let value: unknown;
  try {
    value = asGoReads(JSON.parse(text), SHAPE);
  } catch (error) {
    if (error instanceof JsonRefused) throw bad('two of its keys differ in capital and small letters only');
    // The message of JSON.parse quotes the text, which may be a password.
    throw bad('it is not JSON');
  }
  if (!isRecord(value)) throw bad('it is not a JSON object');
  return new DockerConfig(
    entriesOf(record(value, 'auths', bad), path, bad),
    helpersOf(record(value, 'credHelpers', bad), bad),
    optionalText(value['credsStore'], 'credsStore', bad),
  );
}

/** Docker, podman and skopeo read the file in Go: the case of a key does not count, and `null` means missing. */
const SHAPE = structure({
  auths: map(structure({ auth: TEXT, username: TEXT, password: TEXT, identitytoken: TEXT })),
  credHelpers: map(TEXT),
  credsStore: TEXT,
});

type Bad = (reason: string) => PluginError;

function entriesOf(auths: Record<string, unknown>, where: string, bad: Bad): Entry[] {
  return Object.entries(auths).flatMap(([key, value]) => {
    if (!isRecord(value)) throw bad('an entry of auths is not an object');
    const credential = credentialOf(value, where, bad);
    return credential === undefined ? [] : [{ ...hostAndPath(key), credential }];
  });
}

/** Docker's keys may be URLs (`https://host/v1/`); podman's may have a namespace after the host. */
function hostAndPath(key: string): { host: string; path: string } {
  const bare = key.replace(/^https?:\/\//i, '').replace(/\/+$/, '');
  const slash = bare.indexOf('/');
  const host = (slash < 0 ? bare : bare.slice(0, slash)).toLowerCase();
  const path = slash < 0 ? '' : bare.slice(slash + 1).replace(/^v[12]$/, '');
  return { host: isDockerHub(host) ? 'docker.io' : host, path };
}

function isDockerHub(host: string): boolean {
  return host === 'index.docker.io' || host === 'registry-1.docker.io' || host === 'docker.io';
}

/** The credential of an entry. Docker writes empty entries where a credential store has the secret. */
function credentialOf(entry: Record<string, unknown>, where: string, bad: Bad): Credential | undefined {
  const token = optionalText(entry['identitytoken'], 'identitytoken', bad);
  if (token) return { kind: 'identity-token', token: new Secret(token), where };
  const auth = optionalText(entry['auth'], 'auth', bad);
  if (auth) {
    const plain = Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '');
    const colon = plain.indexOf(':');
    if (colon < 0) throw bad('an auth is not the base64 form of user:password');
    return {
      kind: 'password',
      username: plain.slice(0, colon),
      password: new Secret(plain.slice(colon + 1)),
      where,
    };
  }
  const username = optionalText(entry['username'], 'username', bad);
  const password = optionalText(entry['password'], 'password', bad);
  if (!username && !password) return undefined;
  return { kind: 'password', username: username ?? '', password: new Secret(password ?? ''), where };
}

function helpersOf(helpers: Record<string, unknown>, bad: Bad): Map<string, string> {
  const entries = Object.entries(helpers).map(([key, value]): [string, string] => {
    const helper = optionalText(value, 'credHelpers', bad);
    if (!helper) throw bad('a credential helper has no name');
    return [hostAndPath(key).host, helper];
  });
  return new Map(entries);
}

function record(value: Record<string, unknown>, key: string, bad: Bad): Record<string, unknown> {
  const found = (Object.hasOwn(value, key) ? value[key] : undefined) ?? {};
  if (!isRecord(found)) throw bad(`${key} is not an object`);
  return found;
}

function optionalText(value: unknown, key: string, bad: Bad): string | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw bad(`${key} is not text`);
  return value;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
