import type { Environment } from './types.ts';

/**
 * Variables that the runtime or a child obeys without graft's knowledge: proxies (`fetch` obeys them), certificate checks,
 * the runtime's own switches. graft reads those that it uses here, and deletes all of them for the rest of the process.
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

/** The variables that a child gets: the path of programs, directories, and the language of messages. */
const FOR_CHILDREN = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'LC_ALL'] as const;
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Reads the environment once and deletes the variables of ACTING from it. @param env `process.env` */
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
