import { describe, expect, test } from 'bun:test';
import { inspect } from 'node:util';
import { PluginError } from '../../../lib/base/errors/error.ts';
import { formatReference, type ImageReference, parseImageReference } from '../../../lib/oci/reference.ts';

const HEX = '0123456789abcdef'.repeat(4);
const DIGEST = `sha256:${HEX}`;

/** `registry|repository|tag|digest`, `-` for what is absent. */
function shortForm(reference: ImageReference): string {
  switch (reference.kind) {
    case 'registry': {
      const digest = reference.digest === DIGEST ? 'D' : (reference.digest ?? '-');
      return [reference.registry, reference.repository, reference.tag ?? '-', digest].join('|');
    }
    case 'oci':
      return `oci|${reference.directory}|${reference.ref ?? '-'}`;
    default:
      return `${reference.kind}|${reference.path}`;
  }
}

/** What is written, and what it means. */
const GOOD: readonly (readonly [string, string])[] = [
  // Docker Hub.
  ['docker:///busybox', 'docker.io|library/busybox|latest|-'],
  ['docker:/busybox', 'docker.io|library/busybox|latest|-'],
  ['docker:///library/busybox', 'docker.io|library/busybox|latest|-'],
  ['docker:///cloudfoundry/grace', 'docker.io|cloudfoundry/grace|latest|-'],
  ['docker:///busybox:1.26.1', 'docker.io|library/busybox|1.26.1|-'],
  ['docker://docker.io/busybox', 'docker.io|library/busybox|latest|-'],
  ['docker://index.docker.io/busybox', 'docker.io|library/busybox|latest|-'],
  ['docker://registry-1.docker.io/library/busybox', 'docker.io|library/busybox|latest|-'],
  ['docker://Docker.IO/busybox', 'docker.io|library/busybox|latest|-'],
  ['docker://docker.io:443/library/busybox', 'docker.io:443|library/busybox|latest|-'],
  // Other registries, whatever their name looks like.
  ['docker://localhost/a', 'localhost|a|latest|-'],
  ['docker://localhost:5000/a/b:latest', 'localhost:5000|a/b|latest|-'],
  ['docker://registry/team/app', 'registry|team/app|latest|-'],
  ['docker://REGISTRY.Example.COM:5000/a', 'registry.example.com:5000|a|latest|-'],
  ['docker://127.0.0.1:5000/a', '127.0.0.1:5000|a|latest|-'],
  ['docker://[::1]:5000/a', '[::1]:5000|a|latest|-'],
  ['docker://[2001:DB8::1]/a', '[2001:db8::1]|a|latest|-'],
  ['docker://h:00443/a', 'h:443|a|latest|-'],
  ['docker://h:65535/a', 'h:65535|a|latest|-'],
  ['docker://xn--bcher-kva.example/a', 'xn--bcher-kva.example|a|latest|-'],
  ['DOCKER://h/a', 'h|a|latest|-'],
  // Names and tags.
  ['docker://h/a/b/c/d/e', 'h|a/b/c/d/e|latest|-'],
  ['docker://h/a.b_c__d-e--f---g', 'h|a.b_c__d-e--f---g|latest|-'],
  ['docker://h/a:V1.0_x-y', 'h|a|V1.0_x-y|-'],
  ['docker://h/a:_', 'h|a|_|-'],
  [`docker://h/a:${'t'.repeat(128)}`, `h|a|${'t'.repeat(128)}|-`],
  [`docker://h/${'a'.repeat(255)}`, `h|${'a'.repeat(255)}|latest|-`],
  [`docker://h/${HEX}`, `h|${HEX}|latest|-`],
  // Digests; with a tag beside it the digest decides, and the tag is kept for people.
  [`docker://h/a@${DIGEST}`, 'h|a|-|D'],
  [`docker:///a@${DIGEST}`, 'docker.io|library/a|-|D'],
  [`docker://h:5000/a/b:tag@${DIGEST}`, 'h:5000|a/b|tag|D'],
  // As Cloud Controller writes them, before Garden has turned the first # into a colon.
  ['docker:///busybox#1.26.1', 'docker.io|library/busybox|1.26.1|-'],
  [`docker://h/a/b@sha256#${HEX}`, 'h|a/b|-|D'],
  [`docker://h/a/b#tag@${DIGEST}`, 'h|a/b|tag|D'],
  // Userinfo is accepted.
  ['docker://user:pass@h/a', 'h|a|latest|-'],
  ['docker://user@h:5000/a', 'h:5000|a|latest|-'],
  [`docker://user:p%40ss@h/a@${DIGEST}`, 'h|a|-|D'],
  ['docker://user:p@ss@h/a', 'h|a|latest|-'],
  ['docker://user:pass@/busybox', 'docker.io|library/busybox|latest|-'],
  // OCI layouts.
  ['oci:///dir', 'oci|/dir|-'],
  ['oci:/dir', 'oci|/dir|-'],
  ['oci:///a/b/dir:latest', 'oci|/a/b/dir|latest'],
  ['oci:///dir#latest', 'oci|/dir|latest'],
  ['oci://var/vcap/image', 'oci|/var/vcap/image|-'],
  ['oci:////var//vcap/image/', 'oci|/var/vcap/image|-'],
  ['oci:///dir:', 'oci|/dir|-'],
  ['oci:///dir:@0', 'oci|/dir|@0'],
  ['oci://dir:@12', 'oci|/dir|@12'],
  ['oci:///dir:docker.io/library/busybox:1.36', 'oci|/dir|docker.io/library/busybox:1.36'],
  ['oci:///dir:a--b+c_d', 'oci|/dir|a--b+c_d'],
  ['oci:///with%20space/and%23hash:x', 'oci|/with space/and#hash|x'],
  ['oci:///100%25/%C3%A9t%C3%A9', 'oci|/100%/été|-'],
  ['oci:///with space', 'oci|/with space|-'],
  ['oci:///a%3Ab:ref', 'oci|/a:b|ref'],
  ['oci:///a@b/c', 'oci|/a@b/c|-'],
  ['oci:///a/../b', 'oci|/a/../b|-'],
  ['oci://host:80/dir', 'oci|/host|80/dir'],
  // Without a scheme the argument is a path, taken as it is.
  ['/var/vcap/packages/cflinuxfs4/rootfs.tar', 'tar|/var/vcap/packages/cflinuxfs4/rootfs.tar'],
  ['relative/rootfs.tar', 'tar|relative/rootfs.tar'],
  ['rootfs.tar', 'tar|rootfs.tar'],
  ['./with:colon.tar', 'tar|./with:colon.tar'],
  ['/with%20percent #and?query', 'tar|/with%20percent #and?query'],
  ['1st:x', 'tar|1st:x'],
  ['-', 'tar|-'],
  // CVMFS, where names hold colons.
  [
    'cvmfs:///cvmfs/unpacked.cern.ch/registry.hub.docker.com/library/debian:stable',
    'cvmfs|/cvmfs/unpacked.cern.ch/registry.hub.docker.com/library/debian:stable',
  ],
  ['cvmfs:///cvmfs/repo.example/images/debian#stable', 'cvmfs|/cvmfs/repo.example/images/debian:stable'],
  ['cvmfs:/cvmfs/repo.example/a%20b/', 'cvmfs|/cvmfs/repo.example/a b'],
];

describe('parseImageReference reads', () => {
  test.each(GOOD.map(([argument, meaning]) => [argument, meaning]))('%s', (argument, meaning) => {
    expect(shortForm(parseImageReference(argument))).toBe(meaning);
  });

  test.each(GOOD.map(([argument]) => argument))(
    '%s, and again what formatReference makes of it',
    (argument) => {
      const reference = parseImageReference(argument);
      expect(shortForm(parseImageReference(formatReference(reference)))).toBe(shortForm(reference));
    },
  );
});

/** What is refused, and a word of the reason. */
const BAD: readonly (readonly [string, RegExp])[] = [
  ['', /empty/],
  [`/${'x'.repeat(20000)}`, /longer/],
  ['/a\0b', /NUL/],
  // No repository, or no host.
  ['docker:busybox', /docker:\/\/\//],
  ['docker:', /docker:\/\/\//],
  ['docker://', /no repository/],
  ['docker:///', /no repository/],
  ['docker://busybox', /three slashes/],
  ['docker://busybox:latest', /three slashes/],
  ['docker://h/', /no repository/],
  ['docker:///:latest', /no repository/],
  [`docker:///@${DIGEST}`, /no repository/],
  // Names.
  ['docker://h/Upper/case', /lower case/],
  ['docker://h/a//b', /slash too many/],
  ['docker://h//a', /slash too many/],
  ['docker://h/a/', /slash too many/],
  ['docker://h/-a', /part of the repository/],
  ['docker://h/a-', /part of the repository/],
  ['docker://h/a___b', /part of the repository/],
  ['docker://h/a..b', /part of the repository/],
  ['docker://h/../etc', /part of the repository/],
  ['docker://h/./a', /part of the repository/],
  ['docker://h/%2e%2e/a', /percent/],
  ['docker://h/a%2Fb', /percent/],
  ['docker://h/é', /part of the repository/],
  ['docker://h/a\\b', /part of the repository/],
  [`docker://h/${'a'.repeat(256)}`, /longer than 255/],
  [`docker://h/${'a/'.repeat(150)}a`, /longer than 255/],
  // Spaces, queries.
  ['docker://h/a b', /space/],
  ['docker://h/a\n', /space or a control/],
  ['docker://h/a\u007f', /space or a control/],
  ['docker:// h/a', /space/],
  ['docker://h/a?x=y', /query/],
  ['docker://h/a:1?', /query/],
  // Tags and digests.
  ['docker://h/a:', /tag is empty/],
  ['docker://h/a:-x', /tag/],
  ['docker://h/a:.x', /tag/],
  ['docker://h/a:1/b', /tag/],
  ['docker://h/a:1:2', /tag/],
  ['docker://h/a:1#2', /tag/],
  [`docker://h/a:${'t'.repeat(129)}`, /tag/],
  ['docker:///cloudfoundry/x#sha256:abc', /@, not a colon/],
  [`docker://h/a:${DIGEST}`, /@, not a colon/],
  ['docker://h/a@', /digest/],
  ['docker://h/a@latest', /digest/],
  [`docker://h/a@${DIGEST}:tag`, /digest/],
  [`docker://h/a@${DIGEST.toUpperCase()}`, /digest/],
  [`docker://h/a@sha256:${HEX.slice(1)}`, /digest/],
  [`docker://h/a@sha512:${HEX}${HEX}`, /digest/],
  [`docker://h/a@${DIGEST}/../..`, /digest/],
  [`docker://h/a@${DIGEST}@${DIGEST}`, /digest/],
  // Hosts and ports.
  ['docker://h:/a', /port/],
  ['docker://h:0/a', /port/],
  ['docker://h:65536/a', /port/],
  ['docker://h:x/a', /port/],
  ['docker://-h/a', /host/],
  ['docker://h-/a', /host/],
  ['docker://h..x/a', /host/],
  ['docker://.h/a', /host/],
  ['docker://h_x/a', /host/],
  ['docker://%68/a', /host/],
  ['docker://[::1/a', /host|port/],
  ['docker://[::1%25eth0]/a', /IPv6/],
  ['docker://[:::1]/a', /IPv6/],
  ['docker://[12]/a', /IPv6/],
  [`docker://${'a'.repeat(254)}/a`, /host/],
  ['docker://user:%zz@h/a', /percent-encoding/],
  // Layouts.
  ['oci:dir', /oci:\/\/\//],
  ['oci:', /oci:\/\/\//],
  ['oci:///', /no directory/],
  ['oci://', /no directory/],
  ['oci:///:ref', /no directory/],
  ['oci:///dir:-x', /reference name/],
  ['oci:///dir:a b', /reference name/],
  ['oci:///dir:a/../b', /reference name/],
  ['oci:///dir:@x', /reference name/],
  ['oci:///dir:@', /reference name/],
  ['oci:///dir:@-1', /reference name/],
  [`oci:///dir:${'x'.repeat(256)}`, /reference name/],
  ['oci:///dir%zz', /percent-encoding/],
  ['oci:///dir%ff', /percent-encoding/],
  ['oci:///dir%00', /NUL/],
  ['oci:///dir?x', /query/],
  ['oci://user:secret@host/dir', /credentials/],
  // CVMFS.
  ['cvmfs://cvmfs/repo/x', /three slashes/],
  ['cvmfs://unpacked.cern.ch/x', /three slashes/],
  ['cvmfs:cvmfs/repo/x', /three slashes/],
  ['cvmfs:///', /cvmfs:\/\/\/cvmfs/],
  ['cvmfs:///cvmfs/repo', /cvmfs:\/\/\/cvmfs/],
  ['cvmfs:///etc/passwd', /cvmfs:\/\/\/cvmfs/],
  ['cvmfs:///cvmfs/repo/../../etc', /\. or \.\./],
  ['cvmfs:///cvmfs/repo/%2e%2e/etc', /\. or \.\./],
  ['cvmfs:///cvmfs/repo/a?b', /query/],
];

function errorOf(argument: string): PluginError {
  let accepted: ImageReference;
  try {
    accepted = parseImageReference(argument);
  } catch (error) {
    if (error instanceof PluginError) return error;
    throw error;
  }
  throw new Error(`accepted as ${shortForm(accepted)}`);
}

describe('parseImageReference refuses', () => {
  test.each(BAD.map(([argument, reason]) => [argument, reason]))('%j', (argument, reason) => {
    const error = errorOf(argument);
    expect(error.code).toBe('BAD_REFERENCE');
    expect((error.subject as { reason: string }).reason).toMatch(reason);
  });

  test.each([
    ['file:///x.tar', 'file'],
    ['http://host/x', 'http'],
    ['preloaded:cflinuxfs4', 'preloaded'],
    ['preloaded+layer:///x?layer=y', 'preloaded+layer'],
    ['foo:', 'foo'],
    ['a:b.tar', 'a'],
    ['https://user:secret@host/x', 'https'],
    ['user:secret@host/x', 'user'],
    ['containers-storage:[x@y]user:secret@host/x', 'containers-storage'],
    ['user:sec/ret:secret@host/x@sha256:y', 'user'],
  ])('the scheme of %s', (argument, scheme) => {
    const error = errorOf(argument);
    expect(error.code).toBe('IMAGE_SCHEME');
    expect(error.subject).toMatchObject({ scheme });
    expect(JSON.stringify(error.subject)).not.toContain('secret');
  });
});

describe('credentials', () => {
  test('userinfo is decoded and kept as a secret', () => {
    const reference = parseImageReference('docker://us%20er:p%40s%2Fs:x@h/a');
    if (reference.kind !== 'registry') throw new Error(reference.kind);
    expect(reference.userinfo?.username).toBe('us er');
    expect(reference.userinfo?.password.reveal()).toBe('p@s/s:x');
  });

  test('a reference shows none', () => {
    const reference = parseImageReference('docker://user:hunter2@h/a:1');
    for (const shown of [
      formatReference(reference),
      JSON.stringify(reference),
      inspect(reference),
      `${reference}`,
    ])
      expect(shown).not.toContain('hunter2');
    expect(formatReference(reference)).toBe('docker://h/a:1');
  });

  test.each([
    'docker://user:hunter2@h/UPPER',
    'docker://user:hunter2@h',
    'docker://user:hunter2@h:port/a',
    'docker://user:hunter2@h/a@latest',
    `docker://user:hunter2@h/a@sha256#${HEX}@x`,
    'docker://user:%zzhunter2@h/a',
    'docker://user:sla/hunter2@h/a',
    `docker://user:12/hunter2@h/a@${DIGEST}`,
    'docker://user:hunter2@h/a?x',
    'docker://user:hun#ter2@hunter2@h/A',
    'docker:user:hunter2@h/a',
    'docker:/user:hunter2@h/a',
    'docker:///user:hunter2@h/a',
    'docker:////user:hunter2@h/a',
    'oci://user:hunter2@h/a',
    'cvmfs://user:hunter2@h/a',
  ])('the error about %s shows none', (argument) => {
    const error = errorOf(argument);
    expect(error.code).toBe('BAD_REFERENCE');
    expect(`${JSON.stringify(error.subject)} ${inspect(error)}`).not.toContain('hunter2');
  });

  test('an error without credentials shows the argument as it was written', () => {
    const subject = errorOf(`docker:///a/B@${DIGEST}`).subject as { reference: string };
    expect(subject.reference).toBe(`docker:///a/B@${DIGEST}`);
  });

  test('an error shows no control characters', () => {
    const subject = errorOf('docker://h/a\u001b[31m').subject as { reference: string };
    expect(subject.reference).toBe('docker://h/a\\u{1b}[31m');
  });
});
