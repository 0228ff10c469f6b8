/** Divides the tests into parts that run side by side. */
import { readdirSync } from 'node:fs';

/** Test files that one runner runs, one after the other. */
export interface Part {
  readonly name: string;
  readonly group: string;
  readonly files: readonly string[];
}

/** The group that needs XFS project quotas, so it may run in the user-mode kernel, which is the slowest part of all. */
export const QUOTA = 'quota';
/**
 * The quota kernel starts first, since nothing ends before it. Quick groups follow, so that a plain mistake shows early;
 * then groups with long files. Groups that are not named here are short and fill the gap at the end.
 */
const ORDER = [QUOTA, 'unit', 'faults', 'e2e', 'bosh', 'contract', 'hostile', 'tenants', 'cvmfs'];
/** Starting a runner takes a second, so short files share one. Files of other groups are long. */
const FILES_IN_A_PART: Readonly<Record<string, number>> = {
  [QUOTA]: 1000,
  unit: 12,
  docs: 4,
  e2e: 3,
  faults: 1,
};

/**
 * Every folder below `tests` that holds test files is a group, so no test can be left out by mistake.
 * @param wanted folders and files below `tests`; none means all of them
 */
export function findParts(tests: string, wanted: readonly string[]): Part[] {
  const files = readdirSync(tests, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .filter(
      (file) => wanted.length === 0 || wanted.some((want) => file === want || file.startsWith(`${want}/`)),
    )
    .sort();
  const groups = [...new Set(files.map(groupOf))];
  const place = (name: string) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
  groups.sort((a, b) => place(a) - place(b) || a.localeCompare(b));
  return groups.flatMap((group) =>
    split(
      group,
      files.filter((file) => groupOf(file) === group),
    ),
  );
}

function groupOf(file: string): string {
  return file.split('/')[0] ?? '';
}

/** The names that fit no test file, and the groups that there are. @param wanted as in `findParts` */
export function unknownNames(
  tests: string,
  wanted: readonly string[],
): { unknown: string[]; groups: string[] } {
  const unknown = wanted.filter((want) => findParts(tests, [want]).length === 0);
  return { unknown, groups: [...new Set(findParts(tests, []).map(({ group }) => group))].sort() };
}

/** A folder or file as it is typed, with or without test/ in front or a slash at its end, as a path below test/. */
export function belowTests(name: string): string {
  return name
    .replace(/^\.\//, '')
    .replace(/^test\//, '')
    .replace(/\/+$/, '');
}

/** Parts of about the same number of files. */
function split(group: string, files: readonly string[]): Part[] {
  const count = Math.ceil(files.length / (FILES_IN_A_PART[group] ?? 2));
  return Array.from({ length: count }, (_, i) => ({
    name: count === 1 ? group : `${group} ${i + 1}/${count}`,
    group,
    files: files
      .slice(Math.floor((i * files.length) / count), Math.floor(((i + 1) * files.length) / count))
      .map((file) => `./test/${file}`),
  }));
}
