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
// Packages for other platforms are left out by npm.
const fits = ({ os, cpu }) => (os?.includes(process.platform) ?? true) && (cpu?.includes(process.arch) ?? true);

const wanted = Object.entries(read('package-lock.json').packages ?? {}).filter(([path]) => path !== '');
const stale = wanted.filter(([path, entry]) => fits(entry) && read(`${path}/package.json`).version !== entry.version);
process.exitCode = wanted.length > 0 && stale.length === 0 ? 0 : 1;
