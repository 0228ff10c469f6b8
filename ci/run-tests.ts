/**
 * Runs the tests in parts side by side, one for each processor, and adds up what they report. Anything that is not a
 * passed test counts as failed: a skipped test, a part without tests, a runner that breaks down.
 */
import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { belowTests, findParts, type Part, QUOTA, unknownNames } from './test-parts.ts';
import { judge, type Result } from './test-report.ts';

const PROJECT = join(import.meta.dir, '..');
const TESTS = join(PROJECT, 'test');
/** Only says whether the names on the command line are those of tests: before a build, which takes longer. */
const LOOK_ONLY = '--look-only';
const TEST_TIMEOUT_MS = 180_000;
const PART_TIMEOUT_S = 1800;
/** A run with more failures than this is no accident. */
const MAX_UNSTEADY = 3;
/** So many of the slowest files are named at the end: where the time of a run goes. */
const SLOWEST = 15;

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

/** A runner's command, the directory of its results, and what it finds in its environment. */
interface Runner {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly report: string;
}

function runnerOf(part: Part, results: string, work: string): Runner {
  const bun = [
    process.execPath,
    'test',
    `--timeout=${TEST_TIMEOUT_MS}`,
    '--only-failures',
    '--reporter=junit',
  ];
  const report = join(results, 'junit.xml');
  if (part.group === QUOTA) {
    const command = [join(PROJECT, 'ci/with-quota'), ...bun, '--reporter-outfile=/run/results/junit.xml'];
    // Not on the disk of the other parts: what they measure there is theirs.
    const tmp = process.env['GRAFT_QUOTA_TMPDIR'] ?? work;
    const env = { GRAFT_RESULTS: results, GRAFT_QUOTA_SECONDS: String(PART_TIMEOUT_S), TMPDIR: tmp };
    return { command: [...command, ...part.files], env, report };
  }
  // In namespaces of its own, so that mounts, ports and processes end with it.
  const limits = ['timeout', '-k', '10', String(PART_TIMEOUT_S), join(PROJECT, 'ci/isolated')];
  const command = [...limits, ...bun, `--reporter-outfile=${report}`, ...part.files];
  const tmp = join(results, 'tmp');
  mkdirSync(tmp);
  return { command, env: { TMPDIR: tmp, GRAFT_FIXTURES: join(work, 'fixtures') }, report };
}

/** Runs one part and shows what it printed when it has ended: parts run side by side. */
async function runPart(part: Part, work: string): Promise<Result> {
  const results = join(work, part.name.replaceAll(/[ /]/g, '-'));
  mkdirSync(results);
  const { command, env, report } = runnerOf(part, results, work);
  const log = join(results, 'log');
  const output = openSync(log, 'w');
  const started = performance.now();
  const status = await Bun.spawn([...command], {
    cwd: PROJECT,
    env: { ...process.env, ...env },
    stdio: ['ignore', output, output],
  }).exited;
  closeSync(output);
  const result = judge(part.name, report, status, (performance.now() - started) / 1000);
  say(`\n--- ${part.name}: ${part.files.length} files`);
  if (result.failed > 0) say(readFileSync(log, 'utf8').trimEnd());
  tell(result);
  return result;
}

function tell(result: Result): void {
  for (const remark of result.remarks) say(`${result.name}: ${remark}`);
  say(`${result.name}: ${result.passed} passed, ${result.failed} failed, ${result.seconds.toFixed(1)} s`);
}

/** Takes parts in their order, as many at once as there are processors. */
async function runParts(parts: readonly Part[], work: string): Promise<Result[]> {
  const results: Result[] = [];
  const left = [...parts];
  const lane = async () => {
    for (let part = left.shift(); part !== undefined; part = left.shift())
      results.push(await runPart(part, work));
  };
  await Promise.all(Array.from({ length: Math.max(2, availableParallelism()) }, lane));
  return results;
}

/**
 * Runs the files with failed tests once more, by themselves. A test that fails again has failed. A test that does not is
 * named at the end: something in the test or in the program depends on chance and wants to be found, but not by keeping
 * out a change that may have nothing to do with it.
 */
export async function secondLook(
  parts: readonly Part[],
  results: readonly Result[],
  run: (part: Part) => Promise<Result>,
): Promise<Result[]> {
  const failed = results.reduce((sum, result) => sum + result.failed, 0);
  if (failed > MAX_UNSTEADY) return [...results];
  const looked: Result[] = [];
  for (const result of results) {
    const part = parts.find(({ name }) => name === result.name);
    looked.push(part === undefined || result.failed === 0 ? result : await lookAgain(part, result, run));
  }
  return looked;
}

async function lookAgain(part: Part, result: Result, run: (part: Part) => Promise<Result>): Promise<Result> {
  const files = part.files.filter((file) =>
    result.culprits.some((line) => line.startsWith(`${file.slice('./'.length)}: `)),
  );
  if (result.remarks.length > 0 || files.length === 0) return result;
  const again = await run({ ...part, name: `${part.name} again`, files });
  if (again.failed > 0) return result;
  const { passed, failed, culprits } = result;
  return { ...result, passed: passed + failed, failed: 0, culprits: [], unsteady: culprits };
}

async function check(): Promise<Result> {
  say('\n--- check: types and lint');
  const started = performance.now();
  const child = Bun.spawn([join(PROJECT, 'ci/check')], {
    cwd: PROJECT,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const [passed, failed] = (await child.exited) === 0 ? [1, 0] : [0, 1];
  const culprits = failed === 0 ? [] : ['check: types or lint'];
  const seconds = (performance.now() - started) / 1000;
  const result = { name: 'check', passed, failed, seconds, remarks: [], culprits, files: [] };
  tell(result);
  return result;
}

async function main(wanted: readonly string[]): Promise<number> {
  const names = wanted.filter((want) => want !== LOOK_ONLY).map(belowTests);
  const { unknown, groups } = unknownNames(TESTS, names);
  if (unknown.length > 0) {
    say(`no tests are called ${unknown.join(', ')}; the groups are ${groups.join(', ')},`);
    say('and a folder or file below test/ can be named too: ci/test unit/cmd e2e/run.test.ts');
    say('0 passed, 1 failed');
    return 1;
  }
  if (names.length < wanted.length) return 0;
  const parts = findParts(TESTS, names);
  const work = mkdtempSync(join(tmpdir(), 'graft-tests-'));
  // Other users than root must be able to reach what tests give to them.
  chmodSync(work, 0o755);
  const clean = () => rmSync(work, { recursive: true, force: true });
  process
    .on('SIGINT', () => process.exit(130))
    .on('SIGTERM', () => process.exit(143))
    .on('exit', clean);

  const started = performance.now();
  const checked = wanted.length === 0 ? [await check()] : [];
  const run = (part: Part) => runPart(part, work);
  const results = [...checked, ...(await secondLook(parts, await runParts(parts, work), run))];
  if (parts.length === 0) results.push(judge('all', '', 1, 0));
  return conclude(results, (performance.now() - started) / 1000);
}

/** Prints what failed and the sums, which come last. Returns the exit status. */
function conclude(results: readonly Result[], seconds: number): number {
  const list = (title: string, lines: readonly string[]) => {
    if (lines.length > 0) say(`\n${title}:\n${lines.map((line) => `  ${line}`).join('\n')}`);
  };
  list(
    'failed once, and not again',
    results.flatMap(({ unsteady }) => unsteady ?? []),
  );
  list(
    'failed',
    results.flatMap(({ culprits }) => culprits),
  );
  const files = results.flatMap((result) => result.files).sort((a, b) => b.seconds - a.seconds);
  list(
    'slowest files',
    files.slice(0, SLOWEST).map(({ file, seconds: took }) => `${took.toFixed(1).padStart(7)} s  ${file}`),
  );
  const sum = (key: 'passed' | 'failed') => results.reduce((total, result) => total + result[key], 0);
  say(`\n${seconds.toFixed(0)} s`);
  say(`${sum('passed')} passed, ${sum('failed')} failed`);
  return sum('failed') === 0 ? 0 : 1;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
