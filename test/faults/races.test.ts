/** Two verbs stopped and continued in the one order that hurts: what only a busy cell shows by chance. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { makeFaultImage } from '../support/faults/image.ts';
import { executable } from '../support/graft.ts';
import { cleanEnv, must } from '../support/shell.ts';
import { contents, unfinished } from '../support/stores/names.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';
import { mountPointsBelow, type TempDir, tempDir } from '../support/temp.ts';

const MINUTE = 60_000;
let dir: TempDir;
let image: string;
beforeAll(async () => {
  dir = tempDir();
  image = await makeFaultImage(dir.at('layout'));
});
afterAll(() => dir.remove());

/** A verb that stops itself before calls, and goes on when it is told to. */
class Actor {
  readonly #child: Bun.Subprocess<'ignore', 'pipe', 'ignore'>;
  #over = false;

  /** @param stops as `stop:THREAD:N:TEXT` of lib/sys/kernel/fault.ts, without the first two */
  constructor(store: TestStore, args: readonly string[], ...stops: string[]) {
    const plan = stops.map((stop) => `stop:main:${stop}`).join(' ');
    this.#child = Bun.spawn([executable('graft-faults'), '--store', store.path, ...args], {
      env: cleanEnv({ GRAFT_FAULT: plan }),
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#child.exited.then(() => {
      this.#over = true;
    });
  }

  /** Until it stands still. @throws Error when it ends instead */
  async stopped(): Promise<this> {
    for (;;) {
      if (this.#over) throw new Error(`it ended: ${await new Response(this.#child.stdout).text()}`);
      const stat = readFileSync(`/proc/${this.#child.pid}/stat`, 'latin1');
      if (stat.slice(stat.lastIndexOf(')') + 2).startsWith('T')) return this;
      await Bun.sleep(2);
    }
  }

  goOn(): this {
    this.#child.kill('SIGCONT');
    return this;
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): this {
    this.#child.kill(signal);
    return this;
  }

  async ended(): Promise<{ code: number; stdout: string }> {
    const stdout = await new Response(this.#child.stdout).text();
    return { code: await this.#child.exited, stdout };
  }
}

async function emptied(store: TestStore): Promise<void> {
  expect(unfinished(store.path)).toEqual([]);
  expect(await store.must(['check'])).toBe('Nothing is wrong.\n');
  for (const id of readdirSync(`${store.path}/images`)) await store.must(['delete', id]);
  await store.must(['clean']);
  expect(contents(store.path)).toEqual([]);
}

/** One of the image's layers. */
const layerOf = ({ path }: TestStore) =>
  readdirSync(`${path}/volumes`).filter((name) => /^[0-9a-f]{64}\.p1$/.test(name))[0] ?? '';

test(
  'a clean that has chosen layers leaves those that a create has named since',
  async () => {
    await using store = await testStore();
    await store.must(['pull', image]);
    const clean = await new Actor(store, ['clean'], '1:flock ').stopped();
    const create = await new Actor(store, ['create', image, 'x'], '1:mount ').stopped();
    const volumes = readdirSync(`${store.path}/volumes`).sort();
    expect((await clean.goOn().ended()).code).toBe(0);
    expect(readdirSync(`${store.path}/volumes`).sort()).toEqual(volumes);
    expect(await create.goOn().ended()).toMatchObject({ code: 0 });
    expect(readFileSync(`${store.path}/images/x/rootfs/etc/name`, 'utf8')).toBe('bottom');
    await emptied(store);
  },
  MINUTE,
);

test(
  'a create that comes while a clean decides waits for that alone, and makes the layers anew',
  async () => {
    await using store = await testStore();
    await store.must(['pull', image]);
    const old = statSync(`${store.path}/volumes/${layerOf(store)}`).ino;
    const clean = await new Actor(store, ['clean'], '1:volumes/gc.', '1:~trash').stopped();
    const create = new Actor(store, ['create', image, 'x'], '2:flock ');
    await create.stopped();
    const made = create.goOn().ended();
    // Decided, with all of the deleting still to do.
    await clean.goOn().stopped();
    expect(await made).toMatchObject({ code: 0 });
    expect(statSync(`${store.path}/volumes/${layerOf(store)}`).ino).not.toBe(old);
    expect((await clean.goOn().ended()).code).toBe(0);
    expect(readFileSync(`${store.path}/images/x/rootfs/etc/name`, 'utf8')).toBe('bottom');
    await emptied(store);
  },
  MINUTE,
);

test(
  'a clean that is killed while it decides keeps nobody waiting',
  async () => {
    await using store = await testStore();
    await store.must(['pull', image]);
    const clean = await new Actor(store, ['clean'], '2:volumes/gc.').stopped();
    clean.kill();
    expect(await clean.ended()).toMatchObject({ code: 137 });
    expect(await new Actor(store, ['create', image, 'x']).ended()).toMatchObject({ code: 0 });
    expect(readFileSync(`${store.path}/images/x/rootfs/etc/name`, 'utf8')).toBe('bottom');
    await store.must(['clean']);
    await emptied(store);
  },
  MINUTE,
);

test(
  'a clean ends at a signal, in the middle of what it deletes, and the next one finishes it',
  async () => {
    await using store = await testStore();
    await store.must(['pull', image]);
    const clean = await new Actor(store, ['clean'], '1:unlinkat ').stopped();
    const { code, stdout } = await clean.kill('SIGTERM').goOn().ended();
    expect({ code, stdout }).toEqual({ code: 128 + constants.signals.SIGTERM, stdout: '' });
    expect(await store.must(['clean'])).toBe('clean completed\n');
    expect(contents(store.path)).toEqual([]);
    await emptied(store);
  },
  MINUTE,
);

test(
  'a clean forgets that a layer needs others while a create relies on it',
  async () => {
    await using store = await testStore();
    const create = new Actor(store, ['create', image, 'x'], `1:unlinkat ${store.path}/locks`);
    await create.stopped();
    expect(readdirSync(`${store.path}/meta/sources`).length).toBeGreaterThan(0);
    await store.must(['clean']);
    expect(readdirSync(`${store.path}/meta/sources`)).toEqual([]);
    expect(await create.goOn().ended()).toMatchObject({ code: 0 });
    expect(readFileSync(`${store.path}/images/x/rootfs/etc/again`).length).toBe(100_000);
    await emptied(store);
  },
  MINUTE,
);

test(
  'an image is deleted right before its mount, and right after it',
  async () => {
    await using store = await testStore();
    await store.must(['pull', image]);
    for (const stop of ['1:mount ', `1:meta/images/x`]) {
      const create = new Actor(store, ['create', image, 'x'], stop);
      await create.stopped();
      expect(existsSync(`${store.path}/images/x`)).toBe(true);
      await store.must(['delete', 'x']);
      expect(existsSync(`${store.path}/images/x`)).toBe(false);
      const ended = await create.goOn().ended();
      expect(ended).toEqual({ code: 1, stdout: 'image `x` was deleted while it was being made\n' });
      expect(unfinished(store.path)).toEqual([]);
    }
    await emptied(store);
  },
  MINUTE,
);

test(
  'an image is deleted right before its mount, and another of its name is made: that one stays as it is',
  async () => {
    await using store = await testStore();
    await store.must(['pull', image]);
    const other = dir.at('other.tar');
    mkdirSync(dir.at('other'), { recursive: true });
    writeFileSync(dir.at('other', 'mine'), 'other');
    await must('tar', ['-C', dir.at('other'), '-cf', other, '.']);
    const create = await new Actor(store, ['create', image, 'x'], '1:mount ').stopped();
    await store.must(['delete', 'x']);
    await store.must(['create', other, 'x']);
    expect(await create.goOn().ended()).toEqual({
      code: 1,
      stdout: 'image `x` was deleted while it was being made\n',
    });
    expect(readFileSync(`${store.path}/images/x/rootfs/mine`, 'utf8')).toBe('other');
    expect(mountPointsBelow(`${store.path}/images`)).toEqual([`${store.path}/images/x/rootfs`]);
    const [{ image: recorded }] = JSON.parse(await store.must(['list', '--json']));
    expect(recorded).toContain('other.tar');
    await emptied(store);
  },
  MINUTE,
);

test(
  'a create mounts into the directory that a delete has just moved away',
  async () => {
    await using store = await testStore();
    await store.must(['pull', image]);
    const create = new Actor(store, ['create', image, 'x'], '1:mount ', '1:meta/images/x');
    await create.stopped();
    // The delete has taken the name and found nothing mounted when the mount comes.
    const erase = new Actor(store, ['delete', 'x'], '1:renameat2 ');
    await erase.stopped();
    await create.goOn().stopped();
    expect(await erase.goOn().ended()).toMatchObject({ code: 0 });
    expect((await create.goOn().ended()).code).toBe(1);
    await emptied(store);
  },
  MINUTE,
);
