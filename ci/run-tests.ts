/**
 * Runs the test groups (the folders of test/) one after the other and adds up what they report. Anything that
 * is not a passed test counts as failed: a skipped test, a group without tests, a runner that breaks down.
 */
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

const PROJECT = join(import.meta.dir, '..');
const TESTS = join(PROJECT, 'test');
/** Quick groups first, so that what is plainly broken shows early; folders not named here come after. */
const ORDER = ['unit', 'property', 'hostile', 'contract', 'e2e'];
/** Needs XFS project quotas, so it may run in the user-mode kernel; the slowest, so it runs beside the others. */
const QUOTA = 'quota';
const TEST_TIMEOUT_MS = 180_000;
const GROUP_TIMEOUT_S = 1800;

interface Group {
  readonly name: string;
  readonly files: readonly string[];
}
interface Result {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
  readonly seconds: number;
  readonly remarks: readonly string[];
  /** Every failed test and every remark, as they are repeated at the end. */
  readonly culprits: readonly string[];
  /** Tests that failed once and not again. */
  readonly unsteady?: readonly string[];
}

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

/** Every folder below test/ that holds test files is a group, so no test can be left out by mistake. */
function findGroups(wanted: readonly string[]): Group[] {
  const files = readdirSync(TESTS, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .filter(
      (file) => wanted.length === 0 || wanted.some((want) => file === want || file.startsWith(`${want}/`)),
    )
    .sort();
  const names = [...new Set(files.map((file) => file.split('/')[0] ?? ''))];
  const place = (name: string) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
  names.sort((a, b) => place(a) - place(b) || a.localeCompare(b));
  return names.map((name) => ({
    name,
    files: files.filter((file) => file.startsWith(`${name}/`)).map((file) => `./test/${file}`),
  }));
}

/** What the runner's JUnit file says in its first element. */
function readTotals(path: string): { tests: number; failures: number; skipped: number } {
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const head = /<testsuites [^>]*>/.exec(text)?.[0] ?? '';
  const count = (name: string) => Number(new RegExp(` ${name}="(\\d+)"`).exec(head)?.[1] ?? 0);
  return { tests: count('tests'), failures: count('failures'), skipped: count('skipped') };
}

/** The names of the failed tests in a JUnit file, with the file that holds each. */
function readFailures(path: string): string[] {
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  return [...text.matchAll(/<testcase ([^>]*[^/])>\s*<(?:failure|skipped)/g)].map(([, attributes = '']) => {
    const value = (name: string) => new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1] ?? '';
    return `${value('file')}: ${unescapeXml(value('name'))}`;
  });
}

const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };
function unescapeXml(text: string): string {
  return text.replace(/&(lt|gt|amp|quot|apos);/g, (_, name) => ENTITIES[name] ?? '');
}

/** Adds up one group. `status` is the exit status of its runner. */
export function judge(name: string, report: string, status: number, seconds: number): Result {
  const { tests, failures, skipped } = readTotals(report);
  const remarks: string[] = [];
  let failed = failures + skipped;
  if (skipped > 0) remarks.push(`${skipped} skipped, which counts as failed`);
  if (tests === 0) remarks.push('no test ran');
  else if (status !== 0 && failures === 0) remarks.push(`the runner exits ${status} without a failed test`);
  if (failed === 0 && remarks.length > 0) failed = 1;
  const culprits = [...readFailures(report), ...remarks.map((remark) => `${name}: ${remark}`)];
  return { name, passed: tests - failures - skipped, failed, seconds, remarks, culprits };
}

/** More than this at once is no accident. */
const MAX_UNSTEADY = 3;

/**
 * Runs the files with failed tests once more, by themselves. What fails again has failed. What does not is named at the
 * end: something in the test or in the program depends on chance and wants to be found, but not by keeping out a change
 * that may have nothing to do with it.
 */
export async function secondLook(
  group: Group,
  result: Result,
  run: (group: Group) => Promise<Result>,
): Promise<Result> {
  if (result.failed === 0 || result.failed > MAX_UNSTEADY || result.remarks.length > 0) return result;
  const files = group.files.filter((file) =>
    result.culprits.some((line) => line.startsWith(`${file.slice('./'.length)}: `)),
  );
  if (files.length === 0) return result;
  const again = await run({ name: `${group.name}-again`, files });
  if (again.failed > 0) return result;
  const { passed, failed, culprits } = result;
  return { ...result, passed: passed + failed, failed: 0, culprits: [], unsteady: culprits };
}

/** The command of one group: in namespaces of its own, so that mounts and processes end with it. */
function commandOf(group: Group, report: string): string[] {
  const bun = [process.execPath, 'test', `--timeout=${TEST_TIMEOUT_MS}`, '--only-failures'];
  const reporter = ['--reporter=junit', `--reporter-outfile=${report}`];
  return [
    'timeout',
    '-k',
    '10',
    String(GROUP_TIMEOUT_S),
    join(PROJECT, 'ci/isolated'),
    ...bun,
    ...reporter,
    ...group.files,
  ];
}

function spawnGroup(command: string[], env: Record<string, string>, output: number | 'inherit') {
  return Bun.spawn(command, {
    cwd: PROJECT,
    env: { ...process.env, ...env },
    stdio: ['ignore', output, output],
  });
}

async function runGroup(group: Group, work: string): Promise<Result> {
  const report = join(work, `${group.name}.xml`);
  const tmp = join(work, group.name);
  mkdirSync(tmp);
  const started = performance.now();
  say(`\n--- ${group.name}: ${group.files.length} files`);
  const status = await spawnGroup(
    commandOf(group, report),
    { TMPDIR: tmp, GRAFT_FIXTURES: join(work, 'fixtures') },
    'inherit',
  ).exited;
  return tell(judge(group.name, report, status, (performance.now() - started) / 1000));
}

/** Runs beside the other groups, so its output is kept until it is asked for. */
function startQuotaGroup(group: Group, work: string): () => Promise<Result> {
  const results = join(work, `${group.name}-results`);
  const log = join(work, `${group.name}.log`);
  mkdirSync(results);
  const output = openSync(log, 'w');
  const started = performance.now();
  const bun = [process.execPath, 'test', `--timeout=${TEST_TIMEOUT_MS}`, '--only-failures'];
  const report = ['--reporter=junit', '--reporter-outfile=/run/results/quota.xml'];
  const command = [join(PROJECT, 'ci/with-quota'), ...bun, ...report, ...group.files];
  // Beside the other groups, yet not on their disk: what they measure there is theirs.
  const tmp = process.env['GRAFT_QUOTA_TMPDIR'] ?? work;
  const env = { GRAFT_RESULTS: results, GRAFT_QUOTA_SECONDS: String(GROUP_TIMEOUT_S), TMPDIR: tmp };
  const ended = spawnGroup(command, env, output).exited.then((status) => ({ status, at: performance.now() }));
  return async () => {
    const { status, at } = await ended;
    closeSync(output);
    say(`\n--- ${group.name}: ${group.files.length} files`);
    say(readFileSync(log, 'utf8').trimEnd());
    return tell(judge(group.name, join(results, 'quota.xml'), status, (at - started) / 1000));
  };
}

function tell(result: Result): Result {
  for (const remark of result.remarks) say(`${result.name}: ${remark}`);
  say(`${result.name}: ${result.passed} passed, ${result.failed} failed, ${result.seconds.toFixed(1)} s`);
  return result;
}

async function check(): Promise<Result> {
  say('\n--- check: types and lint');
  const started = performance.now();
  const status = await spawnGroup([join(PROJECT, 'ci/check')], {}, 'inherit').exited;
  const [passed, failed] = status === 0 ? [1, 0] : [0, 1];
  const culprits = failed === 0 ? [] : ['check: types or lint'];
  const seconds = (performance.now() - started) / 1000;
  return tell({ name: 'check', passed, failed, seconds, remarks: [], culprits });
}

async function main(wanted: readonly string[]): Promise<number> {
  const groups = findGroups(wanted.map((want) => relative('test', join('test', want))));
  const work = mkdtempSync(join(tmpdir(), 'graft-tests-'));
  // Other users than root must be able to reach what tests give to them.
  chmodSync(work, 0o755);
  const clean = () => rmSync(work, { recursive: true, force: true });
  process
    .on('SIGINT', () => process.exit(130))
    .on('SIGTERM', () => process.exit(143))
    .on('exit', clean);

  const results: Result[] = wanted.length === 0 ? [await check()] : [];
  const quota = groups.find((group) => group.name === QUOTA);
  const quotaResult = quota === undefined ? undefined : startQuotaGroup(quota, work);
  const again = (group: Group) => runGroup(group, work);
  for (const group of groups)
    if (group !== quota) results.push(await secondLook(group, await again(group), again));
  if (quota && quotaResult)
    results.push(await secondLook(quota, await quotaResult(), (files) => startQuotaGroup(files, work)()));
  if (groups.length === 0) results.push(tell(judge('all', '', 1, 0)));

  const unsteady = results.flatMap((result) => result.unsteady ?? []);
  if (unsteady.length > 0)
    say(`\nfailed once, and not again:\n${unsteady.map((line) => `  ${line}`).join('\n')}`);
  const culprits = results.flatMap((result) => result.culprits);
  if (culprits.length > 0) say(`\nfailed:\n${culprits.map((line) => `  ${line}`).join('\n')}`);
  const sum = (key: 'passed' | 'failed') => results.reduce((total, result) => total + result[key], 0);
  say(`\n${sum('passed')} passed, ${sum('failed')} failed`);
  return sum('failed') === 0 ? 0 : 1;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
