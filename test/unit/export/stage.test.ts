/** Where an export may go, and what it leaves there. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { chmodSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { silentLogger } from '../../../lib/base/log.ts';
import { Stage } from '../../../lib/export/stage.ts';
import { formatOwner, owner } from '../../../lib/sys/kernel/process.ts';
import { codeOf } from '../../support/images/unpack.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
});
afterEach(async () => {
  await dir.remove();
});

const staged = (path: string) => new Stage(path, 'directory', silentLogger);
const refusal = (path: string) => codeOf(Promise.resolve().then(() => staged(path)));

describe('an export is refused', () => {
  test('over a file, a link, or a directory with something in it, which stays', async () => {
    writeFileSync(dir.at('file'), 'mine');
    symlinkSync(dir.path, dir.at('link'));
    mkdirSync(dir.at('full'));
    writeFileSync(dir.at('full/x'), '');
    for (const name of ['file', 'link', 'full', 'full/../full/'])
      expect([name, await refusal(`${dir.path}/${name}`)]).toEqual([name, 'EXPORT_TAKEN']);
    expect(readdirSync(dir.path).sort()).toEqual(['file', 'full', 'link']);
    expect(await refusal('/')).toBe('EXPORT_TAKEN');
  });

  test('where there is no directory for it, or none that takes names', async () => {
    writeFileSync(dir.at('file'), '');
    for (const name of ['none/out', 'file/out', 'a/../none/out'])
      expect([name, await refusal(dir.at(name))]).toEqual([name, 'EXPORT_PLACE']);
    expect(await refusal('/proc/out')).toBe('EXPORT_PLACE');
  });
});

describe('a stage', () => {
  test('takes the place of an empty directory', () => {
    mkdirSync(dir.at('out'));
    using stage = staged(dir.at('out'));
    writeFileSync(join(stage.tree, 'file'), '');
    stage.publish();
    expect(readdirSync(dir.at('out'))).toEqual(['file']);
  });

  test('is gone when it was not published, closed directories and all', () => {
    {
      using stage = staged(dir.at('out'));
      mkdirSync(join(stage.tree, 'closed'));
      writeFileSync(join(stage.tree, 'closed', 'f'), '');
      chmodSync(join(stage.tree, 'closed'), 0);
    }
    expect(readdirSync(dir.path)).toEqual([]);
  });

  test('replaces nothing that was made meanwhile', async () => {
    using stage = staged(dir.at('out'));
    mkdirSync(dir.at('out'));
    writeFileSync(dir.at('out/theirs'), '');
    expect(await codeOf(Promise.resolve().then(() => stage.publish()))).toBe('EXPORT_TAKEN');
    expect(readdirSync(dir.at('out'))).toEqual(['theirs']);
  });

  test('of a dead process is swept by the next one, of a living one it stays', () => {
    const dead = `.graft-tmp-1.${formatOwner({ ...owner(), startTime: '1' })}`;
    const alive = `.graft-tmp-2.${formatOwner({ ...owner(), pid: process.ppid, pidNamespace: 'pid:[1]' })}`;
    for (const name of [dead, alive, '.graft-tmp-3', 'other'])
      mkdirSync(dir.at(name, 'inside'), { recursive: true });
    using stage = staged(dir.at('out'));
    expect(existsSync(stage.tree)).toBe(true);
    expect(
      readdirSync(dir.path)
        .filter((name) => !stage.tree.endsWith(name) && !stage.work.endsWith(name))
        .sort(),
    ).toEqual(['.graft-tmp-3', alive, 'other'].sort());
  });
});
