/** Debian's docker-registry on loopback, as an operator sets it up: TLS, client certificates, htpasswd, tokens. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { type RunningServer, startServer } from '../programs/server.ts';
import { must } from '../shell.ts';
import { freePort } from '../temp.ts';

export interface RegistryOptions {
  /** PEM files. */
  readonly tls?: { readonly certificate: string; readonly key: string; readonly clientCa?: string };
  readonly htpasswd?: { readonly username: string; readonly password: string };
  readonly token?: {
    readonly realm: string;
    readonly service: string;
    readonly issuer: string;
    readonly certificate: string;
  };
  /** Where it sends notifications, and the Authorization header of them. */
  readonly notifies?: { readonly url: string; readonly authorization: string };
  /** Says nothing about requests: a benchmark reads no log. */
  readonly quiet?: boolean;
  /** Pull-through cache of this registry. */
  readonly proxyOf?: string;
  /** Another address than 127.0.0.1, with a port, in a namespace that `enter` leads to. */
  readonly elsewhere?: { readonly address: string; readonly enter: readonly string[] };
}

export interface TestRegistry extends RunningServer {
  /** `127.0.0.1:port` */
  readonly host: string;
  readonly port: number;
}

/** @param dir where it keeps its configuration and blobs; made if it is not there. */
export async function startRegistry(dir: string, options: RegistryOptions = {}): Promise<TestRegistry> {
  mkdirSync(dir, { recursive: true });
  const { elsewhere } = options;
  const address = elsewhere?.address ?? `127.0.0.1:${await freePort()}`;
  const port = Number(address.split(':')[1]);
  if (options.htpasswd !== undefined) {
    const { username, password } = options.htpasswd;
    const hash = await Bun.password.hash(password, { algorithm: 'bcrypt', cost: 4 });
    writeFileSync(`${dir}/htpasswd`, `${username}:${hash}\n`);
  }
  // JSON is YAML too.
  writeFileSync(`${dir}/config.yml`, JSON.stringify(configuration(dir, address, options)));
  const command = [...(elsewhere?.enter ?? []), 'docker-registry', 'serve', `${dir}/config.yml`];
  const server = await startServer(
    command,
    elsewhere === undefined ? { cwd: dir, ports: [port] } : { cwd: dir, ports: [], says: /listening on/ },
  );
  return { ...server, host: address, port };
}

function configuration(dir: string, address: string, options: RegistryOptions): unknown {
  const { tls, htpasswd, token, proxyOf, notifies } = options;
  return {
    version: 0.1,
    log: { level: options.quiet ? 'error' : 'info', accesslog: { disabled: options.quiet === true } },
    storage: { filesystem: { rootdirectory: `${dir}/data` }, delete: { enabled: true } },
    http: {
      addr: address,
      secret: 'not a secret: one registry of a test',
      ...(tls && {
        tls: {
          certificate: tls.certificate,
          key: tls.key,
          ...(tls.clientCa !== undefined && { clientcas: [tls.clientCa] }),
        },
      }),
    },
    ...(notifies && {
      notifications: {
        endpoints: [
          {
            name: 'agent',
            url: notifies.url,
            headers: { Authorization: [notifies.authorization] },
            timeout: '5s',
            threshold: 5,
            backoff: '1s',
          },
        ],
      },
    }),
    ...(proxyOf !== undefined && { proxy: { remoteurl: proxyOf } }),
    ...(htpasswd && { auth: { htpasswd: { realm: 'test', path: `${dir}/htpasswd` } } }),
    ...(token && {
      auth: {
        token: {
          realm: token.realm,
          service: token.service,
          issuer: token.issuer,
          rootcertbundle: token.certificate,
        },
      },
    }),
  };
}

/** Copies an image with skopeo. `to` and `from` are its transports' names. */
export async function push(from: string, to: string, ...more: string[]): Promise<void> {
  await must('skopeo', [
    'copy',
    '--quiet',
    '--dest-tls-verify=false',
    '--src-tls-verify=false',
    ...more,
    from,
    to,
  ]);
}
