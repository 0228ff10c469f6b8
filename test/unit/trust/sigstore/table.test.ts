/** Signatures by the real programs, and the verdict of a newer skopeo on it. */
import { expect, test } from 'bun:test';
import { readRequirement } from '../../../../lib/trust/policy/read-requirement.ts';
import type { SigstoreSigned } from '../../../../lib/trust/policy/requirement.ts';
import { verifySigstore } from '../../../../lib/trust/sigstore/verify-sigstore.ts';
import { CASES } from './cases.ts';
import { bundleFixture, fixture, imageFixture } from './fixtures.ts';
import { NOW, verdict } from './support.ts';

function requirementOf(document: Readonly<Record<string, unknown>>): SigstoreSigned {
  const requirement = readRequirement({ type: 'sigstoreSigned', ...document }, 'the policy', () => {
    throw new Error('no files');
  });
  if (requirement.type !== 'sigstoreSigned') throw new Error('another type');
  return requirement;
}

test('the table is large enough, and names of cases occur once', () => {
  expect(CASES.length).toBeGreaterThanOrEqual(40);
  expect(new Set(CASES.map(({ name }) => name)).size).toBe(CASES.length);
});

test.each(CASES)('$name', ({ image, signatures, requirement, graft, skopeo, why, ...rest }) => {
  const of = imageFixture(image, 'tag' in rest ? rest.tag : 'v1');
  const verdicts = signatures.map((signature) => verdict(requirementOf(requirement), signature, of));
  expect(verdicts.includes('ok') ? 'ok' : verdicts.at(-1)).toBe(graft);
  // Equal, or there is a reason.
  expect(why !== undefined).toBe((graft === 'ok') !== (skopeo === 'accepts'));
});

const data = (name: string) => fixture(name).toString('base64');
const unnamed = (document: object): SigstoreSigned => ({
  ...requirementOf({ ...document }),
  acceptsUnnamed: true,
});
const KEY = unnamed({ keyData: data('cosign.pub') });
const LOG = unnamed({ keyData: data('cosign.pub'), rekorPublicKeyData: data('rekor.pub') });
const loginBy = (caData: string) =>
  unnamed({
    fulcio: { caData, oidcIssuer: 'https://login.example', subjectEmail: 'dev@example.org' },
    rekorPublicKeyData: data('rekor.pub'),
  });
const LOGIN = loginBy(data('fulcio.pem'));

/** No released skopeo knows bundles. */
test('what cosign 3 signed', () => {
  expect(verdict(KEY, bundleFixture('cosign3-key'), imageFixture(1))).toBe('ok');
  expect(verdict(LOG, bundleFixture('cosign3-log'), imageFixture(2))).toBe('ok');
  expect(verdict({ ...KEY, acceptsUnnamed: false }, bundleFixture('cosign3-key'), imageFixture(1))).toBe(
    'no-identity',
  );
  expect(verdict(KEY, bundleFixture('cosign3-key'), imageFixture(2))).toBe('other-digest');
  expect(verdict(LOG, bundleFixture('cosign3-key'), imageFixture(1))).toBe('no-log-entry');
  // The program puts the signer's certificate alone into the bundle, so that the operator names the authority between too.
  expect(verdict(LOGIN, bundleFixture('cosign3-login'), imageFixture(3))).toBe('untrusted-chain');
  expect(verdict(loginBy(data('cosign2-login/chain')), bundleFixture('cosign3-login'), imageFixture(3))).toBe(
    'ok',
  );
  expect(verifySigstore(KEY, bundleFixture('cosign3-key'), imageFixture(1), NOW)).toMatchObject({ ok: true });
});
