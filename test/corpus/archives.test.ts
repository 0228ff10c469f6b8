/**
 * Archives that the makers of other tar readers collected: of Go's archive/tar and of Python's tarfile, out of the
 * distribution's packages (ci/setup installs them). Where a package is missing the test fails.
 */
import { describe, expect, test } from 'bun:test';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { verifyTree } from '../../lib/layer/tree/verify-tree.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import { LayoutBuilder, named } from '../support/images/layout-builder.ts';
import { failureOf, requestIn, unpack } from '../support/images/unpack.ts';
import { must, run } from '../support/shell.ts';
import { tempDir } from '../support/temp.ts';
import { EXPECTATIONS, type Expectation } from './expectations.ts';

const GO = '/usr/share/go-1.19/src/archive/tar/testdata';
const PYTHON = '/usr/lib/python3.11/test';

const archives = [
  ...readdirSync(GO)
    .filter((name) => name.endsWith('.tar'))
    .map((name) => join(GO, name)),
  join(PYTHON, 'testtar.tar'),
  join(PYTHON, 'recursion.tar'),
].map((path) => [path.slice(path.lastIndexOf('/') + 1), path] as const);

test('the corpus is whole, and no reason is left over', () => {
  expect(archives.length).toBeGreaterThan(40);
  const names = archives.map(([name]) => name);
  expect(Object.keys(EXPECTATIONS).filter((name) => !names.includes(name))).toEqual([]);
});

describe('as the referee reads it, or refused for the reason in the table', () => {
  test.each(archives)('%s', async (name, path) => {
    await using dir = tempDir();
    const expected = EXPECTATIONS[name];
    const archive = without(readFileSync(path), expected?.without ?? []);
    const request = requestIn(dir.at('ours'));
    if (expected?.code !== undefined) {
      expect((await failureOf(unpack(request, archive))).code).toBe(expected.code as never);
      return;
    }
    const theirs = await referee(expected, archive, dir.path);
    if (theirs === undefined) {
      expect((await failureOf(unpack(request, archive))).code).toStartWith('LAYER_');
      return;
    }
    const { skippedDevices } = await unpack(request, archive);
    expect([...verifyTree(request.target, request.manifestPath)]).toEqual([]);
    const differences = compareTrees(request.target, theirs, {
      // Directories that are only implied have the time of their entry here, and the clock's there.
      directoryTimes: false,
      ignoreXattrs: ['user.rootlesscontainers', 'security.selinux'],
    });
    // Devices are not made.
    const devices = await deviceNames(theirs);
    expect(devices.length > 0).toBe(skippedDevices > 0);
    expect(differences).toEqual(devices.map((device) => `${device}: only in ${theirs}`));
  });
});

/** @returns the tree that the referee made, undefined where umoci refuses the archive */
async function referee(
  expected: Expectation | undefined,
  archive: Uint8Array,
  directory: string,
): Promise<string | undefined> {
  const target = join(directory, 'theirs');
  const program = expected?.referee ?? 'umoci';
  if (program === 'umoci') {
    const layout = new LayoutBuilder(join(directory, 'layout'));
    layout.write([layout.image([layout.layer(archive)], {}, named('x'))]);
    const { code } = await run('umoci', ['raw', 'unpack', '--image', `${layout.directory}:x`, target]);
    return code === 0 ? target : undefined;
  }
  mkdirSync(target);
  const file = join(directory, 'archive.tar');
  writeFileSync(file, archive);
  // Both go on behind an entry that they cannot make; here there must be none.
  const xattrs = program === 'tar' ? ['--xattrs', '--xattrs-include=*'] : [];
  await must(program, ['-xpf', file, '--numeric-owner', ...xattrs, '-C', target]);
  return target;
}

async function deviceNames(root: string): Promise<string[]> {
  const found = await must('find', [
    root,
    '-type',
    'b',
    '-printf',
    '/%P\n',
    '-o',
    '-type',
    'c',
    '-printf',
    '/%P\n',
  ]);
  return found
    .split('\n')
    .filter((line) => line !== '')
    .sort();
}

/** The archive without the entries whose headers have these names. */
function without(archive: Buffer, names: readonly string[]): Buffer {
  let rest = archive;
  for (const name of names) {
    const at = rest.indexOf(`${name}\0`);
    if (at % 512 !== 0) throw new Error(`the archive has no entry ${name}`);
    const size = Number.parseInt(rest.toString('latin1', at + 124, at + 135), 8);
    const next = at + 512 + Math.ceil(size / 512) * 512;
    rest = Buffer.concat([rest.subarray(0, at), rest.subarray(next)]);
  }
  return rest;
}
