/** The signatures that the real programs made (ci/sigstore-fixtures), put together from their files. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestOf } from '../../../../lib/base/digest.ts';
import type { Signable } from '../../../../lib/trust/policy/verdict.ts';
import { ANNOTATIONS, attached, base64, bundle } from '../../../support/sigstore/signer.ts';

const FIXTURES = join(import.meta.dir, '../fixtures');
const fixturePath = (name: string) => join(FIXTURES, name);
export const fixture = (name: string) => readFileSync(fixturePath(name));

/** The registry in whose name they were signed. Nothing listens there. */
export const HOST = '127.0.0.1:5917';
export const REPOSITORY = `${HOST}/ns/app`;

/** Of the old scheme: cosign2-key, cosign2-log, cosign2-login, cosign2-pki. */
export function attachedFixture(name: string) {
  const read = (file: string) => fixture(`${name}/${file}`).toString();
  const there = (file: string) => existsSync(fixturePath(`${name}/${file}`));
  const annotations: Record<string, string> = { [ANNOTATIONS.signature]: read('signature') };
  for (const key of ['certificate', 'chain'] as const)
    if (there(key)) annotations[ANNOTATIONS[key]] = read(key);
  if (there('bundle')) {
    const receipt = JSON.parse(read('bundle')) as { Payload: { body: string } };
    receipt.Payload.body = base64(fixture(`${name}/log-body`));
    annotations[ANNOTATIONS.log] = JSON.stringify(receipt);
  }
  return attached(fixture(`${name}/payload`), annotations);
}

/** Of the new scheme: cosign3-key, cosign3-log, cosign3-login. */
export function bundleFixture(name: string) {
  const document = JSON.parse(fixture(`${name}/bundle`).toString()) as {
    verificationMaterial: { tlogEntries?: { canonicalizedBody: string }[] };
  };
  for (const entry of document.verificationMaterial.tlogEntries ?? [])
    entry.canonicalizedBody = base64(fixture(`${name}/log-body`));
  return bundle(document);
}

/** The image with a number, asked for by a tag. */
export function imageFixture(number: number, tag: string | undefined = 'v1'): Signable {
  const document = fixture(`image-${number}`);
  const digest = digestOf(document);
  return {
    digest,
    document,
    name: { repository: REPOSITORY, tag, digest: tag === undefined ? digest : undefined },
  };
}
