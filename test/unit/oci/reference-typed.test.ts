/** Names as docker and podman take them, and what graft wants instead. */
import { expect, test } from 'bun:test';
import { imageSentences } from '../../../cmd/sentences/image.ts';
import { parseImageReference } from '../../../lib/oci/reference.ts';
import { typedReference } from '../../../lib/oci/reference-typed.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

test.each([
  ['ubuntu', 'docker:///library/ubuntu:latest'],
  ['ubuntu:22.04', 'docker:///library/ubuntu:22.04'],
  ['team/app', 'docker:///team/app:latest'],
  ['docker.io/library/app', 'docker:///library/app:latest'],
  ['docker.io/app', 'docker:///library/app:latest'],
  ['registry:5000/app:1', 'docker://registry:5000/app:1'],
  ['localhost/app', 'docker://localhost/app:latest'],
  ['quay.io/a/b/c:1.0', 'docker://quay.io/a/b/c:1.0'],
  [`quay.io/a@${DIGEST}`, `docker://quay.io/a@${DIGEST}`],
  ['containers-storage:localhost/app:1', 'docker://localhost/app:1'],
  ['containers-storage:[overlay@/var/lib/x+/run/x]quay.io/app', 'docker://quay.io/app:latest'],
  ['docker-daemon:app:1', 'docker:///library/app:1'],
])('%s means %s', (argument, reference) => {
  expect(typedReference(argument)).toBe(reference);
  expect(parseImageReference(reference)).toMatchObject({ kind: 'registry' });
});

test.each([
  '',
  '/srv/app.tar',
  './app.tar',
  '../app',
  'UPPER',
  'a b',
  'app:',
  'user:secret@quay.io/app',
  'host/user:secret@x',
  'app?x=1',
  'oci-archive:b.tar',
  'docker-archive:b.tar:app',
  'dir:b',
  'aci:b.aci',
  `sha256:${'a'.repeat(64)}`,
  `docker-daemon:sha256:${'a'.repeat(64)}`,
  'x'.repeat(20_000),
])('%p is no such name', (argument) => expect(typedReference(argument)).toBeUndefined());

/** The sentence of the error that a reference ends in. */
function sentence(argument: string): string {
  try {
    parseImageReference(argument);
  } catch (error) {
    const { code, subject } = error as { code: string; subject: { scheme: string; argument: string } };
    expect(code).toBe('IMAGE_SCHEME');
    return imageSentences.IMAGE_SCHEME(subject);
  }
  throw new Error(`${argument} is a reference`);
}

test('each sentence has the reference to give', () => {
  expect(sentence('registry:5000/app:1')).toBe(
    "unsupported image scheme 'registry': for the image of a registry give docker://registry:5000/app:1, " +
      'for a tar file ./registry:5000/app:1',
  );
  expect(sentence('docker-daemon:app:1')).toBe(
    "unsupported image scheme 'docker-daemon': graft reads no storage of another engine; push the image to a registry and " +
      'give docker:///library/app:1, or copy it into a layout: skopeo copy docker-daemon:app:1 oci:/DIRECTORY:REF',
  );
  expect(sentence('containers-storage:[overlay@/x]quay.io/app')).toContain(
    'give docker://quay.io/app:latest',
  );
  expect(sentence('dir:b')).toEndWith(
    'graft reads no such files; copy it into a layout: skopeo copy dir:b oci:/DIRECTORY:REF',
  );
  expect(sentence(`docker-daemon:${DIGEST}`)).not.toContain('docker://');
  expect(sentence('containers-storage:@')).not.toContain('docker://');
  expect(imageSentences.IMAGE_TAR_MISSING({ path: 'ubuntu' })).toEndWith(
    '; for the image of a registry give docker:///library/ubuntu:latest',
  );
});
