/** Markers that would remove what is not theirs, or make more work than they are worth. */
import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { lgetxattr } from '../../lib/sys/kernel/files.ts';
import { attack } from '../support/images/attack.ts';
import { type EntrySpec, tar } from '../support/images/tar-writer.ts';
import { listTree, ROOMY, requestIn, unpack } from '../support/images/unpack.ts';
import { tempDir } from '../support/temp.ts';

const D = (name: string): EntrySpec => ({ name, type: '5' });
const L = (name: string, link: string): EntrySpec => ({ name, type: '2', link });

describe('names', () => {
  for (const name of ['.wh.', '.wh..', '.wh...', 'a/.wh.', 'a/.wh..', 'a/.wh...']) {
    attack(`${name} marks nothing that could be removed`, {
      layer: () => tar([{ name: 'a/kept' }, { name }]),
      code: 'LAYER_BAD_WHITEOUT',
      subject: { entry: name },
    });
  }

  attack('the marker is a prefix of the last component only', {
    layer: () =>
      tar([
        { name: 'foobar', content: 'kept' },
        { name: 'foo.wh.bar', content: 'own' },
        { name: 'd.wh./x', content: 'own' },
      ]),
    tree: {
      '/': 'd 755 0:0',
      'd.wh.': 'd 755 0:0',
      'd.wh./x': 'f 644 0:0 own',
      'foo.wh.bar': 'f 644 0:0 own',
      foobar: 'f 644 0:0 kept',
    },
  });

  for (const name of ['.wh.d/child', 'a/.wh.d/b/c', '.wh..wh..opq/x', '.wh.d/.wh.x', '.wh.d/.wh..wh..opq']) {
    attack(`${name}: nothing lies below a marker`, {
      layer: () => tar([{ name: 'd/child' }, { name }]),
      code: 'LAYER_BAD_WHITEOUT',
    });
  }

  for (const type of ['0', '\0', '1', '2', '3', '4', '5', '6', '7']) {
    attack(`the name decides, type ${JSON.stringify(type)} and content do not`, {
      layer: ({ canary }) =>
        tar([
          {
            name: 'd/.wh.gone',
            type,
            pax: { linkpath: canary.secret },
            content: type === '0' || type === '7' ? 'body' : '',
          },
          { name: 'e/.wh..wh..opq', type, pax: { linkpath: canary.secret } },
          { name: 'e/after', content: 'x' },
        ]),
      tree: {
        '/': 'd 755 0:0',
        d: 'd 755 0:0',
        'd/gone': 'c 0',
        e: 'd 755 0:0',
        'e/after': 'f 644 0:0 x',
      },
      check: ({ result }) =>
        expect([result?.whiteoutDirs, result?.opaqueDirs] as unknown).toEqual([['d'], ['e']]),
    });
  }
});

describe('places', () => {
  attack('through a link out of the layer: the marker stays inside, nothing outside goes', {
    layer: ({ canary }) =>
      tar([
        L('evil', canary.path),
        { name: 'evil/.wh.secret' },
        { name: 'evil/.wh..wh..opq' },
        { name: 'evil/dir/.wh.inner' },
      ]),
    check({ target, result }, { canary }) {
      expect([...(result?.opaqueDirs ?? [])] as string[]).toEqual([canary.path.slice(1)]);
      expect(lgetxattr(`${target}${canary.path}`, 'trusted.overlay.opaque')).toBeDefined();
    },
  });

  attack('a marker for a link removes no file behind the link', {
    layer: ({ canary }) =>
      tar([
        L('evil', canary.path),
        { name: '.wh.evil' },
        D('x'),
        L('x/l', '../evil/secret'),
        { name: 'x/.wh.l' },
      ]),
    check: ({ tree }, { canary }) =>
      expect(tree).toMatchObject({ evil: `l -> ${canary.path}`, 'x/l': 'l -> ../evil/secret' }),
  });

  attack('entries of this layer survive markers before and after them', {
    layer: () =>
      tar([
        { name: 'a', content: '1' },
        { name: '.wh.a' },
        { name: '.wh.b' },
        { name: 'b', content: '2' },
        { name: 'd/x', content: '3' },
        { name: '.wh.d' },
      ]),
    tree: { '/': 'd 755 0:0', a: 'f 644 0:0 1', b: 'f 644 0:0 2', d: 'd 755 0:0', 'd/x': 'f 644 0:0 3' },
    check: ({ result }) => expect([...(result?.opaqueDirs ?? [])] as string[]).toEqual(['d']),
  });

  attack('markers below an opaque directory leave no name that is listed and not found', {
    layer: () =>
      tar([
        { name: 'o/.wh.a' },
        { name: 'o/deep/er/.wh.b' },
        { name: 'o/kept', content: 'x' },
        { name: 'o/.wh..wh..opq' },
        { name: 'o/.wh.c' },
      ]),
    tree: {
      '/': 'd 755 0:0',
      o: 'd 755 0:0',
      'o/kept': 'f 644 0:0 x',
    },
    check: ({ result }) => expect([result?.whiteoutDirs, result?.opaqueDirs] as unknown).toEqual([[], ['o']]),
  });

  attack('directories that hold markers are reported, since no lower layer may have them', {
    layer: () => tar([{ name: 'only/here/.wh.x' }, { name: '.wh.y' }]),
    check: ({ result }) => {
      expect([result?.whiteoutDirs, result?.impliedDirs] as unknown).toEqual([
        ['', 'only/here'],
        ['only', 'only/here'],
      ]);
    },
  });
});

describe('numbers', () => {
  const marks = (count: number, name: (i: number) => string) =>
    tar(Array.from({ length: count }, (_, i) => ({ name: name(i) })));

  test('100,000 markers in one directory, then an opaque one: under 30 s of work', async () => {
    await using dir = tempDir();
    const request = requestIn(dir.path);
    const archive = Buffer.concat([
      marks(100_000, (i) => `d/.wh.${i}`).subarray(0, -1024),
      tar([{ name: 'd/.wh..wh..opq' }]),
    ]);
    const started = process.cpuUsage();
    const result = await unpack(request, archive);
    expect(cpuSeconds(started)).toBeLessThan(30);
    expect([result.whiteoutDirs, result.opaqueDirs] as unknown).toEqual([[], ['d']]);
  });

  test('50,000 opaque directories, and as many markers for one name: under 30 s of work', async () => {
    await using dir = tempDir();
    const started = process.cpuUsage();
    const opaque = await unpack(
      requestIn(dir.at('1')),
      marks(50_000, (i) => `d${i}/.wh..wh..opq`),
    );
    const same = await unpack(
      requestIn(dir.at('2')),
      marks(50_000, (i) => (i % 2 === 0 ? 'x/y/.wh.z' : '.wh.x')),
    );
    expect(cpuSeconds(started)).toBeLessThan(30);
    expect(opaque.opaqueDirs).toHaveLength(50_000);
    expect([...same.whiteoutDirs] as string[]).toEqual(['']);
  });

  attack('more names to remember than memory is for', {
    layer: () => {
      const long = `${'n'.repeat(250)}/`.repeat(50);
      return tar(
        Array.from({ length: 700 }, (_, i) => ({ name: 'x', pax: { path: `${long}${i}/.wh..wh..opq` } })),
      );
    },
    code: 'LAYER_TOO_LARGE',
    subject: { what: 'bytes of names to remember', limit: 8 * 2 ** 20 },
  });

  attack('more directories than entries are allowed, all from a few names', {
    layer: () =>
      tar(Array.from({ length: 20 }, (_, i) => ({ name: 'x', pax: { path: `${i}/${'d/'.repeat(300)}x` } }))),
    request: () => ({ budget: { ...ROOMY, entries: 5000 } }),
    code: 'LAYER_TOO_LARGE',
    subject: { what: 'entries', limit: 5000 },
  });
});

test('layers unpacked in any order and side by side come out the same', async () => {
  const layers = [
    tar([D('a'), { name: 'a/x', content: '1' }, { name: 'b/y', content: '2' }]),
    tar([{ name: 'a/.wh.x' }, { name: 'b/.wh..wh..opq' }, { name: 'b/z', content: '3' }]),
    tar([{ name: '.wh.a' }, { name: 'a/new', content: '4' }]),
  ];
  const orders = [
    [0, 1, 2],
    [2, 1, 0],
    [1, 2, 0],
  ];
  const seen = new Set<string>();
  await using dir = tempDir();
  for (const [i, order] of orders.entries()) {
    const at = (layer: number) => dir.at(`${i}-${layer}`);
    const run = async (layer: number) => unpack(requestIn(at(layer)), layers[layer] ?? Buffer.alloc(0), 512);
    if (i === 0) for (const layer of order) await run(layer);
    else await Promise.all(order.map(run));
    seen.add(
      JSON.stringify(
        [0, 1, 2].map((layer) => [
          listTree(`${at(layer)}/target`),
          readFileSync(`${at(layer)}/manifest`, 'utf8'),
        ]),
      ),
    );
  }
  expect(seen.size).toBe(1);
});

/** Since `started`; the clock would measure what else the machine does. */
function cpuSeconds(started: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(started);
  return (user + system) / 1e6;
}
