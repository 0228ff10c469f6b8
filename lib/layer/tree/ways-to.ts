import type { ByteName } from '../../base/bytes.ts';

/** The directories and all directories above them but the root. */
export function waysTo(directories: readonly ByteName[]): Set<ByteName> {
  const ways = new Set<ByteName>();
  for (const directory of directories) {
    for (
      let path: string = directory;
      path !== '';
      path = path.slice(0, Math.max(0, path.lastIndexOf('/')))
    ) {
      if (ways.has(path as ByteName)) break;
      ways.add(path as ByteName);
    }
  }
  return ways;
}
