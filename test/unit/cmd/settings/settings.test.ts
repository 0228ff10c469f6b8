import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { VERBS } from '../../../../cmd/cli/definitions.ts';
import { parseCommandLine, readOptions } from '../../../../cmd/cli/parse.ts';
import { explain } from '../../../../cmd/sentences/report.ts';
import { loadSettings } from '../../../../cmd/settings/settings.ts';
import type { Settings } from '../../../../cmd/settings/types.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

let dir: TempDir;
let files = 0;
beforeAll(() => {
  dir = tempDir();
});
afterAll(() => dir.remove());

function file(yaml: string): string {
  files += 1;
  const path = dir.at(`${files}.yml`);
  writeFileSync(path, yaml);
  return path;
}

/** The settings of a command line, `FILE` standing for a file with this content. */
function settingsOf(line: string, yaml?: string): Settings {
  const path = yaml === undefined ? '' : file(yaml);
  const words = line.split(' ').map((word) => (word === 'FILE' ? path : word));
  return loadSettings(parseCommandLine(words, VERBS, readOptions));
}

function failure(line: string, yaml?: string): string {
  try {
    settingsOf(line, yaml);
  } catch (error) {
    return explain(error, []).sentence;
  }
  throw new Error(`${line} was accepted`);
}

const DEFAULTS: Settings = {
  store: '/var/lib/graft',
  configFile: undefined,
  extraConfigFile: undefined,
  logLevel: 'fatal',
  logFile: undefined,
  metronEndpoint: undefined,
  metricsFile: undefined,
  create: {
    diskLimitBytes: 0,
    excludeImageFromQuota: false,
    skipLayerValidation: false,
    insecureRegistries: [],
    withClean: false,
    cleanLogFile: undefined,
    withMount: true,
    remoteLayerCertificates: undefined,
  },
  cleanThresholdBytes: 0,
  init: { storeSizeBytes: 0, withDirectIo: false },
  unknownKeys: [],
};

describe('settings', () => {
  test('without anything are the defaults', () => {
    expect(settingsOf('list')).toEqual(DEFAULTS);
  });

  test('come from the file that BOSH writes and thresholder rewrites', () => {
    // The first part is the release's template, the second what a Go program adds on writing it back.
    const settings = settingsOf(
      '--config FILE list',
      `store: /var/vcap/data/grootfs/store/unprivileged
tardis_bin: /var/vcap/packages/grootfs/bin/tardis
newuidmap_bin: /var/vcap/packages/garden-idmapper/bin/newuidmap
newgidmap_bin: /var/vcap/packages/garden-idmapper/bin/newgidmap
log_level: info
log_file: ""
metron_endpoint: 127.0.0.1:3457
log_timestamp_format: unix-epoch
create:
  exclude_image_from_quota: false
  skip_layer_validation: true
  with_clean: true
  clean_log_file: /var/vcap/sys/log/garden/groot.clean.log
  without_mount: false
  disk_limit_size_bytes: 0
  insecure_registries: []
  remote_layer_client_certificates_path: /var/vcap/jobs/garden/certs
clean:
  threshold_bytes: 1073741824
init:
  store_size_bytes: 10737418240
  with_direct_io: true
  owneruser: ""
  ownergroup: ""
`,
    );
    expect(settings).toEqual({
      ...DEFAULTS,
      store: '/var/vcap/data/grootfs/store/unprivileged',
      configFile: expect.any(String),
      logLevel: 'info',
      metronEndpoint: '127.0.0.1:3457',
      create: {
        ...DEFAULTS.create,
        skipLayerValidation: true,
        withClean: true,
        cleanLogFile: '/var/vcap/sys/log/garden/groot.clean.log',
        remoteLayerCertificates: '/var/vcap/jobs/garden/certs',
      },
      cleanThresholdBytes: 1073741824,
      init: { storeSizeBytes: 10737418240, withDirectIo: true },
    });
  });

  /** Command line, file, what is looked at, and the answer: flag, then file, then default. */
  const PRECEDENCE: readonly [string, string, (s: Settings) => unknown, unknown][] = [
    ['--config FILE --store /flag list', 'store: /file', (s) => s.store, '/flag'],
    ['--config FILE list', 'store: /file', (s) => s.store, '/file'],
    ['--config FILE list', 'store: ""', (s) => s.store, '/var/lib/graft'],
    ['--config FILE list', 'store:', (s) => s.store, '/var/lib/graft'],
    ['--config FILE --log-level debug list', 'log_level: error', (s) => s.logLevel, 'debug'],
    ['--config FILE list', 'log_level: error', (s) => s.logLevel, 'error'],
    ['--config FILE list', 'log_level: DEBUG', (s) => s.logLevel, 'debug'],
    ['--config FILE list', 'log_level: loud', (s) => s.logLevel, 'fatal'],
    ['--config FILE --log-level fatal list', 'log_level: error', (s) => s.logLevel, 'fatal'],
    ['--config FILE list', 'log_file: /l', (s) => [s.logLevel, s.logFile], ['info', '/l']],
    ['--config FILE --log-level fatal list', 'log_file: /l', (s) => s.logLevel, 'info'],
    ['--config FILE --log-level error list', 'log_file: /l', (s) => s.logLevel, 'error'],
    ['--config FILE --log-file /f list', 'log_file: /l', (s) => s.logFile, '/f'],
    ['--config FILE --log-file= list', 'log_file: /l', (s) => s.logFile, '/l'],
    ['--config FILE --metron-endpoint a:1 list', 'metron_endpoint: b:2', (s) => s.metronEndpoint, 'a:1'],
    ['--config FILE --metron-endpoint= list', 'metron_endpoint: b:2', (s) => s.metronEndpoint, 'b:2'],
    ['--metrics-file /m list', '', (s) => s.metricsFile, '/m'],
    ['--extra-config /e list', '', (s) => s.extraConfigFile, '/e'],
    ['--extra-config= list', '', (s) => s.extraConfigFile, undefined],
    [
      '--config FILE create --disk-limit-size-bytes 0 a b',
      'create: {disk_limit_size_bytes: 5}',
      (s) => s.create.diskLimitBytes,
      0,
    ],
    ['--config FILE create a b', 'create: {disk_limit_size_bytes: 5}', (s) => s.create.diskLimitBytes, 5],
    [
      '--config FILE create --exclude-image-from-quota=false a b',
      'create: {exclude_image_from_quota: true}',
      (s) => s.create.excludeImageFromQuota,
      false,
    ],
    [
      '--config FILE create a b',
      'create: {exclude_image_from_quota: true}',
      (s) => s.create.excludeImageFromQuota,
      true,
    ],
    [
      '--config FILE create --skip-layer-validation=false a b',
      'create: {skip_layer_validation: true}',
      (s) => s.create.skipLayerValidation,
      false,
    ],
    [
      '--config FILE create --insecure-registry x a b',
      'create: {insecure_registries: [y, z]}',
      (s) => s.create.insecureRegistries,
      ['x'],
    ],
    [
      '--config FILE create --insecure-registry= a b',
      'create: {insecure_registries: [y, z]}',
      (s) => s.create.insecureRegistries,
      ['y', 'z'],
    ],
    [
      '--config FILE create --clean-log-file /f a b',
      'create: {clean_log_file: /l}',
      (s) => s.create.cleanLogFile,
      '/f',
    ],
    [
      '--config FILE create --clean-log-file= a b',
      'create: {clean_log_file: /l}',
      (s) => s.create.cleanLogFile,
      '/l',
    ],
    [
      '--config FILE clean --threshold-bytes 0 x',
      'clean: {threshold_bytes: 9}',
      (s) => s.cleanThresholdBytes,
      0,
    ],
    ['--config FILE clean', 'clean: {threshold_bytes: 9}', (s) => s.cleanThresholdBytes, 9],
    [
      '--config FILE create --threshold-bytes 3 a b',
      'clean: {threshold_bytes: 9}',
      (s) => s.cleanThresholdBytes,
      3,
    ],
    [
      '--config FILE init-store --store-size-bytes 0',
      'init: {store_size_bytes: 9}',
      (s) => s.init.storeSizeBytes,
      0,
    ],
    ['--config FILE init-store', 'init: {store_size_bytes: 9}', (s) => s.init.storeSizeBytes, 9],
    [
      '--config FILE init-store --with-direct-io',
      'init: {with_direct_io: false}',
      (s) => s.init.withDirectIo,
      true,
    ],
    [
      '--config FILE init-store --with-direct-io=false',
      'init: {with_direct_io: true}',
      (s) => s.init.withDirectIo,
      true,
    ],
    ['--config FILE list', 'create: {with_clean: yes}', (s) => s.create.withClean, true],
    ['--config FILE list', 'create: {with_clean: Off}', (s) => s.create.withClean, false],
    ['--config FILE list', 'create:\nclean: ~\n', (s) => s.create, DEFAULTS.create],
    ['--config FILE list', '# nothing', (s) => s.create, DEFAULTS.create],
    ['--config= list', '', (s) => s.configFile, undefined],
  ];
  test.each(PRECEDENCE)('%s with %p', (line, yaml, look, expected) => {
    expect(look(settingsOf(line, yaml))).toEqual(expected);
  });

  /** GrootFS looks whether the flag is there; here its value counts. */
  test.each([
    ['', undefined, false, true],
    ['', 'with_clean: true', true, true],
    ['--with-clean', undefined, true, true],
    ['--with-clean=false', undefined, false, true],
    ['--with-clean=false', 'with_clean: true', false, true],
    ['--without-clean', 'with_clean: true', false, true],
    ['--without-clean=false', undefined, true, true],
    ['--with-clean --without-clean=false', undefined, true, true],
    ['--with-clean=false --without-clean', 'with_clean: true', false, true],
    ['--without-mount', undefined, false, false],
    ['--without-mount=false', 'without_mount: true', false, true],
    ['--with-mount', 'without_mount: true', false, true],
    ['--with-mount=false', undefined, false, false],
    ['--with-mount --without-mount', undefined, false, false],
    ['', 'without_mount: true', false, false],
  ])('create %s with %p: clean %p, mount %p', (flags, yaml, clean, mount) => {
    const line = `--config FILE create ${flags} a b`.replace('  ', ' ');
    const { create } = settingsOf(line, yaml === undefined ? '' : `create:\n  ${yaml}\n`);
    expect([create.withClean, create.withMount]).toEqual([clean, mount]);
  });

  test.each(['--with-clean --without-clean', '--with-clean=false --without-clean=false'])(
    'create %s contradicts itself',
    (flags) => {
      expect(failure(`create ${flags} a b`)).toBe('with-clean and without-clean cannot be used together');
    },
  );

  test('a relative store is taken from here, since a clean in the background runs elsewhere', () => {
    expect(settingsOf('--store s/t list').store).toBe(`${process.cwd()}/s/t`);
  });

  test('unknown keys are named, everywhere', () => {
    const { unknownKeys } = settingsOf(
      '--config FILE list',
      'stor: /x\ncreate:\n  with_cleen: true\nclean:\n  ignore_images: []\n',
    );
    expect(unknownKeys).toEqual(['stor', 'create.with_cleen', 'clean.ignore_images']);
  });
});

describe('a configuration that cannot be used', () => {
  test.each([
    ['--config /nope list', 'invalid config path: open /nope: no such file or directory'],
    ['--config /proc list', 'invalid config path: open /proc: is a directory'],
    ['--config /nope/x list', 'invalid config path: open /nope/x: no such file or directory'],
  ])('%s', (line, sentence) => {
    expect(failure(line)).toBe(sentence);
  });

  test.each([
    ['store: [', /^invalid config file: yaml: .+ \(.*\.yml\)$/],
    [
      'store: /a\nstore: /b',
      /^invalid config file: yaml: line 2: mapping key "store" already defined at line 1 \(/,
    ],
    ['store: /a\n---\nstore: /b', /^invalid config file: yaml: line 2: more than one document \(/],
    ['store: 5', /^invalid config file: store is 5; it must be text \(/],
    ['store: [a]', /^invalid config file: store is a list of 1; it must be text \(/],
    ['create: 5', /^invalid config file: create must hold keys and values \(/],
    ['create: [with_clean]', /^invalid config file: create must hold keys and values \(/],
    ['- store', /^invalid config file: the file must hold keys and values \(/],
    ['just words', /^invalid config file: the file must hold keys and values \(/],
    [
      'create: {with_clean: maybe}',
      /^invalid config file: create.with_clean is "maybe"; it must be true or false \(/,
    ],
    ['create: {with_clean: 1}', /^invalid config file: create.with_clean is 1; it must be true or false \(/],
    [
      'create: {insecure_registries: a}',
      /^invalid config file: create.insecure_registries is "a"; it must be a list of texts \(/,
    ],
    [
      'create: {insecure_registries: [1]}',
      /^invalid config file: create.insecure_registries is a list of 1; it must be a list of texts \(/,
    ],
    [
      'create: {disk_limit_size_bytes: "5"}',
      /^invalid config file: create.disk_limit_size_bytes is "5"; it must be a whole number of bytes \(/,
    ],
    [
      'clean: {threshold_bytes: 1.5}',
      /^invalid config file: clean.threshold_bytes is 1.5; it must be a whole number of bytes \(/,
    ],
    [
      'clean: {threshold_bytes: 1G}',
      /^invalid config file: clean.threshold_bytes is "1G"; it must be a whole number of bytes \(.*, line 1\)$/,
    ],
    [
      'init: {store_size_bytes: 9223372036854775808}',
      /^invalid config file: yaml: init.store_size_bytes is too large for graft/,
    ],
    ['create: {disk_limit_size_bytes: -1}', /^invalid argument: disk limit cannot be negative$/],
    ['clean: {threshold_bytes: -1}', /^invalid argument: clean threshold cannot be negative$/],
    ['init: {store_size_bytes: -1}', /^invalid argument: store size cannot be negative$/],
  ])('%p', (yaml, sentence) => {
    expect(failure('--config FILE list', yaml)).toMatch(sentence);
  });

  test.each([
    ['create --disk-limit-size-bytes -1 a b', 'invalid argument: disk limit cannot be negative'],
    ['clean --threshold-bytes -1', 'invalid argument: clean threshold cannot be negative'],
    ['create --threshold-bytes -1 a b', 'invalid argument: clean threshold cannot be negative'],
  ])('%s', (line, sentence) => {
    expect(failure(line)).toBe(sentence);
  });

  test('a file of more than a mebibyte is not read', () => {
    expect(failure('--config FILE list', `#${'x'.repeat(1024 * 1024)}`)).toMatch(/file too large$/);
  });

  test('names of control characters do not reach the terminal', () => {
    expect(failure('--config /nope\u001b[2J list')).toBe(
      'invalid config path: open /nope\\u{1b}[2J: no such file or directory',
    );
  });
});
