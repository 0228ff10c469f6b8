/** Reads what the test runner reports, and adds it up. */
import { existsSync, readFileSync } from 'node:fs';

/** The tests of one part, counted. */
export interface Result {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
  readonly seconds: number;
  readonly remarks: readonly string[];
  /** Every failed test and every remark, as they are repeated at the end. */
  readonly culprits: readonly string[];
  /** Tests that failed once and not again. */
  readonly unsteady?: readonly string[];
  readonly files: readonly FileTime[];
}

/** How long the tests of one file took, in seconds. */
export interface FileTime {
  readonly file: string;
  readonly seconds: number;
}

/** Totals in the first element of the runner's JUnit file. */
function readTotals(text: string): { tests: number; failures: number; skipped: number } {
  const head = /<testsuites [^>]*>/.exec(text)?.[0] ?? '';
  const count = (name: string) => Number(new RegExp(` ${name}="(\\d+)"`).exec(head)?.[1] ?? 0);
  return { tests: count('tests'), failures: count('failures'), skipped: count('skipped') };
}

/** The names of the failed tests in a JUnit file, with the file that holds each. */
function readFailures(text: string): string[] {
  return [...text.matchAll(/<testcase ([^>]*[^/])>\s*<(?:failure|skipped)/g)].map(([, attributes = '']) => {
    const value = (name: string) => new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1] ?? '';
    return `${value('file')}: ${unescapeXml(value('name'))}`;
  });
}

/** The time of each file in a JUnit file. The suites inside a file have the same attribute and are parts of its time. */
function readFileTimes(text: string): FileTime[] {
  return [...text.matchAll(/^ {2}<testsuite [^>]*>/gm)].map(([element]) => ({
    file: / file="([^"]*)"/.exec(element)?.[1] ?? '',
    seconds: Number(/ time="([\d.]+)"/.exec(element)?.[1] ?? 0),
  }));
}

const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };
function unescapeXml(text: string): string {
  return text.replace(/&(lt|gt|amp|quot|apos);/g, (_, name) => ENTITIES[name] ?? '');
}

/** Adds up one part. `status` is the exit status of its runner. */
export function judge(name: string, report: string, status: number, seconds: number): Result {
  const text = existsSync(report) ? readFileSync(report, 'utf8') : '';
  const { tests, failures, skipped } = readTotals(text);
  const remarks: string[] = [];
  let failed = failures + skipped;
  if (skipped > 0) remarks.push(`${skipped} skipped, which counts as failed`);
  if (tests === 0) remarks.push('no test ran');
  else if (status !== 0 && failures === 0) remarks.push(`the runner exits ${status} without a failed test`);
  if (failed === 0 && remarks.length > 0) failed = 1;
  const culprits = [...readFailures(text), ...remarks.map((remark) => `${name}: ${remark}`)];
  return {
    name,
    passed: tests - failures - skipped,
    failed,
    seconds,
    remarks,
    culprits,
    files: readFileTimes(text),
  };
}
