/** The test command's own arithmetic: it must not be able to pass by accident. */
import { describe, expect, test } from 'bun:test';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { secondLook } from '../../ci/run-tests.ts';
import { belowTests, findParts, unknownNames } from '../../ci/test-parts.ts';
import { judge } from '../../ci/test-report.ts';
import { faultSample, sampled } from '../support/faults/todays-points.ts';
import { PROJECT, run } from '../support/shell.ts';
import { tempDir } from '../support/temp.ts';

describe('a group of tests', () => {
  async function outcome(source: string): Promise<{ passed: number; failed: number; remarks: string[] }> {
    await using dir = tempDir();
    writeFileSync(dir.at('x.test.ts'), `import { expect, test } from 'bun:test';\n${source}`);
    const report = dir.at('report.xml');
    const args = ['test', './x.test.ts', '--reporter=junit', `--reporter-outfile=${report}`];
    const { code } = await run(process.execPath, args, { cwd: dir.path });
    const { passed, failed, remarks } = judge('x', report, code, 0);
    return { passed, failed, remarks: [...remarks] };
  }

  test.each([
    ['passes', "test('a', () => {});\ntest('b', () => {});", 2, 0, ''],
    ['fails with a failed test', "test('a', () => {});\ntest('b', () => expect(1).toBe(2));", 1, 1, ''],
    ['fails with a skipped test', "test('a', () => {});\ntest.skip('b', () => {});", 1, 1, '1 skipped'],
    ['fails with a test to do', "test('a', () => {});\ntest.todo('b');", 1, 1, '1 skipped'],
    ['fails without tests', '', 0, 1, 'no test ran'],
    ['fails when the file cannot be loaded', "throw new Error('no');", 0, 1, 'no test ran'],
    [
      'fails when it stops half-way',
      "test('a', () => {});\ntest('b', () => process.exit(0));",
      0,
      1,
      'no test ran',
    ],
    [
      'fails when the runner is killed',
      "test('a', () => { process.kill(process.pid, 'SIGKILL'); });",
      0,
      1,
      'no test ran',
    ],
  ])('%s', async (_, source, passed, failed, remark) => {
    const result = await outcome(source);
    expect(result).toMatchObject({ passed, failed });
    expect(result.remarks.join()).toContain(remark);
  });

  test('names what failed', async () => {
    await using dir = tempDir();
    writeFileSync(
      dir.at('x'),
      `<testsuites name="bun test" tests="3" failures="1" skipped="1">
        <testcase name="good" file="a.test.ts" />
        <testcase name="1 &lt; &quot;2&quot;" classname="" file="a.test.ts" line="2">
          <failure type="AssertionError" message="no">no</failure>
        </testcase>
        <testcase name="later" file="a.test.ts">
          <skipped />
        </testcase>`,
    );
    expect(judge('g', dir.at('x'), 1, 0).culprits).toEqual([
      'a.test.ts: 1 < "2"',
      'a.test.ts: later',
      'g: 1 skipped, which counts as failed',
    ]);
  });

  test('says how long each file took', async () => {
    await using dir = tempDir();
    writeFileSync(
      dir.at('x'),
      `<testsuites name="bun test" tests="3" failures="0" skipped="0" time="9.5">
  <testsuite name="test/a.test.ts" file="test/a.test.ts" tests="2" time="4.25" hostname="h">
    <testsuite name="inside" file="test/a.test.ts" line="3" tests="2" time="4">`,
    );
    expect(judge('g', dir.at('x'), 0, 0).files).toEqual([{ file: 'test/a.test.ts', seconds: 4.25 }]);
  });

  test('fails when every test passed and the runner did not', () => {
    const report = tempDir();
    writeFileSync(report.at('x'), '<testsuites name="bun test" tests="3" failures="0" skipped="0">');
    expect(judge('x', report.at('x'), 1, 0)).toMatchObject({ passed: 3, failed: 1 });
    return report.remove();
  });
});

/** The command lines of all processes that this one can see. */
function commandLines(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return [readFileSync(`/proc/${pid}/cmdline`, 'utf8')];
      } catch {
        return [];
      }
    });
}

describe('ci/isolated', () => {
  test('hands on the status, and ends what was left running', async () => {
    await using dir = tempDir();
    // A number of seconds that nobody else sleeps.
    const seconds = `300.${process.pid}`;
    const script = `sleep ${seconds} & mount -t tmpfs tmpfs "$1"; touch "$1/inside"; exit 9`;
    const ran = await run('ci/isolated', ['sh', '-c', script, 'sh', dir.path]);
    expect(ran.code).toBe(9);
    expect(readdirSync(dir.path)).toEqual([]);
    expect(commandLines().filter((line) => line.includes(seconds))).toEqual([]);
  });
});

describe('a second look at what failed', () => {
  const parts = [
    { name: 'unit 1/2', group: 'unit', files: ['./test/unit/a.test.ts', './test/unit/b.test.ts'] },
    { name: 'unit 2/2', group: 'unit', files: ['./test/unit/c.test.ts'] },
  ];
  const result = (name: string, failed: number, culprits: string[], remarks: string[] = []) => ({
    ...{ name, passed: 9, failed, seconds: 1, remarks, culprits, files: [] },
  });
  const once = result('unit 1/2', 1, ['test/unit/b.test.ts: now and then']);
  const good = result('unit 2/2', 0, []);

  test('runs the files that failed, and what fails again has failed', async () => {
    const asked: unknown[] = [];
    const again = async (part: unknown) => {
      asked.push(part);
      return once;
    };
    expect(await secondLook(parts, [once, good], again)).toEqual([once, good]);
    expect(asked).toEqual([{ name: 'unit 1/2 again', group: 'unit', files: ['./test/unit/b.test.ts'] }]);
  });

  test('names what did not fail again', async () => {
    const looked = await secondLook(parts, [once, good], async () => good);
    expect(looked).toMatchObject([{ passed: 10, failed: 0, culprits: [], unsteady: once.culprits }, good]);
  });

  test.each([
    ['nothing that passed', [good]],
    [
      'no more than three in the whole run',
      [
        result('unit 1/2', 2, Array(2).fill('test/unit/a.test.ts: x')),
        result('unit 2/2', 2, Array(2).fill('test/unit/c.test.ts: x')),
      ],
    ],
    ['no part whose runner broke down', [result('unit 1/2', 1, ['unit: no test ran'], ['no test ran'])]],
    ['no check of types and lint', [result('check', 1, ['check: types or lint'])]],
  ])('takes %s', async (_, first) => {
    const never = () => Promise.reject(new Error('it was run again'));
    expect(await secondLook(parts, first, never)).toEqual(first);
  });
});

describe('the parts of a run', () => {
  const all = findParts('test', []);
  const files = all.flatMap((part) => part.files);

  test('hold every test file once', () => {
    const there = readdirSync('test', { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.test.ts'),
    );
    expect(files.toSorted()).toEqual(there.map((name) => `./test/${name}`).sort());
  });

  test('start with the quota kernel, whole', () => {
    expect(all.map(({ group }) => group).indexOf('quota')).toBe(0);
    expect(all.filter(({ group }) => group === 'quota')).toHaveLength(1);
  });

  test('are those of the folders and files that are asked for', () => {
    const some = findParts('test', ['unit/oci', 'unit/ci.test.ts']).flatMap((part) => part.files);
    expect(some).toContain('./test/unit/ci.test.ts');
    expect(some.filter((file) => !file.startsWith('./test/unit/oci/'))).toEqual(['./test/unit/ci.test.ts']);
    expect(findParts('test', ['unit/nothing'])).toEqual([]);
  });
});

describe('the sample of fault points', () => {
  const points = Array.from({ length: 10 }, (_, i) => i);
  const day = (n: number) => faultSample(undefined, n * 86_400_000);

  test.each([0, 1, 2])('covers all points in eight days, shifted by %p', (shift) => {
    const seen = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((n) => sampled(points, day(n), shift));
    expect(seen.toSorted()).toEqual(points);
    expect(sampled(points, day(8), shift)).toEqual(sampled(points, day(0), shift));
  });

  test('is what the environment names', () => {
    expect(sampled(points, faultSample('all'))).toEqual(points);
    expect(sampled(points, faultSample('2/8'))).toEqual([1, 9]);
    for (const bad of ['', '0/8', '9/8', '1/4', 'most'])
      expect(() => faultSample(bad)).toThrow('all or 1/8 to 8/8 is needed');
  });
});

describe('the npm packages are current', () => {
  const FITS = { version: '1.0.0', os: [process.platform], cpu: [process.arch] };
  const packages = {
    '': { optionalDependencies: { fits: '1.0.0', foreign: '1.0.0' } },
    'node_modules/plain': { version: '1.0.0' },
    'node_modules/fits': { ...FITS, optional: true },
    'node_modules/foreign': { ...FITS, os: ['aix'], optional: true },
    // For another C library, and needed by a package for another platform only: npm installs neither.
    'node_modules/musl': { ...FITS, libc: ['musl'], optional: true },
    'node_modules/wasm': { version: '1.0.0', optional: true },
  };
  const installed = { plain: '1.0.0', fits: '1.0.0' };

  async function isCurrent(found: Readonly<Record<string, string>>): Promise<boolean> {
    await using dir = tempDir();
    writeFileSync(dir.at('package-lock.json'), JSON.stringify({ packages }));
    for (const [name, version] of Object.entries(found)) {
      mkdirSync(dir.at(`node_modules/${name}`), { recursive: true });
      writeFileSync(dir.at(`node_modules/${name}/package.json`), JSON.stringify({ version }));
    }
    return (await run('node', [`${PROJECT}/ci/npm-stale.mjs`], { cwd: dir.path })).code === 0;
  }

  test('when all that npm would install is there', async () => {
    expect(await isCurrent(installed)).toBe(true);
  });

  test.each([
    ['a package is missing', { fits: '1.0.0' }],
    ['the optional package of this platform is missing', { plain: '1.0.0' }],
    ['a package has another version', { ...installed, plain: '1.0.1' }],
    ['an optional package has another version', { ...installed, wasm: '1.0.1' }],
  ])('but not when %s', async (_, found) => {
    expect(await isCurrent(found)).toBe(false);
  });

  // A second set-up would take the packages away under the tests that run meanwhile.
  test('in this checkout, after its set-up', async () => {
    expect((await run('node', ['ci/npm-stale.mjs'])).code).toBe(0);
  });
});

describe('names of tests on the command line', () => {
  const TESTS = `${PROJECT}/test`;

  test.each([
    ['unit', 'unit'],
    ['unit/cmd/', 'unit/cmd'],
    ['test/bosh/config.test.ts', 'bosh/config.test.ts'],
    ['./test/unit', 'unit'],
  ])('%s is %s', (typed, below) => {
    expect(belowTests(typed)).toBe(below);
    expect(unknownNames(TESTS, [below]).unknown).toEqual([]);
  });

  test('one that fits nothing is told, with the groups that there are, before anything is built', async () => {
    const { unknown, groups } = unknownNames(TESTS, ['unit', 'nosuch', 'unit/nosuch.test.ts']);
    expect(unknown).toEqual(['nosuch', 'unit/nosuch.test.ts']);
    expect(groups).toContain('quota');
    const ran = await run(process.execPath, ['ci/run-tests.ts', '--look-only', 'test/nosuch'], {
      cwd: PROJECT,
    });
    expect([ran.code, ran.stdout]).toEqual([
      1,
      expect.stringContaining('no tests are called nosuch; the groups are bosh,'),
    ]);
    expect(ran.stdout).toEndWith('\n0 passed, 1 failed\n');
  });
});
