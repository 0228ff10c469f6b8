import { describe, expect, test } from 'bun:test';
import { takeEnvironment } from '../../../../cmd/settings/environment.ts';

describe('the environment', () => {
  test('is read, and what would act by itself is gone', () => {
    const env: Record<string, string | undefined> = {
      PATH: '/p',
      HOME: '/h',
      TERM: 'xterm',
      NO_COLOR: '1',
      HTTP_PROXY: 'http://u:p@a:1',
      https_proxy: 'http://b:2',
      NO_PROXY: 'c',
      ALL_PROXY: 'd',
      SSL_CERT_FILE: '/f',
      SSL_CERT_DIR: '/d',
      NODE_TLS_REJECT_UNAUTHORIZED: '0',
      NODE_EXTRA_CA_CERTS: '/x',
      BUN_OPTIONS: '--smol',
      KEPT: 'yes',
    };
    expect(takeEnvironment(env)).toEqual({
      path: '/p',
      home: '/h',
      proxy: { http: 'http://u:p@a:1', https: 'http://b:2', all: 'd', no: 'c' },
      sslCertFile: '/f',
      sslCertDir: '/d',
      term: 'xterm',
      noColor: true,
      forChildren: { PATH: '/p', HOME: '/h' },
    });
    expect(Object.keys(env).sort()).toEqual(['HOME', 'KEPT', 'NO_COLOR', 'PATH', 'TERM']);
  });

  test('may be empty', () => {
    const { path, home, proxy, forChildren } = takeEnvironment({});
    expect(path).toBe('/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin');
    expect(home).toBeUndefined();
    expect(proxy).toEqual({ http: undefined, https: undefined, all: undefined, no: undefined });
    expect(forChildren).toEqual({ PATH: path });
  });

  test('empty variables are none', () => {
    expect(takeEnvironment({ HTTPS_PROXY: '', https_proxy: 'http://b:2', HOME: '' })).toMatchObject({
      home: undefined,
      proxy: { https: 'http://b:2' },
    });
  });
});
