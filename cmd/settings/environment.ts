import type { Environment } from './types.ts';

/**
 * Variables by which the runtime, or a program it starts, would decide something behind our back: proxies
 * (`fetch` obeys them), certificate checks, the runtime's own switches. They are read here where they mean
 * something to graft, and gone for everything that runs later in this process.
 */
const ACTING = [
  'HTTP_PROXY',
  'http_proxy',
  'HTTPS_PROXY',
  'https_proxy',
  'ALL_PROXY',
  'all_proxy',
  'NO_PROXY',
  'no_proxy',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'NODE_EXTRA_CA_CERTS',
  'NODE_TLS_REJECT_UNAUTHORIZED',
  'NODE_OPTIONS',
  'BUN_OPTIONS',
  'BUN_BE_BUN',
  'BUN_CONFIG_VERBOSE_FETCH',
  'BUN_CONFIG_HTTP_IDLE_TIMEOUT',
  'BUN_CONFIG_HTTP_RETRY_COUNT',
] as const;

/** What a child may see: where programs are, and in which language to complain. */
const FOR_CHILDREN = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'LC_ALL'] as const;
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Reads the environment once and deletes from it what must not act. @param env `process.env` */
export function takeEnvironment(env: Record<string, string | undefined>): Environment {
  const acting: Partial<Record<string, string>> = {};
  for (const name of ACTING) {
    const value = env[name];
    if (value === undefined) continue;
    if (value !== '') acting[name] = value;
    delete env[name];
  }
  const either = (name: string) => acting[name] ?? acting[name.toLowerCase()];
  const forChildren: Record<string, string> = { PATH: DEFAULT_PATH };
  for (const name of FOR_CHILDREN) if (env[name]) forChildren[name] = env[name];
  return {
    path: forChildren['PATH'] ?? DEFAULT_PATH,
    home: forChildren['HOME'],
    proxy: {
      http: either('HTTP_PROXY'),
      https: either('HTTPS_PROXY'),
      all: either('ALL_PROXY'),
      no: either('NO_PROXY'),
    },
    sslCertFile: acting['SSL_CERT_FILE'],
    sslCertDir: acting['SSL_CERT_DIR'],
    term: env['TERM'] || undefined,
    noColor: Boolean(env['NO_COLOR']),
    forChildren,
  };
}
