/** `config check` and `doctor` read every setting of both files, and the sentences are for people. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { sizeInBytes } from '../../../../cmd/cli/sizes.ts';
import { explain } from '../../../../cmd/sentences/report.ts';
import { checkSettings } from '../../../../cmd/settings/check/check.ts';
import { placeInWords } from '../../../../cmd/settings/check/finding.ts';
import { KeyLines } from '../../../../cmd/settings/check/lines.ts';
import { nearest } from '../../../../cmd/settings/check/near.ts';
import { ROOTS } from '../../../../cmd/settings/check/schema-faults.ts';
import { FORMS } from '../../../../cmd/settings/check/schema-words.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

let dir: TempDir;
let made = 0;
beforeAll(() => {
  dir = tempDir();
  writeFileSync(dir.at('there'), '');
});
afterAll(() => dir.remove());

/** The findings of a configuration and files in its directory, as `config check` prints them, with DIR for the directory. */
function findings(groot: string, own: Readonly<Record<string, string>> = {}, extra?: string): string[] {
  made += 1;
  const config = dir.at(`${made}.yml`);
  writeFileSync(config, groot.replaceAll('DIR', dir.path));
  mkdirSync(`${config}.d`);
  for (const [name, text] of Object.entries(own))
    writeFileSync(`${config}.d/${name}`, text.replaceAll('DIR', dir.path));
  const said = (error: unknown) => explain(error, []).sentence;
  return checkSettings({ config, extra }, '/usr/bin:/bin', said).findings.map((one) =>
    `${one.verdict} ${placeInWords(one)}`
      .replaceAll(`${config}.d/`, '')
      .replaceAll(config, 'FILE')
      .replaceAll(dir.path, 'DIR'),
  );
}

describe('GrootFS’s file', () => {
  test.each([
    [
      'log_level: verbose',
      'FILE, line 1: log_level is "verbose"; it must be debug, info, error or fatal, and fatal counts meanwhile',
    ],
    [
      '\nlog_levle: info',
      'FILE, line 2: log_levle is not a setting, and nothing reads it; did you mean log_level?',
    ],
    [
      'create:\n  with_claen: true',
      'FILE, line 2: create.with_claen is not a setting, and nothing reads it; did you mean create.with_clean?',
    ],
    [
      'create:\n  nonsense: 1',
      'FILE, line 2: create.nonsense is not a setting, and nothing reads it; docs/configuration.md has every key',
    ],
    ['create: 5', 'FILE, line 1: create is 5; it must hold keys and values'],
    ['create:\n  with_clean: maybe', 'FILE, line 2: create.with_clean is "maybe"; it must be true or false'],
    [
      'create:\n  disk_limit_size_bytes: -1',
      'FILE, line 2: create.disk_limit_size_bytes is -1; it must not be negative',
    ],
    [
      'create:\n  insecure_registries: [http://a]',
      'FILE, line 2: create.insecure_registries has "http://a"; an entry must be HOST or HOST:PORT',
    ],
    [
      'create:\n  remote_layer_client_certificates_path: DIR/none',
      'FILE, line 2: create.remote_layer_client_certificates_path is "DIR/none"; there is no such directory',
    ],
    [
      'init:\n  store_size_bytes: 10',
      'FILE, line 2: init.store_size_bytes is 10; it must be 0 or at least 314572800, the smallest that mkfs.xfs makes',
    ],
    ['store: relative', 'FILE, line 1: store is "relative"; it must be an absolute path'],
    [
      'log_file: DIR/none/x.log',
      'FILE, line 1: log_file is "DIR/none/x.log"; the directory DIR/none is not there',
    ],
    ['log_file: DIR', 'FILE, line 1: log_file is "DIR"; it must be a file, and that is a directory'],
    [
      'metron_endpoint: here',
      'FILE, line 1: metron_endpoint is "here"; it must be HOST:PORT, and no metrics are sent meanwhile',
    ],
    ['store: [', 'FILE: invalid config file: yaml: '],
  ])('%j', (text, sentence) => {
    const found = findings(text);
    expect(found).toHaveLength(1);
    expect(found[0]).toStartWith(`problem ${sentence}`);
  });

  test('an entry twice is a warning, and a file with all keys of the example is right', () => {
    expect(findings('create:\n  insecure_registries: [a, a]')).toEqual([
      'warning FILE, line 2: create.insecure_registries has "a" twice',
    ]);
    expect(findings('store: /s\nlog_level: Info\nclean: {threshold_bytes: 5}\ninit:\n')).toEqual([]);
  });
});

describe('graft’s own settings', () => {
  test.each([
    [
      'registries:\n  docker_config: DIR/none',
      'line 2: registries.docker_config is "DIR/none"; there is no such file',
    ],
    [
      'registries:\n  certs_dirs:\n    - DIR/there',
      'line 3: registries.certs_dirs[0] is "DIR/there"; that is a file, and it must be a directory',
    ],
    [
      'registries:\n  registries_conf: [DIR/none]',
      'line 2: registries.registries_conf[0] is "DIR/none"; there is no such file',
    ],
    [
      'registries:\n  hosts:\n    a.b:\n      ca: [DIR/none]',
      'line 4: registries.hosts.a.b.ca[0] is "DIR/none"; there is no such file',
    ],
    [
      'registries:\n  hosts:\n    a.b:\n      client_key: DIR/there',
      'line 3: registries.hosts.a.b has one of client_certificate and client_key, which go together',
    ],
    [
      'registries:\n  hosts:\n    a.b:\n      mirrors:\n      - location: A.b',
      'line 5: registries.hosts.a.b.mirrors[0].location is "A.b", the registry itself, which is no mirror',
    ],
    [
      'registries:\n  hosts:\n    a.b:\n      credential_helper: none',
      'line 4: registries.hosts.a.b.credential_helper is "none"; docker-credential-none is not in /usr/bin:/bin',
    ],
    [
      'metrics:\n  file: DIR/none/x.prom',
      'line 2: metrics.file is "DIR/none/x.prom"; its directory is not there',
    ],
    ['trust:\n  policy: DIR/none', 'line 2: trust.policy is "DIR/none"; there is no such file'],
    ['publisher: {}', 'line 1: publisher lacks the key token_file, which has to be there'],
  ])('%j', (text, sentence) => {
    expect(findings('', { 'a.yml': text })[0]).toBe(`problem a.yml, ${sentence}`);
  });

  test('all faults of a file are found at once, and none is in the words of a schema', () => {
    const text =
      'registries:\n  hots: {}\n  parallel_downloads: 100\n  require_digest: maybe\n  insecure: [a/b]\n';
    expect(findings('', { 'a.yml': text })).toEqual([
      'problem a.yml, line 2: registries.hots is not a setting; did you mean hosts?',
      'problem a.yml, line 3: registries.parallel_downloads is 100; it must be a whole number from 1 to 64',
      'problem a.yml, line 4: registries.require_digest is "maybe"; it must be true or false',
      'problem a.yml, line 5: registries.insecure[0] is "a/b"; it must be HOST or HOST:PORT, at most 255 characters long',
    ]);
  });

  test('files that are not read are named, and keys that two files set', () => {
    expect(
      findings('', {
        'b.yaml': 'cvmfs: {}',
        'a.yml': 'registries:\n  require_digest: true',
        'z.yml': '#\nregistries:\n  require_digest: false',
        notes: '',
      }),
    ).toEqual([
      'problem b.yaml: is not read: names of settings end in .yml and do not begin with a dot',
      'warning notes: is not read: names of settings end in .yml and do not begin with a dot',
      'warning z.yml, line 3: registries.require_digest is set in a.yml too, and the value here counts',
    ]);
    const extra = dir.at('extra.yml');
    writeFileSync(extra, '');
    expect(findings('', { 'a.yml': 'metrics: {}' }, extra)).toEqual([
      'warning a.yml: is not read: --extra-config DIR/extra.yml is read in its place',
    ]);
  });

  test('helpers that docker’s config.json names are looked for, and a file that is none is told', () => {
    const of = (content: string) => {
      writeFileSync(dir.at('config.json'), content);
      return findings('', { 'a.yml': 'registries:\n  docker_config: DIR/config.json' });
    };
    expect(of('{"credHelpers":{"a.b":"none","c.d":"none"},"credsStore":"lost"}')).toEqual(
      ['none', 'lost'].map(
        (helper) =>
          `problem a.yml, line 2: registries.docker_config is "DIR/config.json", which names the helper "${helper}"; ` +
          `docker-credential-${helper} is not in /usr/bin:/bin`,
      ),
    );
    expect(of('{"auths":{}}')).toEqual([]);
    expect(of('secret')).toEqual([
      'problem a.yml, line 2: registries.docker_config is "DIR/config.json"; it is not JSON',
    ]);
  });

  test('a secret is not shown', () => {
    const found = findings('', { 'a.yml': `registries:\n  proxy:\n    http: ${'s'.repeat(5000)}\n` });
    expect(found).toEqual([
      'problem a.yml, line 3: registries.proxy.http is another text; it must be text, at most 4096 characters long',
    ]);
  });
});

test('every form of text in the schemas has words', () => {
  const patterns = [...JSON.stringify(ROOTS).matchAll(/"pattern":("(?:[^"\\]|\\.)*")/g)].map(
    ([, text = '']) => JSON.parse(text) as string,
  );
  expect(patterns.length).toBeGreaterThan(20);
  expect([...new Set(patterns)].filter((pattern) => !Object.hasOwn(FORMS, pattern))).toEqual([]);
  expect(Object.keys(FORMS).filter((pattern) => !patterns.includes(pattern))).toEqual([]);
});

test('keys have their lines, in lists and below quoted names too', () => {
  const lines = new KeyLines(
    'a:\n  "b.c":\n    - x: 1\n      y: 2\n    -\n      x: 3\n# d: 4\ne: |\n  f: 5\ng: [1]\nl:\n- p\n- q: 1\n',
  );
  const all = [
    ['a'],
    ['a', 'b.c'],
    ['a', 'b.c', 0, 'y'],
    ['a', 'b.c', 1, 'x'],
    ['e', 'f'],
    ['g', 0],
    ['l', 1, 'q'],
    ['none'],
  ];
  expect(all.map((path) => lines.of(path))).toEqual([1, 2, 4, 6, 8, 10, 13, undefined]);
});

test.each([
  ['with_claen', 'with_clean'],
  ['log_levle', 'log_level'],
  ['x', undefined],
  ['hots', 'hosts'],
])('the name that is closest to %s: %p', (word, name) => {
  expect(nearest(word, ['with_clean', 'log_level', 'hosts', 'id'])).toBe(name as string);
});

test.each([
  ['10M', 10485760],
  ['8GiB', 8589934592],
  ['1.5k', 1536],
  ['2 TiB', 2 * 1024 ** 4],
  ['10', undefined],
  ['10MB', undefined],
  ['1.0001K', undefined],
  ['-1M', undefined],
  ['9999999P', undefined],
])('%s are %p bytes', (text, bytes) => {
  expect(sizeInBytes(text)).toBe(bytes as number);
});
