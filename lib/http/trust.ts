import { existsSync, readFileSync } from 'node:fs';
import { PluginError } from '../base/errors/error.ts';
import type { Logger } from '../base/log.ts';
import { hasCode } from '../sys/kernel/errno.ts';
import { type DirectoryCertificates, loadCertificates } from './certificates-directory.ts';
import { findCertsDir, readingFails } from './certs-dir.ts';
import { checkNames, type PeerCertificate } from './peer-names.ts';
import { authoritiesIn, type ClientPair, clientPair, readableBlocks } from './pem.ts';
import type { HostTls, HttpPolicy } from './policy.ts';
import { systemRoots } from './roots.ts';

/** The `tls` option of one connection. */
export interface TlsOptions {
  /** Always set, since the runtime would otherwise obey NODE_TLS_REJECT_UNAUTHORIZED. */
  readonly rejectUnauthorized: boolean;
  readonly minVersion: number;
  /** Every certificate in `ca` is an anchor, self-signed or not, as in Go. */
  readonly allowPartialTrustChain: true;
  readonly ca?: string[];
  readonly cert?: string;
  readonly key?: string;
  readonly serverName?: string;
  readonly checkServerIdentity?: (host: string, certificate: PeerCertificate) => Error | undefined;
}

/** TLS 1.2, the lowest version that Go's clients speak, and so that registries expect. */
const TLS_1_2 = 0x0303;

/** The TLS options of each host. Files are read once, when the first connection needs them. */
export class Trust {
  readonly #policy: HttpPolicy;
  readonly #log: Logger;
  readonly #material = new Map<string, Promise<DirectoryCertificates>>();
  /** Hosts whose certificate passed `checkNames`. */
  readonly #named = new Set<string>();
  #roots: readonly string[] | undefined;
  #ofLayerServers: Promise<DirectoryCertificates> | undefined;

  constructor(policy: HttpPolicy, log: Logger) {
    this.#policy = policy;
    this.#log = log;
  }

  /**
   * The options for `host[:port]`.
   * @param shows whether the client certificate that the settings have for the host is shown to it
   * @throws CONFIG_INVALID and IMAGE_CERTIFICATES when a configured certificate cannot be used.
   */
  async optionsFor(host: string, insecure: boolean, shows = true): Promise<TlsOptions> {
    const material = this.#material.get(host) ?? this.#materialOf(host);
    this.#material.set(host, material);
    const own = await material;
    const ca = insecure ? [] : [...this.#systemRoots(), ...own.ca];
    return {
      rejectUnauthorized: !insecure,
      minVersion: TLS_1_2,
      allowPartialTrustChain: true,
      // Without `ca`, the runtime uses its own list of authorities.
      ...(ca.length > 0 && { ca }),
      ...(shows && own.client),
    };
  }

  /**
   * The check of names for the first connection to a host. The runtime keeps no connection open that was checked in this
   * way, so later connections go without it. Hosts where only public authorities count need none: those authorities issue
   * no certificate without alternative names. @param inside the host lies in a private network
   */
  async namesCheck(host: string, inside: boolean): Promise<Pick<TlsOptions, 'checkServerIdentity'>> {
    if (this.#named.has(host)) return {};
    const { roots, layerServers } = this.#policy;
    const own = (await this.#material.get(host))?.ca.length ?? 0;
    const isUsual = !inside && own === 0 && layerServers === undefined;
    if (isUsual && roots.file === undefined && roots.directories === undefined) return {};
    return {
      checkServerIdentity: (name, certificate) => {
        const fault = checkNames(name, certificate);
        if (fault === undefined) this.#named.add(host);
        return fault;
      },
    };
  }

  /**
   * Removes the system's authorities that OpenSSL cannot read, after the runtime could not open a connection. They are not
   * checked earlier, since there are a hundred and more. @returns true when some were removed
   */
  async dropBrokenRoots(): Promise<boolean> {
    const all = this.#systemRoots();
    this.#roots = await readableBlocks(all);
    const broken = all.length - this.#roots.length;
    if (broken > 0) this.#log.info('system-roots-broken', { broken, used: this.#roots.length });
    return broken > 0;
  }

  /** Reads the settings of the host and its certs.d directory. The operator owns both, so both count. */
  async #materialOf(host: string): Promise<DirectoryCertificates> {
    const shared = this.#policy.layerServers?.certificates;
    if (shared !== undefined && shared !== '') {
      this.#ofLayerServers ??= loadCertificates(shared, this.#log);
      return this.#ofLayerServers;
    }
    const names = namesOf(host);
    const directory = findCertsDir(this.#policy.certsDirs, names);
    if (directory) {
      const { pairs } = directory;
      const facts = { directory: directory.directory, authorities: directory.ca.length, pairs: pairs.length };
      this.#log.debug('certificates-found', { host, ...facts });
      // OpenSSL takes a single pair, and only the handshake shows which of several a server accepts.
      if (pairs.length > 1) this.#log.info('client-certificates', { host, used: pairs[0]?.certificate });
    }
    const settings = names.map((name) => this.#policy.hosts[name]).find((found) => found !== undefined);
    const { ca, client }: HostTls = settings ?? { ca: [], client: undefined };
    const found = await Promise.all([
      ...(directory?.ca ?? []).map((path) => this.#authorities(path, 'found')),
      ...ca.map((path) => this.#authorities(path, 'named')),
    ]);
    const pair = client ?? directory?.pairs[0];
    return { ca: found.flat(), client: pair && (await readPair(pair)) };
  }

  /** @param how a symlink in a directory may dangle, as in Go's clients; a file that the settings name must exist */
  async #authorities(path: string, how: 'found' | 'named'): Promise<readonly string[]> {
    const text = readText(path, how === 'found');
    if (text === undefined) {
      this.#log.info('authority-missing', { path });
      return [];
    }
    const found = await authoritiesIn(text);
    if (typeof found === 'string') throw new PluginError('CONFIG_INVALID', { path, reason: found });
    const { blocks, broken } = found;
    if (broken > 0) this.#log.info('authorities-broken', { path, broken, used: blocks.length });
    return blocks;
  }

  #systemRoots(): readonly string[] {
    this.#roots ??= this.#readRoots();
    if (this.#roots.length === 0) this.#log.info('no-system-roots', { used: 'the list of the runtime' });
    return this.#roots;
  }

  /** As in Go, a file of SSL_CERT_FILE that is not there is no error, and no other file takes its place. */
  #readRoots(): readonly string[] {
    const { roots } = this.#policy;
    const found = systemRoots(roots);
    if (roots.file !== undefined && !existsSync(roots.file))
      this.#log.error('roots-file-missing', new Error('SSL_CERT_FILE names a file that is not there'), {
        path: roots.file,
      });
    return found;
  }
}

/** The names of a host in settings: with or without the default port; Docker Hub has two names. */
function namesOf(host: string): string[] {
  const bare = host.replace(/:443$/, '');
  const both = /:\d+$/.test(bare) ? [bare] : [bare, `${bare}:443`];
  return bare === 'registry-1.docker.io' ? ['docker.io', ...both] : both;
}

/** @throws CONFIG_INVALID with the file that has the fault */
async function readPair(paths: { readonly certificate: string; readonly key: string }): Promise<ClientPair> {
  const [certificate = '', key = ''] = [readText(paths.certificate, false), readText(paths.key, false)];
  const pair = await clientPair(certificate, key, paths.certificate);
  if ('reason' in pair)
    throw new PluginError('CONFIG_INVALID', { path: paths[pair.of], reason: pair.reason });
  return pair;
}

function readText(path: string, mayDangle: boolean): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (mayDangle && hasCode(error, 'ENOENT')) return undefined;
    throw new PluginError('CONFIG_INVALID', { path, reason: readingFails(error) }, { cause: error });
  }
}
