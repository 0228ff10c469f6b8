/**
 * A new operator's walk: from README, by the links of the pages, to containers on a rendered cell whose layers lie on
 * CernVM-FS, and back. Every command is a block of a page or a call that a page lists; what is changed in them
 * is in operators-walk-steps.ts, with the reason. Limits are kept where the kernel has project quotas; where it has none they are
 * left out here, and test/quota/ shows the same pages with them.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Cell } from '../bosh/cell.ts';
import { STORES, type StoreName, storePath, waitFor } from '../bosh/diego-cell.ts';
import { looksLike, type Machine, machine, redirectRegistries, stepsOf } from '../docs/machine.ts';
import { allBlocks, blocks, readPage } from '../docs/page.ts';
import { type MadeImage, makeBusyboxImage } from '../support/images/images.ts';
import { push, startRegistry, type TestRegistry } from '../support/registries/registry.ts';
import { cleanEnv, must, run } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import { debs, MAXIMUS, publish } from './operators-walk-client.ts';
import { bosh, Director } from './operators-walk-director.ts';
import {
  checkout,
  gardenCall,
  ownOperations,
  pluginOf,
  sectionsOf,
  substituted,
} from './operators-walk-steps.ts';

const FQRN = 'unpacked.cern.ch';
const MINUTES = 60_000;
let dir: TempDir;
let registry: TestRegistry;
let image: MadeImage;
let limits: boolean;
const surroundings = () => ({ limits, registry: registry.host });
const changed = (commands: string) => substituted(commands, surroundings());

beforeAll(async () => {
  dir = tempDir();
  limits = (await run('ci/has-project-quotas', [], { env: cleanEnv() })).code === 0;
  image = await makeBusyboxImage(dir.at('images'), 'app');
  await must('umoci', ['insert', '--image', image.name, '--whiteout', '/etc/group']);
  registry = await startRegistry(dir.at('registry'));
  for (const name of ['library/busybox:latest', 'team/app:1.0'])
    await push(`oci:${image.name}`, `docker://${registry.host}/${name}`);
  checkout(dir.at('machine/srv/graft'));
}, 3 * MINUTES);
afterAll(async () => {
  await registry?.stop();
  await dir?.remove();
});

describe('the pages', () => {
  const WAY = ['README.md', 'docs/getting-started.md', 'docs/behind-garden.md', 'docs/bosh-cell.md'];
  test.each(WAY.slice(1).map((page, at) => [WAY[at] ?? '', page]))('%s leads to %s', (from, to) => {
    const target = from === 'README.md' ? to : to.replace('docs/', '');
    expect(readPage(from)).toContain(`](${target})`);
  });

  test('README has two commands, and demo.test.ts runs the one that is not this', () => {
    expect(allBlocks('README.md').map(({ text }) => text)).toEqual(['npm run demo\n', 'npm test\n']);
  });
});

describe('by hand', () => {
  let here: Machine;
  beforeAll(async () => {
    here = await machine(
      { ...dir, at: (...names) => dir.at('machine', ...names), path: dir.at('machine') },
      false,
    );
    redirectRegistries(here, registry.host, ['docker.io']);
  });
  afterAll(() => here?.[Symbol.asyncDispose]());

  const [installed, built, ...steps] = stepsOf(allBlocks('docs/getting-started.md'));

  test(
    'graft is built and installed from the sources',
    async () => {
      expect(installed?.commands).toContain('sha256sum --check');
      for (const line of changed(built?.commands ?? '')
        .trim()
        .split('\n')) {
        // What npm calls is the machine's; where it installs to is the walk's.
        if (line.startsWith('npm ')) await must('bash', ['-c', line], { cwd: dir.at('machine/srv/graft') });
        else await here.must(`cd /srv/graft\n${line}`);
      }
      expect(await here.must('graft version')).toMatch(/^graft version \d/);
    },
    3 * MINUTES,
  );

  test.each(steps.map((step) => [step.commands.split('\n')[0], step] as const))(
    'docs/getting-started.md: %s',
    async (_, { commands, prints }) => {
      const { stdout, code } = await here.run(changed(commands));
      expect([stdout, code]).toEqual([stdout, 0]);
      if (limits && prints !== undefined && !looksLike(prints, stdout)) expect(stdout).toBe(prints);
    },
    3 * MINUTES,
  );

  test(
    'docs/behind-garden.md: two stores, and Garden’s calls by hand',
    async () => {
      const [config = ''] = blocks('docs/behind-garden.md', 'yaml');
      for (const store of ['unprivileged', 'privileged'])
        writeFileSync(here.at(`srv/${store}.yml`), config.replace('unprivileged', store));
      for (const commands of blocks('docs/behind-garden.md', 'sh')) await here.must(changed(commands));
      for (const store of ['unprivileged', 'privileged']) {
        expect(await here.must(`graft --config ${store}.yml list`)).toBe('Store empty\n');
        // As the page that made the stores says of taking one away.
        await here.must(`graft --config ${store}.yml delete-store`);
      }
    },
    2 * MINUTES,
  );
});

describe('on a BOSH cell', () => {
  const PAGE = 'docs/bosh-cell.md';
  const CLIENT = 'bosh/src/cvmfs-client/README.md';
  let cell: Cell;
  let boot: ReturnType<Cell['boot']>;
  let director: Director;
  let calls: () => string[][];

  beforeAll(async () => {
    // Where the quota kernel has a disk with extended attributes.
    cell = new Cell(tempDir(process.env['GRAFT_QUOTA_STORE']));
    boot = cell.boot();
    const at = dir.at('machine/srv/graft');
    ({ calls } = await bosh(dir.at('tools')));
    await debs(at, readPage(CLIENT).match(/\S+\.deb(?= cvmfs-client)/g) ?? []);
    await publish(cell, image, FQRN);
    const [variables = ''] = blocks(PAGE, 'yaml');
    // The server of the repository is here, as cvmfs2 also takes one.
    writeFileSync(
      join(at, 'cvmfs.yml'),
      variables.replace(/http:\/\/[^"]*@fqrn@/, 'file:///var/vcap/data/@fqrn@'),
    );
    director = new Director({
      checkout: at,
      cell,
      boot,
      own: (files) => ownOperations(files, surroundings()),
    });
  }, 3 * MINUTES);
  afterAll(async () => {
    await boot?.pullPlug();
    await cell?.[Symbol.asyncDispose]();
  });

  /** Runs one block of a page as the operator, and does as director what its `bosh` commands ask for. */
  async function operate(commands: string): Promise<string> {
    const env = cleanEnv({ PATH: `${dir.at('tools')}:/usr/sbin:/usr/bin:/sbin:/bin` });
    const cwd = dir.at('machine/srv/graft');
    // Built already, by hand.
    const lines = changed(commands).replace(/^npm run build\n/m, '');
    await must('bash', ['-euo', 'pipefail', '-c', lines], { cwd, env });
    let shown = '';
    for (const words of calls()) shown += await director.obey(words);
    return shown;
  }

  const plugin = (store: StoreName) => pluginOf(director.garden, store);
  const garden = (store: StoreName, call: 'create' | 'stats' | 'delete', ...words: string[]) =>
    `${plugin(store)} ${gardenCall(call, words, surroundings())}`;
  const sections = sectionsOf(PAGE);
  const section = async (title: string) => {
    const found = sections.get(title) ?? [];
    expect([title, found.length > 0]).toEqual([title, true]);
    let shown = '';
    for (const block of found) shown += await operate(block);
    return shown;
  };

  test('no commands of docs/bosh-cell.md are left out', () => {
    expect([...sections].flatMap(([title, found]) => (found.length > 0 ? [title] : []))).toEqual([
      'Make and upload the release',
      'Deploy',
      'Layers from CernVM-FS',
      'Look at a cell',
      'Back to GrootFS',
    ]);
  });

  test(
    'the release is made, uploaded and deployed, and prepares both stores',
    async () => {
      await section('Make and upload the release');
      await section('Deploy');
      const said = cell.read('sys/log/graft/pre-start.stdout.log');
      for (const store of STORES)
        expect(said).toContain(`the ${store} store makes, limits and deletes containers`);
    },
    4 * MINUTES,
  );

  test(
    'a release with the client brings every repository to the cell, twice',
    async () => {
      for (const commands of blocks(CLIENT, 'sh')) await operate(commands);
      await section('Layers from CernVM-FS');
      for (const root of ['/var/cvmfs', '/var/cvmfs-mapped'])
        await waitFor(boot, `grep -q ' ${root}/${FQRN} .* cvmfs2 ' /proc/self/mountinfo`);
    },
    4 * MINUTES,
  );

  const reference = () => `docker://${registry.host}/team/app:1.0`;

  test('docs/cvmfs.md: inspect says that the layers are there', async () => {
    const [commands = ''] = blocks('docs/cvmfs.md', 'sh');
    const said = await boot.must(`export PATH=/var/vcap/packages/graft/bin:$PATH\n${changed(commands)}`);
    expect(said).toContain(`/var/cvmfs/${FQRN}`);
  });

  describe.each(STORES)('in the %s store', (store) => {
    let root: string;

    test('Garden creates a container, none of whose layers is fetched', async () => {
      const spec = JSON.parse(await boot.must(garden(store, 'create', reference(), 'web')));
      root = spec.root.path;
      expect(root).toBe(`${storePath(store)}/images/web/rootfs`);
      expect(spec.process.env).toContain('GREETING=hello');
      const [listed] = JSON.parse(await boot.must(`${plugin(store)} list --json`));
      expect(listed.id).toBe('web');
      expect(listed.layers.map((layer: { source: string }) => layer.source)).toEqual(['cvmfs', 'cvmfs']);
      expect(JSON.stringify(listed)).toContain(FQRN);
    });

    test('a process in it sees the image’s files with their owners, and writes its own', async () => {
      const script = 'cat /etc/passwd; echo written >/etc/new; cat /etc/new; ls -A / /etc';
      const said = await boot.must(`chroot ${root} /bin/sh -c '${script}'`);
      expect(said).toContain('app:x:1000');
      expect(said).toContain('\nwritten\n');
      expect(said).not.toMatch(/^(group|\.wh\..*|\.cvmfscatalog)$/m);
      const owner = store === 'privileged' ? 0 : MAXIMUS;
      expect(await boot.must(`stat -c %u ${root}/etc/passwd`)).toBe(`${owner}\n`);
    });

    test('Garden asks for its stats', async () => {
      const { disk_usage } = JSON.parse(await boot.must(garden(store, 'stats', 'web')));
      // The sizes of published layers are asked for where a limit counts them (docs/cvmfs.md).
      if (limits) expect(disk_usage.total_bytes_used).toBeGreaterThan(1_000_000);
      expect(disk_usage.quota_size_bytes > 0).toBe(limits);
    });
  });

  test('runc starts on what create printed', async () => {
    const fragment = JSON.parse(await boot.must(garden('privileged', 'create', reference(), 'runc')));
    await boot.must('mkdir /var/tmp/bundle; cd /var/tmp/bundle; runc spec');
    const config = cell.dir.at('var/tmp/bundle/config.json');
    const spec = await Bun.file(config).json();
    const args = ['/bin/sh', '-c', 'id -u; pwd; echo $GREETING; echo made >made; cat made'];
    const process = { ...spec.process, ...fragment.process, terminal: false, args };
    const merged = { ...spec, ...fragment, root: { ...fragment.root, readonly: false }, process };
    writeFileSync(config, JSON.stringify(merged));
    const name = `graft-walk-${crypto.randomUUID()}`;
    expect(await boot.must(`runc run --bundle /var/tmp/bundle ${name}`)).toBe(
      '1000\n/home/app\nhello\nmade\n',
    );
    await boot.must(garden('privileged', 'delete', 'runc'));
  });

  test('the operator looks at the cell', async () => {
    const shown = await section('Look at a cell');
    for (const store of STORES) expect(shown).toContain(`== the ${store} store\n`);
    const problems = shown.match(/^PROBLEM .*$/gm) ?? [];
    expect(problems.filter((line) => limits || !line.includes('disk limits'))).toEqual([]);
    expect(shown).toContain(`store ${storePath('unprivileged')} (xfs`);
    expect(shown).toContain('web');
  });

  test('Garden deletes the container from both plugins, and a clean leaves nothing', async () => {
    const [, clean = ''] = /'sudo (.* clean --threshold-bytes 0)'/.exec(readPage(PAGE)) ?? [];
    for (const store of STORES) {
      expect(await boot.must(garden(store, 'delete', 'web'))).toBe('Image web deleted\n');
      expect(await boot.must(clean.replace('unprivileged', store))).toBe('clean completed\n');
      expect(await boot.must(`${plugin(store)} check`)).toBe('Nothing is wrong.\n');
      expect(await boot.must(`ls ${storePath(store)}/images ${storePath(store)}/volumes`)).toBe(
        `${storePath(store)}/images:\n\n${storePath(store)}/volumes:\n`,
      );
    }
  });

  test(
    'the way back drains, takes both stores away, and Garden is GrootFS’s again',
    async () => {
      await section('Back to GrootFS');
      expect(cell.read('sys/log/graft/drain.stdout.log')).toContain('mounts stay');
      expect(Object.keys(director.garden).filter((name) => name.includes('image_plugin'))).toEqual([]);
      expect(await boot.must('ls /var/vcap/jobs /var/vcap/data/graft/store')).toBe(
        '/var/vcap/data/graft/store:\n\n/var/vcap/jobs:\n',
      );
      expect(await boot.must("grep -cE ' /var/(vcap/data/graft|cvmfs)' /proc/self/mountinfo || true")).toBe(
        '0\n',
      );
    },
    2 * MINUTES,
  );
});
