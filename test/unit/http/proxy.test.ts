import { describe, expect, test } from 'bun:test';
import { isPluginError } from '../../../lib/base/errors/error.ts';
import { Secret } from '../../../lib/base/secret.ts';
import { Proxies } from '../../../lib/http/proxy.ts';

const proxies = (no: string) =>
  new Proxies({ http: new Secret('http://plain:3128'), https: new Secret('http://tls:3129'), no });
const through = (url: string, no = '') => proxies(no).for(new URL(url))?.shown;

describe('NO_PROXY', () => {
  const table: readonly [no: string, url: string, direct: boolean][] = [
    ['', 'https://registry.example/', false],
    ['*', 'https://registry.example/', true],
    ['registry.example', 'https://registry.example/', true],
    ['REGISTRY.example', 'https://registry.EXAMPLE/', true],
    ['example', 'https://registry.example/', true],
    ['example.com', 'https://a.b.example.com/', true],
    ['example.com', 'https://notexample.com/', false],
    ['.example.com', 'https://a.example.com/', true],
    ['.example.com', 'https://example.com/', false],
    ['*.example.com', 'https://a.example.com/', true],
    ['*.example.com', 'https://example.com/', false],
    ['example.com:443', 'https://example.com/', true],
    ['example.com:443', 'https://example.com:5000/', false],
    ['example.com:5000', 'https://a.example.com:5000/', true],
    ['other.com, example.com ', 'https://example.com/', true],
    ['other.com example.com', 'https://example.com/', true],
    ['10.0.0.0/8', 'https://10.1.2.3/', true],
    ['10.0.0.0/8', 'https://11.1.2.3/', false],
    ['10.1.2.3', 'https://10.1.2.3/', true],
    ['10.1.2.3:5000', 'https://10.1.2.3/', false],
    ['10.1.2.3:5000', 'http://10.1.2.3:5000/', true],
    ['0.0.0.0/0', 'https://203.0.113.9/', true],
    ['203.0.113.0/31', 'https://203.0.113.1/', true],
    ['203.0.113.0/31', 'https://203.0.113.2/', false],
    ['fd00::/8', 'https://[fd12::1]/', true],
    ['fd00::/8', 'https://[fe12::1]/', false],
    ['2001:db8::1', 'https://[2001:DB8:0::1]/', true],
    ['[2001:db8::1]:5000', 'http://[2001:db8::1]:5000/', true],
    ['[2001:db8::1]:5000', 'https://[2001:db8::1]/', false],
    ['10.0.0.0/33', 'https://10.1.2.3/', false],
    ['10.0.0.0/x', 'https://10.1.2.3/', false],
    [',, ,', 'https://example.com/', false],
    // A name is not matched by network: who resolves it is the proxy.
    ['10.0.0.0/8', 'https://ten.example/', false],
    // This machine itself, as in Go.
    ['', 'http://localhost:5000/', true],
    ['', 'http://127.0.0.1:5000/', true],
    ['', 'http://[::1]:5000/', true],
  ];
  test.each(table)('%p and %p: direct %p', (no, url, direct) => {
    expect(through(url, no) === undefined).toBe(direct);
  });
});

describe('the proxy', () => {
  test('is chosen by the kind of URL', () => {
    expect(through('http://registry.example/')).toBe('plain:3128');
    expect(through('https://registry.example/')).toBe('tls:3129');
  });
  test('may be written without a scheme, as curl and Go allow', () => {
    const all = new Proxies({ http: new Secret('proxy.example:8080'), https: undefined, no: undefined });
    expect(all.for(new URL('http://registry.example/'))?.url.reveal()).toBe('http://proxy.example:8080/');
    expect(all.for(new URL('https://registry.example/'))).toBeUndefined();
  });
  test('is shown without its credentials', () => {
    const all = new Proxies({
      http: new Secret('http://us%40er:p%3Aw@proxy:1'),
      https: undefined,
      no: undefined,
    });
    const found = all.for(new URL('http://registry.example/'));
    expect(found?.shown).toBe('proxy:1');
    expect(JSON.stringify(found)).not.toContain('p%3Aw');
    expect(found?.url.reveal()).toBe('http://us%40er:p%3Aw@proxy:1/');
  });
  test.each(['socks5://proxy:1080', 'ftp://proxy', 'http://', 'http://a b'])('%p is refused', (text) => {
    let thrown: unknown;
    try {
      new Proxies({ http: undefined, https: new Secret(text), no: undefined });
    } catch (error) {
      thrown = error;
    }
    expect(isPluginError(thrown, 'CONFIG_INVALID') && thrown.subject.path).toBe('HTTPS_PROXY');
  });
});
