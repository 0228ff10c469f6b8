/** The Sigstore part of docs/trust.md: its examples are taken, and let through what the text says. */
import { expect, test } from 'bun:test';
import { isTrustSettings } from '../../lib/oci/generated/settings-validators.js';
import { choose, readPolicy } from '../../lib/trust/policy/read-policy.ts';
import { attachmentsOf, readRegistriesD } from '../../lib/trust/policy/registries-d.ts';
import { fits } from '../../lib/trust/policy/text-rule.ts';
import { type TrustFile, trustSettings } from '../../lib/trust/settings.ts';
import { verifySigstore } from '../../lib/trust/sigstore/verify-sigstore.ts';
import { attachedFixture, fixture, imageFixture } from '../unit/trust/sigstore/fixtures.ts';
import { allBlocks, readPage } from './page.ts';

const PAGE = 'docs/trust.md';
const heading = /^## Sigstore$/m;
const at = readPage(PAGE).search(heading);
const blocks = allBlocks(PAGE).filter(({ text }) => readPage(PAGE).indexOf(text) > at);
const only = (language: string, part: string): string => {
  const found = blocks.filter((block) => block.language === language && block.text.includes(part));
  if (found.length !== 1) throw new Error(`${found.length} blocks with ${part}`);
  return found[0]?.text ?? '';
};
const SCOPE = 'registry.example/team';
const scopes = [`${SCOPE}/app`, SCOPE, 'registry.example'];

test('the policy and the file of registries.d are taken, and count for the repository of the text', () => {
  const read: string[] = [];
  const policy = readPolicy(Buffer.from(only('json', 'sigstoreSigned')), (path) => {
    read.push(path);
    return fixture('cosign.pub');
  });
  expect(read).toEqual(['/etc/containers/cosign.pub']);
  const { requirements, scope } = choose(policy, 'docker', scopes);
  expect(scope).toBe(`docker ${SCOPE}`);
  const [requirement] = requirements;
  if (requirement?.type !== 'sigstoreSigned') throw new Error('another requirement');
  // The signature that cosign made carries another name than the one of the text.
  const verdict = verifySigstore(requirement, attachedFixture('cosign2-key'), imageFixture(1), Date.now());
  expect(verdict.ok).toBe(true);
  const value = Bun.YAML.parse(only('yaml', 'use-sigstore-attachments'));
  expect(attachmentsOf(readRegistriesD([{ path: 'a.yaml', value }]), scopes)).toBe(true);
});

function settingsOf(part: string) {
  const { trust } = Bun.YAML.parse(only('yaml', part)) as { trust: TrustFile };
  if (!isTrustSettings(trust)) throw new Error(JSON.stringify(isTrustSettings.errors));
  return trustSettings(trust);
}

test('the settings are taken, and their pattern fits a release and not a branch', () => {
  expect(settingsOf('accept_unnamed_bundles')?.unnamedBundles).toEqual([SCOPE]);
  const [identity] = settingsOf('identities')?.identities.get(SCOPE) ?? [];
  if (identity === undefined) throw new Error('no identity');
  const workflow = 'https://github.com/team/app/.github/workflows/release.yml@refs/';
  expect(fits(identity.uri, `${workflow}tags/v1.2`)).toBe(true);
  expect(fits(identity.uri, `${workflow}heads/main`)).toBe(false);
  expect(fits(identity.issuer, 'https://token.actions.githubusercontent.com')).toBe(true);
});

test.each([
  [{ identities: { a: [{ issuer: 'https://*.example', uri: 'https://x.example/y' }] } }],
  [{ identities: { a: [{ issuer: 'https://x.example', uri: 'https://*/y' }] } }],
  [{ identities: { a: [{ issuer: 'https://x.example', uri: '*' }] } }],
  [{ identities: { a: [{ issuer: 'https://x.example' }] } }],
  [{ identities: { a: [] } }],
  [{ accept_unnamed_bundles: [''] }],
])('settings that are refused: %j', (file) => {
  expect(isTrustSettings({ policy: '/p', ...file })).toBe(false);
});
