/** The files of containers-registries.d(5). */
import { describe, expect, test } from 'bun:test';
import { lookasideOf, readRegistriesD } from '../../../../lib/trust/policy/registries-d.ts';
import { PolicyProblem } from '../../../../lib/trust/policy/strict.ts';

const read = (...values: unknown[]) =>
  readRegistriesD(values.map((value, at) => ({ path: `/d/${at}.yaml`, value })));

test('each key comes from the most specific namespace that has it, and the old name counts', () => {
  const found = read(
    {
      'default-docker': { 'lookaside-staging': 'file:///staging', sigstore: 'https://all.example/sigs' },
      docker: {
        'a.example': { lookaside: 'file:///a' },
        'a.example/team': { 'use-sigstore-attachments': true },
      },
    },
    null,
    { docker: { 'a.example/team/app': { lookaside: 'http://b.example/x/', sigstore: 'file:///old' } } },
  );
  const at = (...scopes: string[]) => lookasideOf(found, scopes).href;
  expect(at('a.example/team/app:v1', 'a.example/team/app', 'a.example/team', 'a.example')).toBe(
    'http://b.example/x/',
  );
  expect(at('a.example/team/other:v1', 'a.example/team', 'a.example')).toBe('file:///a');
  expect(at('c.example/app')).toBe('https://all.example/sigs');
  expect(lookasideOf(read(), ['c.example']).href).toBe('file:///var/lib/containers/sigstore');
});

describe('refused', () => {
  test.each([
    [[[]], '/d/0.yaml must be an object'],
    [[{ dockr: {} }], "/d/0.yaml has an unknown key 'dockr'"],
    [[{ docker: { 'a.example': { lookasid: 'file:///a' } } }], "has an unknown key 'lookasid'"],
    [[{ docker: { 'a.example': { lookaside: '/a' } } }], 'must be a URL with file:, http: or https:'],
    [[{ docker: { 'a.example': { lookaside: 'ftp://a' } } }], 'must be a URL with file:, http: or https:'],
    [[{ docker: { 'a.example': { lookaside: 'https://u:p@a' } } }], 'without credentials'],
    [[{ docker: { 'a.example': { lookaside: 'file://host/a' } } }], 'three slashes'],
    [[{ docker: { 'a.example': { 'use-sigstore-attachments': 'yes' } } }], 'must be true or false'],
    [[{ docker: { 'https://a.example': {} } }], 'it is neither *.domain nor'],
    [[{ docker: { 'a.example': {} } }, { docker: { 'a.example': {} } }], 'is in another file too'],
    [[{ 'default-docker': {} }, { 'default-docker': {} }], 'default-docker is in another file too'],
  ])('%j', (values, reason) => {
    expect(() => read(...values)).toThrow(PolicyProblem);
    expect(() => read(...values)).toThrow(reason);
  });
});
