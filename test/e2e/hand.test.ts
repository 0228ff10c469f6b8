/** Verbs for people: list, diff, tree, delete-store and version, on pipes and in a pseudo-terminal. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { executable, graft } from '../support/graft.ts';
import { makeImage } from '../support/images/images.ts';
import { cleanEnv, must, type Ran, run, sh } from '../support/shell.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';

let store: TestStore;
let image: string;
beforeAll(async () => {
  store = await testStore();
  const [lower, upper] = [store.dir.at('lower'), store.dir.at('upper')];
  await sh(
    `mkdir -p "$1/etc" "$1/d" "$1/gone" "$2/etc"
     echo 1 > "$1/etc/a"; echo 2 > "$1/etc/b"; echo 3 > "$1/d/x"
     echo changed > "$2/etc/a"; echo new > "$2/etc/c"`,
    [lower, upper],
  );
  const made = await makeImage(store.dir.at('layout'), 'app', [lower, upper]);
  await must('umoci', ['insert', '--image', made.name, '--whiteout', '/gone']);
  image = made.url;
  await store.must(['create', image, 'one']);
  await store.must(['create', '--without-mount', image, 'two']);
  const rootfs = `${store.path}/images/one/rootfs`;
  await sh(
    `cd "$1"; echo more >> etc/a; rm etc/b; rm -r d; mkdir d; echo anew > d/y; mkdir e; printf '' > "$(printf 'n\\nl')"; chmod 700 etc`,
    [rootfs],
  );
});
afterAll(() => store[Symbol.asyncDispose]());

/** Runs graft in a terminal of 80 columns and answers with a line. */
function typing(args: readonly string[], answer: string, columns = 80): Promise<Ran> {
  const script = `
import os, pty, sys, fcntl, termios, struct
pid, fd = pty.fork()
if pid == 0: os.execv(sys.argv[2], sys.argv[2:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', 24, ${columns}, 0, 0))
os.write(fd, sys.argv[1].encode())
out = b''
try:
  while True:
    part = os.read(fd, 4096)
    if not part: break
    out += part
except OSError: pass
os.write(1, out)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))`;
  return run('python3', ['-c', script, answer, executable(), ...args], { env: cleanEnv({ TERM: 'xterm' }) });
}

describe('list', () => {
  test('prints paths on a pipe, as GrootFS does, and what it is told to', async () => {
    const paths = ['one', 'two'].map((id) => `${store.path}/images/${id}\n`).join('');
    expect(await store.must(['list'])).toBe(paths);
    expect(await store.must(['list', '--quiet'])).toBe('one\ntwo\n');
    const fields = await store.must(['list', '--format', 'id, image,size,state']);
    expect(fields).toBe(`one\t${image}\t\tmounted\ntwo\t${image}\t\tcaller\n`);
    expect((await store.graft(['list', '--format', 'id,nosuch'])).stdout).toBe(
      '--format has no field "nosuch"; its fields are id, image, size, limit, layers, created, state, digest, path\n',
    );
    expect((await store.graft(['list', '--quiet', '--json'])).code).toBe(1);
  });

  test('is a table on a terminal, in its columns unless names are to be whole', async () => {
    const lines = (await typing(['--store', store.path, 'list'], '')).stdout.trim().split('\r\n');
    expect(lines[0]).toMatch(/^ID +IMAGE +WROTE +LIMIT +LAYERS +AGE +STATE$/);
    expect(lines.map((line) => Bun.stringWidth(line) <= 80)).toEqual([true, true, true]);
    expect(lines[1]).toMatch(/^one +oci:\S*…\S* +- +none +18 bytes +\d+ \w+ +mounted$/);
    const whole = await typing(['--store', store.path, 'list', '--no-trunc'], '');
    expect(whole.stdout).toContain(` ${image} `);
  });

  test('tells of half a root filesystem', async () => {
    mkdirSync(`${store.path}/images/half`);
    expect(await store.must(['list', '--format', 'id,state'])).toContain('half\tunfinished\n');
    await store.must(['delete', 'half']);
  });
});

describe('diff', () => {
  const LINES = [
    'M              /d/ (made anew)',
    'A     5 bytes  /d/y',
    'A              /e/',
    'M              /etc/',
    'M    13 bytes  /etc/a',
    'D              /etc/b',
    'A     0 bytes  /n\\u{a}l',
    '3 added, 3 modified, 1 deleted; 6 names with 18 bytes of content',
  ];

  test('tells of each change once, and of nothing that is as in the image', async () => {
    expect((await store.must(['diff', 'one'])).trim().split('\n')).toEqual(LINES);
    expect(await store.must(['diff', `${store.path}/images/two`])).toBe(
      '0 added, 0 modified, 0 deleted; 0 names with 0 bytes of content\n',
    );
  });

  test('prints the same as JSON', async () => {
    const changes = JSON.parse(await store.must(['diff', '--json', 'one'])) as {
      change: string;
      path: string;
    }[];
    expect(changes.map(({ change, path }) => `${change} ${path}`)).toEqual([
      ...['M /d', 'A /d/y', 'A /e', 'M /etc', 'M /etc/a', 'D /etc/b', 'A /n\\u{a}l'],
    ]);
    expect(changes[5]).toEqual({ change: 'D', path: '/etc/b', type: 'file', size: 0 } as never);
  });

  test('of what is not there: the sentence of the other verbs', async () => {
    expect(await store.graft(['diff', 'nosuch'])).toMatchObject({
      code: 1,
      stdout: 'Image `nosuch` not found.\n',
    });
  });
});

describe('tree', () => {
  test.each(['one', 'image'])('of %s counts what each layer adds, changes and hides', async (subject) => {
    const tree = JSON.parse(await store.must(['tree', '--json', subject === 'one' ? 'one' : image])) as {
      layers: { from: string; content: unknown; usedBy: string[] }[];
    };
    expect(tree.layers.map(({ from, usedBy }) => [from, usedBy])).toEqual([
      ['store', ['one', 'two']],
      ['store', ['one', 'two']],
      ['store', ['one', 'two']],
    ]);
    expect(tree.layers.map(({ content }) => content)).toEqual([
      { bytes: 6, added: 6, replaced: 0, hidden: 0 },
      { bytes: 12, added: 1, replaced: 1, hidden: 0 },
      { bytes: 0, added: 0, replaced: 0, hidden: 1 },
    ]);
  });

  test('fits a terminal, and says which layers the store lacks', async () => {
    const shown = await typing(['--store', store.path, 'tree', 'one'], '');
    const lines = shown.stdout.trim().split('\r\n').slice(2);
    expect(lines.every((line) => Bun.stringWidth(line) <= 80)).toBe(true);
    expect(lines.at(-1)).toBe('3 layers, 3 in the store with 18 bytes');
    expect(lines[1]).toMatch(/^[0-9a-f]{12} .* \+6 +~0 +-0 +one, two$/);
    await using empty = await testStore();
    expect(await empty.must(['tree', image])).toContain('not in the store');
  });
});

describe('delete-store', () => {
  test('says what it would delete, asks a person, and asks no script', async () => {
    const path = store.dir.at('other');
    const file = `${path}.backing-store`;
    const on = (...args: string[]) => ['--store', path, ...args];
    await graft(on('init-store', '--store-size-bytes', '320M'));
    await graft(on('create', image, 'box'));
    const would = await graft(on('delete-store', '--dry-run'));
    expect(would.stdout).toMatch(
      /^would delete the store \S+ with 1 root filesystem \(box\), 3 layers of \S+ \S+ and the file \S+ \(.* on the disk\)\n$/,
    );
    const no = await typing(on('delete-store'), 'no\n');
    expect([no.code, no.stdout]).toEqual([1, expect.stringContaining('nothing was deleted')]);
    expect(existsSync(file)).toBe(true);
    expect(await typing(on('delete-store'), 'yes\n')).toMatchObject({ code: 0 });
    expect(existsSync(file)).toBe(false);
    await graft(on('init-store', '--store-size-bytes', '320MiB'));
    expect(await graft(on('delete-store'))).toMatchObject({ code: 0, stdout: '' });
    expect(existsSync(path)).toBe(false);
  });
});

test('version --json has what a report of a fault needs', async () => {
  const told = JSON.parse((await graft(['version', '--json'])).stdout) as Record<string, unknown>;
  expect(told).toMatchObject({
    version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
    runtime: { name: 'bun', version: expect.any(String) },
    kernel: { overlayfs: true, xfs: true, openat2: true },
  });
});

test('sizes have units, and a wrong one says which there are', async () => {
  writeFileSync(store.dir.at('none.tar'), '');
  const wrong = await store.graft([
    'create',
    '--disk-limit-size-bytes',
    '10MB',
    store.dir.at('none.tar'),
    'x',
  ]);
  expect(wrong.stdout).toContain(
    'Give a number of bytes, at most 9223372036854775807, or a size such as 10M or 8GiB.',
  );
});

test.each([
  ['rm', 'delete'],
  ['ps', 'list'],
  ['df', 'usage'],
  ['du', 'usage'],
  ['gc', 'clean'],
  ['prune', 'clean'],
])('%s: did you mean %s?', async (word, verb) => {
  expect(await graft([word])).toMatchObject({
    code: 3,
    stdout: `No help topic for '${word}'. Did you mean ${verb}?\n`,
  });
});
