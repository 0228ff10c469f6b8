import { readdirSync, readFileSync } from 'node:fs';
import { PluginError } from '../base/errors/error.ts';
import type { Logger } from '../base/log.ts';
import { hasCode } from '../sys/errno.ts';
import { defaultHost, type RegistryPolicy } from './policy.ts';

/** The `tls` option of one connection. */
export interface TlsOptions {
  /** Always said: the runtime would else obey NODE_TLS_REJECT_UNAUTHORIZED. */
  readonly rejectUnauthorized: boolean;
  readonly minVersion: number;
  readonly ca?: string[];
  readonly cert?: string;
  readonly key?: string;
  readonly serverName?: string;
}

/** TLS 1.2, the least that Go's clients speak and so what registries are used to. */
const TLS_1_2 = 0x0303;

/** Where distributions keep the system's authorities in one file (Go, crypto/x509/root_linux.go). */
const ROOT_FILES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/tls/cacert.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
];
const ROOT_DIRECTORIES = ['/etc/ssl/certs', '/etc/pki/tls/certs'];

interface HostCertificates {
  readonly ca: readonly string[];
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/** Whom we believe, host by host. Files are read once, when the first connection needs them. */
export class Trust {
  readonly #policy: RegistryPolicy;
  readonly #log: Logger;
  readonly #options = new Map<string, Promise<TlsOptions>>();
  #roots: readonly string[] | undefined;

  constructor(policy: RegistryPolicy, log: Logger) {
    this.#policy = policy;
    this.#log = log;
  }

  /**
   * The options for `host[:port]`, the same object each time, so that connections are shared.
   * @throws CONFIG_INVALID when a configured certificate cannot be used.
   */
  optionsFor(host: string, insecure: boolean): Promise<TlsOptions> {
    const key = `${insecure} ${host}`;
    const known = this.#options.get(key);
    if (known) return known;
    const made = this.#make(host, insecure);
    this.#options.set(key, made);
    return made;
  }

  async #make(host: string, insecure: boolean): Promise<TlsOptions> {
    const own = await this.#certificatesOf(host);
    const ca = insecure ? [] : [...this.#systemRoots(), ...own.ca];
    return {
      rejectUnauthorized: !insecure,
      minVersion: TLS_1_2,
      // Without any, the runtime's own list of authorities stands.
      ...(ca.length > 0 && { ca }),
      ...(own.cert !== undefined && own.key !== undefined && { cert: own.cert, key: own.key }),
    };
  }

  /** Settings add to what the first fitting certs.d directory has, as both are the operator's. */
  async #certificatesOf(host: string): Promise<HostCertificates> {
    const directory = this.#fromCertsDirs(host);
    const settings = namesOf(host)
      .map((name) => this.#policy.hosts[name])
      .find((found) => found !== undefined);
    const { ca, client } = settings ?? defaultHost;
    const files = [...(directory?.ca ?? []), ...ca];
    const certificate = client?.certificate ?? directory?.cert;
    const key = client?.key ?? directory?.key;
    return {
      ca: await Promise.all(files.map(readCertificates)),
      cert: certificate === undefined ? undefined : await readCertificates(certificate),
      key: key === undefined ? undefined : readText(key),
    };
  }

  /** certs.d(5) of containers and Docker: `*.crt` are authorities, `*.cert` with `*.key` a client's pair. */
  #fromCertsDirs(host: string): HostCertificates | undefined {
    for (const base of this.#policy.certsDirs) {
      for (const name of namesOf(host)) {
        const directory = `${base}/${name}`;
        const names = list(directory);
        if (names === undefined) continue;
        this.#log.debug('certificates-found', { host, directory, files: names.length });
        return pair(directory, names);
      }
    }
    return undefined;
  }

  #systemRoots(): readonly string[] {
    this.#roots ??= systemRoots(this.#policy.roots);
    if (this.#roots.length === 0) this.#log.info('no-system-roots', { used: 'the list of the runtime' });
    return this.#roots;
  }
}

/** A host's names in configuration: the default port may be said or left out; Docker Hub has two. */
function namesOf(host: string): string[] {
  const bare = host.replace(/:443$/, '');
  const both = /:\d+$/.test(bare) ? [bare] : [bare, `${bare}:443`];
  return bare === 'registry-1.docker.io' ? ['docker.io', ...both] : both;
}

function pair(directory: string, names: readonly string[]): HostCertificates {
  const ending = (end: string) =>
    names.filter((name) => name.endsWith(end)).map((name) => `${directory}/${name}`);
  const cert = ending('.cert')[0];
  const key = cert?.replace(/\.cert$/, '.key');
  if (cert !== undefined && !names.includes(key?.slice(directory.length + 1) ?? '')) {
    throw new PluginError('CONFIG_INVALID', {
      path: cert,
      reason: 'there is no .key of the same name beside it',
    });
  }
  return { ca: ending('.crt'), cert, key };
}

function list(directory: string): string[] | undefined {
  try {
    return readdirSync(directory).sort();
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw new PluginError('CONFIG_INVALID', { path: directory, reason: reasonOf(error) });
  }
}

function systemRoots(roots: RegistryPolicy['roots']): string[] {
  const found: string[] = [];
  for (const file of roots.file === undefined ? ROOT_FILES : [roots.file]) {
    const text = tryRead(file);
    if (text === undefined) continue;
    found.push(text);
    break;
  }
  // The default directories only repeat the file.
  if (found.length > 0 && roots.directories === undefined) return found;
  for (const directory of roots.directories?.split(':') ?? ROOT_DIRECTORIES) {
    for (const name of list(directory) ?? []) {
      const text = tryRead(`${directory}/${name}`);
      if (text?.includes('-----BEGIN CERTIFICATE-----')) found.push(text);
    }
  }
  return found;
}

function tryRead(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** The runtime's complaint about a bad PEM does not name the file, so each is looked at here first. */
async function readCertificates(path: string): Promise<string> {
  const text = readText(path);
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  const { X509Certificate } = await import('node:crypto');
  try {
    for (const block of blocks ?? []) new X509Certificate(block);
  } catch {
    throw new PluginError('CONFIG_INVALID', { path, reason: 'it has a certificate that cannot be read' });
  }
  if (!blocks) throw new PluginError('CONFIG_INVALID', { path, reason: 'it has no certificate in PEM form' });
  return text;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new PluginError('CONFIG_INVALID', { path, reason: reasonOf(error) }, { cause: error });
  }
}

function reasonOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? `reading it fails with ${code}` : 'reading it fails';
}
