import { describe, expect, test } from 'bun:test';
import { checkNames } from '../../../lib/http/peer-names.ts';

const code = (host: string, subjectaltname?: string) =>
  (checkNames(host, subjectaltname === undefined ? {} : { subjectaltname }) as { code?: string } | undefined)
    ?.code;
const OTHER = 'ERR_TLS_CERT_ALTNAME_INVALID';
const NONE = 'CERT_WITHOUT_ALTERNATIVE_NAME';

describe('a certificate is for a host', () => {
  test.each([
    ['a.test', 'DNS:a.test'],
    ['A.test', 'DNS:a.TEST'],
    ['a.test.', 'DNS:a.test'],
    ['a.test', 'DNS:b.test, IP Address:10.0.0.1, DNS:a.test'],
    ['x.a.test', 'DNS:*.a.test'],
    ['10.0.0.1', 'DNS:a.test, IP Address:10.0.0.1'],
    ['::1', 'IP Address:0:0:0:0:0:0:0:1'],
    ['[fe80::1]', 'IP Address:FE80:0:0:0:0:0:0:1'],
  ])('%s by %s', (host, names) => expect(code(host, names)).toBeUndefined());

  test.each([
    ['a.test', 'DNS:b.test', OTHER],
    ['a.test', 'DNS:xa.test, DNS:a.test.evil', OTHER],
    ['a.test', 'DNS:*.a.test', OTHER],
    ['x.y.a.test', 'DNS:*.a.test', OTHER],
    ['.a.test', 'DNS:*.a.test', OTHER],
    ['a.test', 'DNS:*.test', OTHER],
    ['a.test', 'DNS:*', OTHER],
    ['xa.test', 'DNS:x*.test', OTHER],
    ['a.test', 'IP Address:10.0.0.1', OTHER],
    // An address is named as one, not as a name, and stands for no pattern.
    ['10.0.0.1', 'DNS:10.0.0.1', OTHER],
    ['10.0.0.1', 'DNS:*.0.0.1', OTHER],
    ['10.0.0.1', 'IP Address:10.0.0.2', OTHER],
    // A value with a comma is quoted, so no second name can be written into a first one.
    ['evil.test', 'DNS:"a.test\\u002c DNS:evil.test"', OTHER],
    ['a.test', 'email:a@a.test, URI:https://a.test', NONE],
    ['a.test', '', NONE],
    ['a.test', undefined, NONE],
  ])('not %s by %s', (host, names, expected) => expect(code(host, names)).toBe(expected));
});
