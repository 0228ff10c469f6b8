/** What docs/troubleshooting.md says of `graft check`: each kind of damage, done for real, is found and treated so. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { must } from '../support/shell.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';
import { readPage } from './page.ts';

interface Finding {
  readonly kind: string;
  readonly what: string;
  readonly state: 'found' | 'found-repairable' | 'repaired' | 'failed';
}

const PAGE = readPage('docs/troubleshooting.md');
let store: TestStore;
let layer: string;
const at = (path: string) => `${store.path}/${path}`;

beforeEach(async () => {
  store = await testStore();
  mkdirSync(store.dir.at('tree'));
  writeFileSync(store.dir.at('tree/file'), 'as it was');
  await must('tar', ['-C', store.dir.at('tree'), '-cf', store.dir.at('image.tar'), '.']);
});
afterEach(() => store?.[Symbol.asyncDispose]());

async function check(...options: string[]): Promise<{ code: number; findings: Finding[] }> {
  const { code, stdout } = await store.graft(['check', '--json', ...options]);
  return { code, findings: JSON.parse(stdout) as Finding[] };
}

/** A container, which every test damages in its way. */
async function container(): Promise<void> {
  await store.must(['create', store.dir.at('image.tar'), 'web']);
  [layer = ''] = readdirSync(at('volumes'));
  expect(await check()).toEqual({ code: 0, findings: [] });
}

/** What undoes the damage where `--repair` leaves it alone. */
type Damage = readonly [kind: string, damage: () => void, whatIsLeft: (() => void) | undefined];
const DAMAGE: readonly Damage[] = [
  ['layer-changed', () => appendFileSync(at(`volumes/${layer}/fs/file`), '!'), undefined],
  ['layer-record', () => writeFileSync(at(`volumes/${layer}/layer.json`), '{'), undefined],
  ['volume-unknown', () => mkdirSync(at('volumes/something')), undefined],
  ['link-dangling', () => symlinkSync('../volumes/gone/fs', at('l/dangling')), undefined],
  ['rubbish', () => writeFileSync(at('notes'), ''), () => rmSync(at('notes'))],
  ['image-record', () => writeFileSync(at('meta/images/web'), '{'), undefined],
  [
    'image-layer-missing',
    () => renameSync(at(`volumes/${layer}`), at('../taken')),
    () => renameSync(at('../taken'), at(`volumes/${layer}`)),
  ],
];

describe.each(DAMAGE)('%s', (kind, damage, undo) => {
  test('is found, and repaired or left as the page says', async () => {
    const row = PAGE.split('\n').find((line) => line.startsWith(`| \`${kind}\` |`)) ?? '';
    const left = /\| leaves it[^|]*\|$/.test(row);
    expect(left).toBe(undo !== undefined);

    await container();
    damage();
    const found = await check();
    expect(found.code).toBe(1);
    const state = left ? 'found' : 'found-repairable';
    expect(found.findings).toContainEqual(expect.objectContaining({ kind, state }));

    const repaired = await check('--repair');
    expect(repaired.findings).toContainEqual(
      expect.objectContaining({ kind, state: left ? 'found' : 'repaired' }),
    );
    // A container keeps running on a layer that was taken out of the way: that stays wrong until it is deleted.
    const runsOn = kind === 'layer-changed' || kind === 'layer-record';
    const stays = repaired.findings.filter(
      ({ kind, state }) => kind === 'image-layer-missing' && state === 'found',
    );
    expect(stays).toHaveLength(runsOn || kind === 'image-layer-missing' ? 1 : 0);
    expect(repaired.code).toBe(left || runsOn ? 1 : 0);
    undo?.();
    await store.must(['delete', 'web']);
    await store.must(['clean']);
    expect(await check()).toEqual({ code: 0, findings: [] });
  });
});

test('a container on a layer that was taken out of the way keeps its files, and a new one gets good ones', async () => {
  await container();
  appendFileSync(at(`volumes/${layer}/fs/file`), '!');
  expect((await check('--repair')).code).toBe(1);
  expect(await must('cat', [at('images/web/rootfs/file')])).toBe('as it was!');
  await store.must(['create', store.dir.at('image.tar'), 'second']);
  expect(await must('cat', [at('images/second/rootfs/file')])).toBe('as it was');
  await store.must(['delete', 'web']);
  await store.must(['delete', 'second']);
  await store.must(['clean']);
  expect(existsSync(at('volumes')) && readdirSync(at('volumes'))).toEqual([]);
});
