/** Images that start while their registry cannot answer, and those that do not. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import type { RegistriesFile } from '../../../lib/registry/policy/settings.ts';
import { tarOf } from '../../support/images/noise-image.ts';
import { type FakeRegistry, fakeImage, fakeRegistry } from '../../support/registries/fake-registry.ts';
import { whole } from '../../support/registries/raw-server.ts';
import type { Ran } from '../../support/shell.ts';
import { Cell, logged } from '../../support/stores/cell.ts';

/** The registry's answer to everything: as it should, a status, or none. */
type Mode = 'right' | 'silent' | number;

const cleanup = new AsyncDisposableStack();
let cell: Cell;
let registry: FakeRegistry;
let mode: Mode;
/** The only user and password that the registry takes; undefined: it asks for none. */
let account: string | undefined;
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  cell = cleanup.use(await Cell.make());
});
beforeEach(async () => {
  await cell.empty();
  [mode, account] = ['right', undefined];
  registry = fakeRegistry(fakeImage([tarOf('file', Buffer.from('content'))]), {
    override: async ({ headers }, answer) => {
      if (mode === 'silent') {
        answer.end();
        return true;
      }
      const given = headers.get('authorization');
      const isTheirs = account === undefined || given === `Basic ${Buffer.from(account).toString('base64')}`;
      if (mode === 'right' && isTheirs) return false;
      const status = mode === 'right' ? 401 : mode;
      const challenge = status === 401 ? { 'www-authenticate': 'Basic realm="private"' } : {};
      await answer.write(whole(status, '{"errors":[]}', challenge));
      return true;
    },
  });
  cleanup.defer(() => registry.stop());
  settings({ when_unreachable: 'last_known' });
});

function settings(more: RegistriesFile): void {
  cell.settings({ insecure: [registry.host], retries: { attempts: 1 }, ...more });
}

async function create(...flags: string[]): Promise<Ran & { id: string }> {
  const id = cell.id();
  return { ...(await cell.graft(['create', ...flags, registry.image(''), id])), id };
}
const containers = async () =>
  JSON.parse((await cell.graft(['list', '--json'])).stdout) as {
    id: string;
    lastKnown?: { resolved: string };
  }[];

/** The container is the one that the registry's answer would give, and says that the registry gave none. */
async function expectLastKnown(ran: Ran & { id: string }): Promise<void> {
  expect([ran.code, ran.stdout.startsWith('{')]).toEqual([0, true]);
  expect(logged(ran, 'image-last-known')).toHaveLength(1);
  expect(readFileSync(`${cell.store}/images/${ran.id}/rootfs/file`, 'utf8')).toBe('content');
  const [own] = (await containers()).filter(({ id }) => id === ran.id);
  expect(Date.parse(own?.lastKnown?.resolved ?? '')).toBeWithin(Date.now() - 600_000, Date.now() + 1);
}

async function expectRefused(ran: Ran & { id: string }, sentence: string): Promise<void> {
  expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining(sentence)]);
  expect((await containers()).map(({ id }) => id)).not.toContain(ran.id);
}

test('by default a create fails when the registry cannot answer', async () => {
  settings({});
  expect((await create()).code).toBe(0);
  mode = 503;
  await expectRefused(await create(), '503');
});

describe('a tag that the registry gave before', () => {
  test.each<Mode>(['silent', 429, 500, 503])('starts when the registry answers %p', async (answer) => {
    const first = await create();
    expect([first.code, (await containers())[0]?.lastKnown]).toEqual([0, undefined]);
    mode = answer;
    await expectLastKnown(await create());
  });

  test('starts when no server is there, and the metric says so', async () => {
    expect((await create()).code).toBe(0);
    await registry.stop();
    const file = cell.dir.at('metrics.prom');
    const id = cell.id();
    const ran = await cell.graft(['--metrics-file', file, 'create', registry.image(''), id]);
    await expectLastKnown({ ...ran, id });
    expect(readFileSync(file, 'utf8')).toMatch(/ImagesFromLastKnown|images_from_last_known/i);
  });

  test.each([
    [401, 'authentication required'],
    [403, 'denied'],
    [404, 'manifest unknown'],
  ])('does not start when the registry says %d', async (status) => {
    expect((await create()).code).toBe(0);
    mode = status;
    const refused = await create();
    expect([refused.code, logged(refused, 'image-last-known')]).toEqual([1, []]);
  });

  test('does not start without its layers, and another tag does not start at all', async () => {
    const { id } = await create();
    await cell.graft(['delete', id]);
    mode = 503;
    const other = cell.id();
    const never = await cell.graft(['create', `docker://${registry.host}/app:never-seen`, other]);
    await expectRefused({ ...never, id: other }, '503');
    await cell.graft(['clean']);
    await expectRefused(await create(), '503');
    expect((await cell.graft(['usage', '--json'])).stdout).toContain('"layers":[]');
  });
});

describe('a private image', () => {
  const flags = (password: string) => ['--username', 'alice', '--password', password];

  test('starts only with the user and the password that its repository accepted', async () => {
    account = 'alice:right';
    expect((await create(...flags('right'))).code).toBe(0);
    mode = 'silent';
    await expectLastKnown(await create(...flags('right')));
    for (const given of [[], flags('wrong'), ['--username', 'bob', '--password', 'right']]) {
      const refused = await create(...given);
      expect([refused.code, logged(refused, 'image-last-known')]).toEqual([1, []]);
    }
    const kept = await Array.fromAsync(new Bun.Glob('**/*').scan({ cwd: `${cell.store}/meta`, dot: true }));
    for (const name of kept)
      expect(await Bun.file(`${cell.store}/meta/${name}`).text()).not.toContain('right');
  });

  test('does not start for an account that only the wrong answer let in', async () => {
    account = 'alice:right';
    expect((await create(...flags('wrong'))).code).toBe(1);
    mode = 'silent';
    expect((await create(...flags('wrong'))).code).toBe(1);
  });
});
