/**
 * The papers of one release tarball: licence texts of everything compiled in, and the SBOM.
 * ci/release-papers.ts DIRECTORY MACHINE EXECUTABLE, with $SOURCE_DATE_EPOCH.
 */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { compiledPackages, licenceFiles, npmPackage, readJson } from './release-packages.ts';
import { type RuntimePart, sbom } from './sbom.ts';

const RUNTIMES = { x86_64: '@oven/bun-linux-x64-baseline', arm64: '@oven/bun-linux-aarch64' };
const PROJECT = join(import.meta.dir, '..');

const [directory = '', machine = '', executable = ''] = process.argv.slice(2);
if (machine !== 'x86_64' && machine !== 'arm64') throw new Error(`no release is made for ${machine}`);
const packages = compiledPackages();

const licences = join(directory, 'licences');
mkdirSync(directory, { recursive: true });
cpSync(join(PROJECT, 'licences'), licences, { recursive: true });
for (const { name } of packages) {
  const to = join(licences, 'npm', name);
  mkdirSync(to, { recursive: true });
  for (const file of licenceFiles(name)) cpSync(file, join(to, basename(file)));
}

const bill = sbom({
  version: readJson<{ version: string }>('package.json').version,
  machine,
  epoch: Number(process.env['SOURCE_DATE_EPOCH']),
  sha256: new Bun.CryptoHasher('sha256').update(readFileSync(executable)).digest('hex'),
  packages,
  runtime: npmPackage(RUNTIMES[machine]),
  runtimeParts: readJson<RuntimePart[]>('licences/components.json'),
  runtimeVersions: process.versions,
});
writeFileSync(join(directory, 'sbom.cdx.json'), `${JSON.stringify(bill, null, 1)}\n`);
