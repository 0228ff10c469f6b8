/** What a parent allows and hands down: limits, environment, /proc, and names that are not UTF-8. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { executable, graftMust } from '../support/graft.ts';
import { run, sh } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const GRAFT = executable();
let dir: TempDir;
let store: string;
let image: string;
beforeAll(async () => {
  dir = tempDir();
  store = dir.at('store');
  image = dir.at('image.tar');
  await graftMust(['--store', store, 'init-store']);
  writeFileSync(dir.at('file'), new Uint8Array(100_000));
  await sh('cd "$1"; tar cf image.tar file', [dir.path]);
});
afterAll(() => dir.remove());

/** A shell's words, with the executable as `$0`, the store as `$1` and the image as `$2`. */
const shell = (words: string) => run('/bin/bash', ['-c', words, GRAFT, store, image], { cwd: dir.path });

/** Nothing of the store is used, left over or wrong. */
async function expectClean(): Promise<void> {
  const after = await shell('"$0" --store "$1" list; "$0" --store "$1" check');
  expect(after.stdout).toBe('Store empty\nNothing is wrong.\n');
  expect(readdirSync(`${store}/tmp`)).toEqual([]);
}

describe('limits', () => {
  test.each([8, 16, 20, 63])('of %d open files: a sentence', async (limit) => {
    const ran = await shell(`prlimit --nofile=${limit} "$0" --store "$1" create "$2" few`);
    expect([ran.code, ran.stdout, ran.stderr]).toEqual([
      1,
      `graft cannot run here: this process may hold ${limit} files open, and graft needs 64; raise the limit of open ` +
        'files (ulimit -n, LimitNOFILE=)\n',
      '',
    ]);
    await expectClean();
  });

  test('of 64 open files: create and delete work', async () => {
    const ran = await shell(
      'prlimit --nofile=64 "$0" --store "$1" create --without-mount "$2" enough && ' +
        'prlimit --nofile=64 "$0" --store "$1" delete enough',
    );
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('Image enough deleted\n')]);
    await expectClean();
  });

  test.each([0, 50_000])('of %d bytes a file: create says so and leaves nothing', async (limit) => {
    await shell('"$0" --store "$1" clean');
    const ran = await shell(`prlimit --fsize=${limit} "$0" --store "$1" create --without-mount "$2" small`);
    expect([ran.code, ran.stdout]).toEqual([
      1,
      expect.stringMatching(
        /^write .*: file too large; raise the limit of file sizes \(ulimit -f, LimitFSIZE=\)\n$/,
      ),
    ]);
    await expectClean();
  });

  test.each([
    ['a directory', 0, ''],
    ['a loop file', 1_000_000, '--store-size-bytes 400000000'],
  ])('of the size of files: init-store of %s says so and leaves nothing', async (_what, limit, options) => {
    const place = dir.at(`place-${limit}`);
    mkdirSync(place);
    const ran = await shell(`prlimit --fsize=${limit} "$0" --store ${place}/store init-store ${options}`);
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining('file too large')]);
    expect(readdirSync(place)).toEqual([]);
  });
});

describe.each([
  ['an empty environment', 'env -i "$@"'],
  ['a TMPDIR that is not there', 'env TMPDIR=/not/there "$@"'],
  ['a TMPDIR that is a file', `env TMPDIR="$PWD/file" "$@"`],
  ['no /proc', 'unshare --mount bash -c \'umount -l /proc; "$@"\' - "$@"'],
])('%s', (_name, before) => {
  test('changes nothing', async () => {
    const ran = await shell(
      `g() { ${before}; }; g "$0" --store "$1" create --without-mount "$2" here >/dev/null && ` +
        'g "$0" --store "$1" list && g "$0" --store "$1" stats here && g "$0" --store "$1" delete here',
    );
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('Image here deleted\n')]);
    await expectClean();
  });
});

describe('names that are not UTF-8', () => {
  const NAME = "$'a\\xff\\xfeb'";
  test.each([
    ['store', 2, `"$0" --store ${NAME} init-store`],
    ['image', 4, `"$0" --store "$1" create ${NAME}.tar id`],
    ['id', 5, `"$0" --store "$1" create "$2" ${NAME}`],
    ['id to delete', 4, `"$0" --store "$1" delete ${NAME}`],
    ['--config', 2, `"$0" --config ${NAME} list`],
    ['--extra-config', 1, `"$0" --extra-config=${NAME} list`],
    ['password', 5, `"$0" --store "$1" create --password ${NAME} "$2" id`],
  ])('%s: refused', async (_what, argument, words) => {
    const ran = await shell(words);
    expect([ran.code, ran.stdout]).toEqual([
      1,
      `argument ${argument} of the command line is not UTF-8, which graft needs for names, paths and everything else; ` +
        'rename the file or directory that it names, or give another id\n',
    ]);
    expect(readdirSync(dir.path).filter((name) => name.includes('\uFFFD'))).toEqual([]);
    await expectClean();
  });

  test('U+FFFD itself is a name like others', async () => {
    const ran = await shell(
      '"$0" --store "$1" create --without-mount "$2" $\'\\xef\\xbf\\xbd\' && "$0" --store "$1" delete $\'\\xef\\xbf\\xbd\'',
    );
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('Image \uFFFD deleted\n')]);
    await expectClean();
  });

  test.each(['--config', '--extra-config'])('in the file of %s: refused', async (option) => {
    const ran = await shell(
      `printf 'store: /a\\xffb\\n' > bytes.yml; "$0" --store "$1" ${option} bytes.yml create docker://127.0.0.1:1/a id`,
    );
    expect([ran.code, ran.stdout]).toEqual([
      1,
      'invalid config file: yaml: it is not UTF-8; write it again in UTF-8, names and paths in it too (bytes.yml)\n',
    ]);
    await expectClean();
  });

  test('the working directory: relative paths are refused', async () => {
    const ran = await shell(
      `mkdir ${NAME}; cd ${NAME}; "$0" --store s init-store; e=$?; cd ..; rm -r ${NAME}; exit $e`,
    );
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining('has a name that is not UTF-8')]);
  });
});
