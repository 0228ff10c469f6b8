/** The configuration files of both stores: GrootFS's keys alone, and the numbers that thresholder would find. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { cpSync, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must, type Ran, run } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import { type Properties, properties, readYaml, renderWell } from './release.ts';
import { FULL_GRAFT } from './sets.ts';
import { rewrite, type Sizes, sizes } from './thresholder.ts';

const MIB = 1024 ** 2;
const GIB = 1024 * MIB;
/** Of a size, as the shell counts. */
const NINE_TENTHS = (bytes: number) => Math.floor((bytes * 9) / 10);
const STORES = ['unprivileged', 'privileged'] as const;

let dir: TempDir;
beforeAll(() => {
  dir = tempDir();
});
afterAll(() => dir.remove());

let counter = 0;
async function rendered(set: Properties = {}): Promise<string> {
  const out = dir.at(`job${counter++}`);
  await renderWell('graft', out, { properties: set });
  return out;
}
interface Config {
  readonly store: string;
  readonly create: Readonly<Record<string, unknown>>;
  readonly clean: { readonly threshold_bytes: number };
  readonly init: { readonly store_size_bytes: number };
}
const readConfig = (out: string, store: string) => readYaml<Config>(out, `config/${store}.yml`);

describe('with the default properties', () => {
  for (const store of STORES) {
    test(`${store}.yml is what GrootFS gets on a cell, without its helpers`, async () => {
      expect<unknown>(readConfig(await rendered(), store)).toEqual({
        store: `/var/vcap/data/graft/store/${store}`,
        log_level: 'info',
        metron_endpoint: '127.0.0.1:3457',
        create: {
          without_mount: false,
          insecure_registries: [],
          skip_layer_validation: true,
          with_clean: false,
          clean_log_file: '/var/vcap/sys/log/graft/clean.log',
        },
        clean: { threshold_bytes: 0 },
        init: { store_size_bytes: 0, with_direct_io: false },
      });
    });
  }
});

describe('with all properties', () => {
  test('every value arrives', async () => {
    expect<unknown>(readConfig(await rendered(FULL_GRAFT), 'privileged')).toEqual({
      store: '/var/vcap/store-b/p',
      log_level: 'debug',
      create: {
        without_mount: true,
        insecure_registries: ['registry.internal:5000', '10.0.0.9'],
        skip_layer_validation: false,
        with_clean: false,
        clean_log_file: '/var/vcap/sys/log/graft/clean.log',
        remote_layer_client_certificates_path: '/var/vcap/jobs/graft/config/remote-layer',
      },
      clean: { threshold_bytes: 0 },
      init: { store_size_bytes: 0, with_direct_io: true },
    });
  });

  test('certificates and credentials are named, not included', async () => {
    const out = await rendered(FULL_GRAFT);
    const text = readFileSync(join(out, 'config/unprivileged.yml.d/graft.yml'), 'utf8');
    expect(text).not.toContain('BEGIN');
    expect(text).not.toContain('dXNlcjpwYXNzd29yZA');
    expect(Bun.YAML.parse(text)).toMatchObject({
      registries: {
        certs_dirs: ['/var/vcap/jobs/graft/config/certs.d', '/etc/docker/certs.d'],
        docker_config: '/var/vcap/jobs/graft/config/docker-config.json',
      },
      metrics: { file: '/var/vcap/data/node_exporter/graft.prom' },
    });
    expect(JSON.parse(readFileSync(join(out, 'config/docker-config.json'), 'utf8'))).toEqual({
      auths: { 'registry.internal:5000': { auth: 'dXNlcjpwYXNzd29yZA==' } },
    });
  });
});

describe('a rewrite by thresholder', () => {
  const found: Sizes = { withClean: true, threshold: 85 * GIB, storeSize: 85 * GIB };
  for (const [name, set] of Object.entries({ default: {}, full: FULL_GRAFT })) {
    test(`loses no key of the ${name} configuration, and keeps every value`, async () => {
      const out = await rendered(set);
      for (const store of STORES) {
        const before = readConfig(out, store);
        expect(rewrite(join(out, `config/${store}.yml`), found)).toEqual([]);
        const after = readConfig(out, store);
        expect(after).toMatchObject({
          ...before,
          create: { ...before.create, with_clean: true },
          clean: { threshold_bytes: 85 * GIB },
          init: { ...before.init, store_size_bytes: 85 * GIB },
        });
      }
    });
  }
});

/** Runs lines of bash after the job's own libraries, which find the rendered job where a cell has it. */
async function inJob(out: string, script: string, args: readonly string[] = []): Promise<Ran> {
  const scripts = dir.at(`bin${counter++}`);
  cpSync(join(out, 'bin'), scripts, { recursive: true });
  for (const name of ['lib.sh', 'sizing.sh']) {
    const file = join(scripts, name);
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll('/var/vcap/jobs/graft', out));
  }
  const load = `source "${scripts}/lib.sh"; source "${scripts}/sizing.sh"`;
  return run('bash', ['-c', `${load}; ${script}`, 'bash', ...args]);
}

describe('sizes', () => {
  const disks = [0, 10 * GIB, 15 * GIB, 30 * GIB, 30 * GIB + 1, 31 * GIB, 100 * GIB, 16 * 1024 * GIB];
  const reserves: [megabytes: number, routine: boolean][] = [
    [15360, false],
    [0, false],
    [-1, false],
    [20000, false],
    [15360, true],
    [-1, true],
  ];
  for (const [reserved, routine] of reserves) {
    test(`are thresholder's with ${reserved} MiB reserved${routine ? ' and routine GC' : ''}`, async () => {
      const set = properties({
        'graft.reserved_space_for_other_jobs_in_mb': reserved,
        'graft.routine_gc': routine,
      });
      const out = await rendered(set);
      const script =
        'for disk in "$@"; do compute_sizes "$disk" >/dev/null; echo "$WITH_CLEAN $THRESHOLD $STORE_SIZE"; done';
      const ran = await inJob(out, script, disks.map(String));
      const expected = disks.map((disk) => {
        const { withClean, threshold, storeSize } = sizes(disk, reserved, routine);
        return `${withClean} ${threshold} ${storeSize}`;
      });
      expect(ran.stdout.trim().split('\n')).toEqual(expected);
    });
  }

  test('warn when the reserve leaves less than 15 GiB', async () => {
    const ran = await inJob(await rendered(), `compute_sizes ${20 * GIB}`);
    expect(ran.stdout).toContain('warning: 15360 MiB reserved of 20480 leave less than 15 GiB');
    expect((await inJob(await rendered(), `compute_sizes ${100 * GIB}`)).stdout).toBe('');
  });

  test('are written into both files, before and after a rewrite by thresholder', async () => {
    const out = await rendered(properties({ 'graft.data_path': dir.path }));
    const script = `compute_sizes ${100 * GIB}; for name in "\${STORES[@]}"; do size_store "$name"; done`;
    for (const round of ['as rendered', 'rewritten']) {
      const ran = await inJob(out, script);
      expect([round, ran.stderr, ran.code]).toEqual([round, '', 0]);
      for (const store of STORES) {
        const { create, clean, init } = readConfig(out, store);
        expect([create['with_clean'], clean.threshold_bytes, init.store_size_bytes]).toEqual([
          true,
          NINE_TENTHS(85 * GIB),
          85 * GIB,
        ]);
        rewrite(join(out, `config/${store}.yml`), { withClean: false, threshold: 1, storeSize: 2 });
      }
    }
    expect(statSync(join(out, 'config/privileged.yml')).mode & 0o777).toBe(0o600);
  });

  test('of a store with a size of its own do not exceed it, and the threshold neither', async () => {
    const out = await rendered(properties({ 'graft.privileged_store.size_in_mb': 2048 }));
    await inJob(out, `compute_sizes ${100 * GIB}; size_store privileged`);
    const { clean, init } = readConfig(out, 'privileged');
    expect([clean.threshold_bytes, init.store_size_bytes]).toEqual([NINE_TENTHS(2 * GIB), 2 * GIB]);
  });

  test('never give a threshold that thresholder’s is below', async () => {
    const out = await rendered(properties({ 'graft.routine_gc': true }));
    await inJob(out, `compute_sizes ${100 * GIB}; size_store privileged`);
    expect(readConfig(out, 'privileged').clean.threshold_bytes).toBe(0);
  });

  test('leave the threshold to the operator who sets one', async () => {
    const out = await rendered(properties({ 'graft.gc_threshold_in_mb': 500 }));
    await inJob(out, `compute_sizes ${100 * GIB}; size_store privileged`);
    expect(readConfig(out, 'privileged').clean.threshold_bytes).toBe(500 * MIB);
  });

  test('of a store that exists stay as they are, and it says so', async () => {
    const store = dir.at(`existing${counter++}/privileged`);
    const out = await rendered(properties({ 'graft.privileged_store.path': store }));
    mkdirSync(join(store, '..'), { recursive: true });
    writeFileSync(`${store}.backing-store`, '');
    truncateSync(`${store}.backing-store`, 3 * GIB);
    const ran = await inJob(out, `compute_sizes ${100 * GIB}; size_store privileged`);
    expect(ran.stdout).toContain('the privileged store keeps its 3072 MiB instead of 87040 MiB');
    expect(readConfig(out, 'privileged').init.store_size_bytes).toBe(3 * GIB);
  });

  test('count what the stores hold of the disk as theirs, so that a second run finds the same', async () => {
    // A filesystem of its own, since others write to the one of the tests.
    const disk = dir.at('disk');
    mkdirSync(disk);
    await must('mount', ['-t', 'tmpfs', '-o', 'size=256M', 'tmpfs', disk]);
    const store = join(disk, 'store/privileged');
    const out = await rendered(properties({ 'graft.data_path': disk, 'graft.privileged_store.path': store }));
    mkdirSync(join(store, '..'), { recursive: true });
    expect((await inJob(out, 'disk_bytes')).stdout).toBe(String(256 * MIB));
    writeFileSync(`${store}.backing-store`, Buffer.alloc(32 * MIB, 1));
    expect((await inJob(out, 'disk_bytes')).stdout).toBe(String(256 * MIB));
    writeFileSync(join(disk, 'other'), Buffer.alloc(16 * MIB, 1));
    expect((await inJob(out, 'disk_bytes')).stdout).toBe(String(240 * MIB));
  });

  test('are refused where a configuration file lost its keys', async () => {
    const out = await rendered();
    writeFileSync(join(out, 'config/privileged.yml'), 'store: /x\n');
    const ran = await inJob(out, `compute_sizes ${100 * GIB}; size_store privileged`);
    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain('does not have the key with_clean exactly once: deploy again');
    expect(readFileSync(join(out, 'config/privileged.yml'), 'utf8')).toBe('store: /x\n');
  });
});

describe('the largest id', () => {
  test('is 4294967294 with a whole id map, as Garden’s own maximus says', async () => {
    expect((await inJob(await rendered(), 'maximus')).stdout).toBe('4294967294\n');
  });

  test('is the end of a smaller map', async () => {
    const out = await rendered();
    const scripts = dir.at(`bin${counter++}`);
    cpSync(join(out, 'bin'), scripts, { recursive: true });
    const file = join(scripts, 'lib.sh');
    writeFileSync(dir.at('uid_map'), '0 100000 65536\n70000 200000 1000\n');
    writeFileSync(dir.at('gid_map'), '0 100000 60000\n');
    const text = readFileSync(file, 'utf8')
      .replaceAll('/var/vcap/jobs/graft', out)
      .replace('/proc/self/uid_map', dir.at('uid_map'))
      .replace('/proc/self/gid_map', dir.at('gid_map'));
    writeFileSync(file, text);
    const ran = await run('bash', [
      '-c',
      `source "${file}"; maximus; mappings_of unprivileged; echo "\${MAPPINGS[@]}"`,
    ]);
    expect(ran.stdout.split('\n').slice(0, 2)).toEqual([
      '59999',
      '--uid-mapping 0:59999:1 --gid-mapping 0:59999:1 --uid-mapping 1:1:59998 --gid-mapping 1:1:59998',
    ]);
  });

  test('maps nothing in the privileged store', async () => {
    const ran = await inJob(await rendered(), `mappings_of privileged; echo "\${#MAPPINGS[@]}"`);
    expect(ran.stdout).toBe('0\n');
  });
});
