/** Where init-store may make a store, and that everything else stays as it is: bytes, modes, owners and times. */
import { expect, test } from 'bun:test';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { isPluginError } from '../../../../lib/base/errors/error.ts';
import { silentLogger } from '../../../../lib/base/log.ts';
import { initStore } from '../../../../lib/store/init/init.ts';
import { Store } from '../../../../lib/store/store.ts';
import { temporaryPath } from '../../../../lib/sys/files/temporary.ts';
import { scratchStore } from '../../../support/stores/scratch-store.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

const NOBODY = 65534;
const none = { uids: [], gids: [] };
const BYTES = 400 * 1024 * 1024;
const deps = {
  run: () => ({ ok: false, complaint: 'no program may be needed' }),
  log: silentLogger,
  directIo: false,
};

/** Everything that a look from outside tells of a tree, access times too. */
function snapshot(path: string): unknown[] {
  const names = ['.', ...readdirSync(path, { recursive: true, encoding: 'utf8' }).sort()];
  return names.map((name) => {
    const { mode, uid, gid, nlink, size, atimeNs, mtimeNs, ctimeNs } = lstatSync(`${path}/${name}`, {
      bigint: true,
    });
    return [name, mode, uid, gid, nlink, size, atimeNs, mtimeNs, ctimeNs];
  });
}

async function refusal(path: string, sizeBytes: number): Promise<unknown> {
  try {
    await initStore({ path, sizeBytes, mappings: none }, deps);
  } catch (error) {
    return isPluginError(error) ? error.code : error;
  }
  return 'accepted';
}

interface Refused {
  readonly name: string;
  /** Makes what is there before; returns the store's path. */
  readonly make: (dir: TempDir) => string;
}

const store = (dir: TempDir): string => dir.at('store');

const REFUSED: readonly Refused[] = [
  {
    name: 'a directory with files in directories of our names',
    make: (dir) => {
      for (const name of ['images', 'tmp', 'html']) mkdirSync(dir.at('store', name), { recursive: true });
      writeFileSync(dir.at('store/images/photo.jpg'), 'precious');
      writeFileSync(dir.at('store/tmp/y'), 'x');
      return store(dir);
    },
  },
  {
    name: 'a directory with one empty directory of our names',
    make: (dir) => {
      mkdirSync(dir.at('store/images'), { recursive: true });
      return store(dir);
    },
  },
  {
    name: 'a stage of ours beside files of an operator',
    make: (dir) => {
      mkdirSync(temporaryPath(dir.at('store')), { recursive: true });
      mkdirSync(dir.at('store/tmp'));
      writeFileSync(dir.at('store/tmp/y'), 'x');
      return store(dir);
    },
  },
  {
    name: 'an empty directory of another user',
    make: (dir) => {
      mkdirSync(store(dir));
      chownSync(store(dir), NOBODY, NOBODY);
      return store(dir);
    },
  },
  {
    name: 'an empty directory that everybody can write',
    make: (dir) => {
      mkdirSync(store(dir));
      chmodSync(store(dir), 0o1777);
      return store(dir);
    },
  },
  {
    name: 'a parent of another user',
    make: (dir) => {
      mkdirSync(dir.at('home'));
      chownSync(dir.at('home'), NOBODY, NOBODY);
      return dir.at('home/store');
    },
  },
  {
    name: 'a parent that others can write, two levels up',
    make: (dir) => {
      mkdirSync(dir.at('open/below'), { recursive: true });
      chmodSync(dir.at('open'), 0o777);
      return dir.at('open/below/store');
    },
  },
  {
    name: 'a sticky parent of another user',
    make: (dir) => {
      mkdirSync(dir.at('theirs'));
      chownSync(dir.at('theirs'), NOBODY, NOBODY);
      chmodSync(dir.at('theirs'), 0o1777);
      return dir.at('theirs/store');
    },
  },
  {
    name: 'a link in the place of the store',
    make: (dir) => {
      mkdirSync(dir.at('real'));
      symlinkSync('real', store(dir));
      return store(dir);
    },
  },
  {
    name: 'a link on the way',
    make: (dir) => {
      mkdirSync(dir.at('real'));
      symlinkSync('real', dir.at('link'));
      return dir.at('link/store');
    },
  },
  {
    name: 'a lock that somebody else made',
    make: (dir) => {
      mkdirSync(dir.at('store.init'));
      chownSync(dir.at('store.init'), NOBODY, NOBODY);
      return store(dir);
    },
  },
  {
    name: 'a lock that is a link',
    make: (dir) => {
      mkdirSync(dir.at('elsewhere'));
      symlinkSync('elsewhere', dir.at('store.init'));
      return store(dir);
    },
  },
];

for (const { name, make } of REFUSED) {
  test(`${name}: refused, with a size and without, and left as it was`, async () => {
    await using dir = tempDir();
    const path = make(dir);
    const before = snapshot(dir.path);
    for (const size of [0, BYTES])
      expect([size, await refusal(path, size)]).toEqual([size, 'STORE_BAD_PATH']);
    expect(snapshot(dir.path)).toEqual(before);
  });
}

const LOOP_FILES: Readonly<Record<string, (file: string, dir: TempDir) => void>> = {
  'of another user': (file) => chownSync(file, NOBODY, 0),
  'that others can write': (file) => chmodSync(file, 0o666),
  'with a second name': (file, dir) => linkSync(file, dir.at('other')),
  'that is a link': (file, dir) => {
    renameSync(file, dir.at('other'));
    symlinkSync('other', file);
  },
  'that holds something else than XFS': (file) => writeFileSync(file, 'precious'),
  'that is a directory': (file, dir) => {
    renameSync(file, dir.at('other'));
    mkdirSync(file);
  },
};

for (const [name, make] of Object.entries(LOOP_FILES)) {
  test(`a loop file ${name}: refused and left as it was`, async () => {
    await using dir = tempDir();
    writeFileSync(dir.at('store.backing-store'), 'XFSB', { mode: 0o600 });
    make(dir.at('store.backing-store'), dir);
    const before = snapshot(dir.path);
    for (const size of [0, BYTES])
      expect([size, await refusal(store(dir), size)]).toEqual([size, 'STORE_BAD_PATH']);
    expect(snapshot(dir.path)).toEqual(before);
  });
}

test('a sticky parent of root, such as /tmp, and a parent that is not there are taken', async () => {
  await using dir = tempDir();
  mkdirSync(dir.at('tmp'));
  chmodSync(dir.at('tmp'), 0o1777);
  for (const path of [dir.at('tmp/store'), dir.at('a/b/store')])
    (await initStore({ path, sizeBytes: 0, mappings: none }, deps)).store[Symbol.dispose]();
  expect(statSync(dir.at('a/b')).mode & 0o777).toBe(0o755);
});

test('what a killed init-store left, before there was anything to keep, is gone on with', async () => {
  await using dir = tempDir();
  mkdirSync(temporaryPath(dir.at('store')), { recursive: true });
  for (const name of ['images', 'locks']) mkdirSync(dir.at('store', name));
  const { store: made } = await initStore({ path: store(dir), sizeBytes: 0, mappings: none }, deps);
  made[Symbol.dispose]();
  expect(readdirSync(store(dir)).sort()).toEqual([
    'images',
    'l',
    'locks',
    'meta',
    'projectids',
    'tmp',
    'volumes',
  ]);
});

test.each(['tmp', 'meta/leases', 'images'])(
  'a link in the place of %s of a store of ours: refused by every verb, and nothing behind it is touched',
  async (name) => {
    await using scratch = await scratchStore();
    await using dir = tempDir();
    writeFileSync(dir.at('kept'), 'kept');
    renameSync(`${scratch.path}/${name}`, `${scratch.path}-aside`);
    symlinkSync(dir.path, `${scratch.path}/${name}`);
    const before = snapshot(dir.path);
    expect(await refusal(scratch.path, 0)).toBe('STORE_UNSAFE');
    using opened = Store.open(scratch.path);
    expect(() => readdirVia(opened, name)).toThrow('STORE_UNSAFE');
    expect(snapshot(dir.path)).toEqual(before);
    expect(readFileSync(dir.at('kept'), 'utf8')).toBe('kept');
  },
);

/** As the store's own code does it: by the path of the layout. */
function readdirVia({ layout, images, layers }: Store, name: string): unknown {
  if (name === 'images') return images.list();
  if (name === 'tmp') return layers.stage();
  return new (require('../../../../lib/store/records/leases.ts').Lease)(layout, undefined, []);
}

test.each([
  ['.', 0o777],
  ['meta', 0o770],
  ['tmp', 0o1777],
])('%s of a store of ours, with mode %i, is refused and not put right', async (name, mode) => {
  await using scratch = await scratchStore();
  const path = `${scratch.path}/${name}`;
  chmodSync(path, mode);
  expect(await refusal(scratch.path, 0)).toBe('STORE_UNSAFE');
  expect(statSync(path).mode & 0o7777).toBe(mode);
  chmodSync(path, 0o700);
  expect(await refusal(scratch.path, 0)).toBe('accepted');
});

test('an init-store that fails leaves nothing that it made, and an empty directory with its mode', async () => {
  await using dir = tempDir();
  mkdirSync(dir.at('given'), { mode: 0o750 });
  for (const path of [dir.at('a/b/store'), dir.at('given')])
    expect(await refusal(path, BYTES)).toBe('STORE_FORMAT_FAILED');
  expect(readdirSync(dir.path)).toEqual(['given']);
  expect(statSync(dir.at('given')).mode & 0o7777).toBe(0o750);
  expect(existsSync(dir.at('given.backing-store'))).toBe(false);
});

test('a file that only looks formatted is not mounted, and goes again', async () => {
  await using dir = tempDir();
  const run = (_program: string, args: readonly string[]) => {
    writeFileSync(args.at(-1) ?? '', 'XFSB');
    return { ok: true, complaint: '' };
  };
  const made = initStore({ path: store(dir), sizeBytes: BYTES, mappings: none }, { ...deps, run });
  await expect(made).rejects.toMatchObject({ code: 'STORE_MOUNT_FAILED' });
  expect(readdirSync(dir.path)).toEqual([]);
});
