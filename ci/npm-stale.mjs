// Exits 0 when node_modules holds what package-lock.json says, version by version. npm itself has no such
// check that is quick and changes nothing.
import { readFileSync } from 'node:fs';

const read = (path) => {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return {};
  }
};
const lock = read('package-lock.json').packages ?? {};
const own = lock['']?.optionalDependencies ?? {};
const fits = ({ os, cpu }) => (os?.includes(process.platform) ?? true) && (cpu?.includes(process.arch) ?? true);
// npm leaves out an optional package for another platform, and with it what only that package needs, which the lock file
// does not mark. So an optional package may be missing, unless package.json names it and it fits this machine.
const mayBeMissing = (path, entry) => entry.optional && !(own[path.slice('node_modules/'.length)] && fits(entry));
const isStale = ([path, entry]) => {
  const { version } = read(`${path}/package.json`);
  return version === undefined ? !mayBeMissing(path, entry) : version !== entry.version;
};

const wanted = Object.entries(lock).filter(([path]) => path !== '');
process.exitCode = wanted.length > 0 && !wanted.some(isStale) ? 0 : 1;
