/** Names and paths that want out of the layer, or want to be something else than they look like. */
import { describe, expect, test } from 'bun:test';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { verifyTree } from '../../lib/layer/tree/verify-tree.ts';
import { removeTree } from '../../lib/sys/files/remove-tree.ts';
import { close, openDir } from '../../lib/sys/kernel/files.ts';
import { attack } from '../support/images/attack.ts';
import { type EntrySpec, longName, pax, paxRecord, rawPax, tar } from '../support/images/tar-writer.ts';
import { codeOf, listTree, requestIn, unpack } from '../support/images/unpack.ts';
import { tempDir } from '../support/temp.ts';

const D = (name: string, rest: Partial<EntrySpec> = {}): EntrySpec => ({ name, type: '5', ...rest });
const L = (name: string, link: string): EntrySpec => ({ name, type: '2', link });
const up = '../'.repeat(30);

describe('names that leave the layer', () => {
  for (const name of [
    '../out',
    '../../../canary/secret',
    'a/../../out',
    './a/b/../../../out',
    '..',
    'a/../..',
  ]) {
    attack(`${name.slice(0, 40)} is refused`, {
      layer: () => tar([{ name, content: 'evil' }]),
      code: 'LAYER_PATH_ESCAPE',
      subject: { entry: name },
    });
    attack(`${name.slice(0, 40)} as a PAX path is refused`, {
      layer: () => tar([{ name: 'harmless', content: 'evil', pax: { path: name } }]),
      code: 'LAYER_PATH_ESCAPE',
    });
  }

  attack('by enough steps to reach the root of the host, and from there anything', {
    layer: ({ canary }) => tar([{ name: 'x', content: 'evil', pax: { path: `${up}${canary.path}/new` } }]),
    code: 'LAYER_PATH_ESCAPE',
  });

  attack('as the target of a hard link', {
    layer: ({ canary }) => tar([{ name: 'stolen', type: '1', pax: { linkpath: `${up}${canary.secret}` } }]),
    code: 'LAYER_PATH_ESCAPE',
  });

  attack('an absolute name is below the layer', {
    layer: ({ canary }) =>
      tar([
        // In pax, since the directory for temporary files may be longer than the field of a header.
        { name: 'x', content: 'pwned', pax: { path: canary.secret } },
        { name: 'y', content: '2', pax: { path: `/${canary.path}/./dir//../new` } },
      ]),
    check({ target }, { canary }) {
      expect(readFileSync(`${target}${canary.secret}`, 'utf8')).toBe('pwned');
      expect(readFileSync(`${target}${canary.path}/new`, 'utf8')).toBe('2');
    },
  });
});

describe('links as parents', () => {
  attack('an absolute link out: the file lands below the layer', {
    layer: ({ canary }) => tar([L('evil', canary.path), { name: 'evil/secret', content: 'pwned' }]),
    check({ target }, { canary }) {
      expect(readFileSync(`${target}${canary.secret}`, 'utf8')).toBe('pwned');
    },
  });

  attack('a relative link out', {
    layer: () => tar([L('evil', '../../../../canary'), { name: 'evil/secret', content: 'pwned' }]),
    check: ({ tree }) => expect(tree['canary/secret']).toBe('f 644 0:0 pwned'),
  });

  attack('a link to a link out, then a directory through both', {
    layer: ({ canary }) =>
      tar([
        L('a', canary.path),
        D('d'),
        L('d/b', '../a'),
        D('d/b/new', { mode: 0o777 }),
        { name: 'd/b/dir/inner', content: 'x' },
      ]),
    check: ({ target }, { canary }) =>
      expect(readFileSync(`${target}${canary.path}/dir/inner`, 'utf8')).toBe('x'),
  });

  attack('a directory entry for a link: the link is replaced and what it leads to keeps mode and owner', {
    layer: ({ canary }) => tar([L('x', canary.path), D('x', { mode: 0o777, uid: 1234, gid: 1234 })]),
    tree: { '/': 'd 755 0:0', x: 'd 777 1234:1234' },
  });

  attack('a file entry for a link: the link is replaced', {
    layer: ({ canary }) => tar([L('x', canary.secret), { name: 'x', content: 'pwned', mode: 0o666 }]),
    tree: { '/': 'd 755 0:0', x: 'f 666 0:0 pwned' },
  });

  attack('a directory becomes a link between two files', {
    layer: ({ canary }) =>
      tar([
        D('d'),
        { name: 'd/secret', content: '1' },
        L('d', canary.path),
        { name: 'd/secret', content: 'pwned' },
      ]),
    check: ({ target, tree }, { canary }) => {
      expect(tree['d']).toBe(`l -> ${canary.path}`);
      expect(readFileSync(`${target}${canary.secret}`, 'utf8')).toBe('pwned');
    },
  });

  attack('a link becomes a directory again: what was cached of it is forgotten', {
    layer: ({ canary }) =>
      tar([
        D('in'),
        L('d', 'in'),
        { name: 'd/1', content: '1' },
        L('d', canary.path),
        { name: 'd/2', content: '2' },
        D('d'),
        { name: 'd/3', content: '3' },
      ]),
    check: ({ tree, target }, { canary }) => {
      expect(tree).toMatchObject({ 'in/1': 'f 644 0:0 1', 'd/3': 'f 644 0:0 3' });
      expect(readFileSync(`${target}${canary.path}/2`, 'utf8')).toBe('2');
    },
  });

  attack('a link in the middle of a long name', {
    layer: ({ canary }) =>
      tar([D('a/b'), L('a/b/c', canary.path), { name: 'a/b/c/dir/inner', content: 'pwned' }]),
    check: ({ target }, { canary }) =>
      expect(readFileSync(`${target}${canary.path}/dir/inner`, 'utf8')).toBe('pwned'),
  });

  attack("the kernel's own links: /proc/self/root and /proc/self/fd lead nowhere", {
    layer: ({ canary }) => tar([L('r', '/proc/self/root'), { name: `r${canary.secret}`, content: 'pwned' }]),
    check: ({ target }, { canary }) =>
      expect(readFileSync(`${target}/proc/self/root${canary.secret}`, 'utf8')).toBe('pwned'),
  });
});

describe('the root', () => {
  for (const name of ['', '.', './', '/', '/.', './.', 'a/..']) {
    for (const type of ['0', '1', '2', '6']) {
      attack(`cannot be replaced by "${name}" of type ${type}`, {
        layer: ({ canary }) =>
          tar([
            { name, type, link: canary.path, pax: { path: name === '' ? './' : name } },
            { name: 'secret', content: 'pwned' },
          ]),
        code: 'LAYER_ROOT_REPLACED',
      });
    }
    attack(`"${name}" as a directory gives it attributes only`, {
      layer: () => tar([{ name, type: '5', mode: 0o1711, uid: 3, pax: { path: name === '' ? '.' : name } }]),
      tree: { '/': 'd 1711 3:0' },
    });
  }

  attack('a link to the root is followed to the root of the layer', {
    layer: () =>
      tar([
        L('up', '/'),
        { name: 'up/x', content: '1' },
        L('dots', '../../../..'),
        { name: 'dots/y', content: '2' },
      ]),
    check: ({ tree }) => expect(tree).toMatchObject({ x: 'f 644 0:0 1', y: 'f 644 0:0 2' }),
  });
});

describe('loops of links', () => {
  attack('two links that lead to each other', {
    layer: () => tar([L('a', 'b'), L('b', 'a'), { name: 'a/x', content: '1' }]),
    code: 'LAYER_LINK_LOOP',
    subject: { entry: 'a/x' },
  });

  attack('a link to itself', {
    layer: () => tar([L('a', 'a/b'), { name: 'a/x', content: '1' }]),
    code: 'LAYER_LINK_LOOP',
  });

  const chain = (length: number): EntrySpec[] => [
    D('end'),
    L('l0', 'end'),
    ...Array.from({ length }, (_, i) => L(`l${i + 1}`, `l${i}`)),
    { name: `l${length}/x`, content: '1' },
  ];
  attack('a chain of 300 links', { layer: () => tar(chain(300)), code: 'LAYER_LINK_LOOP' });

  test('a chain of 40 links is followed, as the kernel does', async () => {
    await using dir = tempDir();
    const request = requestIn(dir.path);
    await unpack(request, tar(chain(39)));
    expect(readFileSync(`${request.target}/end/x`, 'utf8')).toBe('1');
    expect(readFileSync(`${request.target}/l39/x`, 'utf8')).toBe('1');
    expect(await codeOf(unpack(requestIn(dir.at('more')), tar(chain(40))))).toBe('LAYER_LINK_LOOP');
  });

  attack('links that double at every step', {
    layer: () =>
      tar([
        D('d'),
        ...Array.from({ length: 60 }, (_, i) => L(`l${i}`, i === 0 ? 'd' : `l${i - 1}/../l${i - 1}/.`)),
        { name: 'l59/x' },
      ]),
    code: 'LAYER_LINK_LOOP',
    check: ({ cpuMilliseconds }) => expect(cpuMilliseconds).toBeLessThan(5000),
  });
});

describe('names without measure', () => {
  attack('a component of 256 bytes', {
    layer: () => tar([{ name: 'x', pax: { path: `a/${'n'.repeat(256)}` } }]),
    code: 'LAYER_NAME_TOO_LONG',
    check: ({ subject }) => expect((subject as { entry: string }).entry.length).toBeLessThan(300),
  });

  attack('a name of 100,000 bytes', {
    layer: () => tar([longName('a/'.repeat(50_000)), { name: 'x' }]),
    code: 'LAYER_NAME_TOO_LONG',
    check: ({ subject }) => expect((subject as { entry: string }).entry.length).toBeLessThan(300),
  });

  attack('a symbolic link to 5,000 bytes', {
    layer: () => tar([{ name: 'l', type: '2', pax: { linkpath: 'x'.repeat(5000) } }]),
    code: 'LAYER_NAME_TOO_LONG',
  });

  attack('a path through a link to a component of 256 bytes', {
    layer: () => tar([{ name: 'l', type: '2', pax: { linkpath: 'n'.repeat(256) } }, { name: 'l/x' }]),
    code: 'LAYER_NAME_TOO_LONG',
  });

  attack('a tree 2,500 levels deep, over PATH_MAX, unpacked and removed', {
    layer: () => {
      const deep = 'd/'.repeat(2500);
      return tar([
        { name: 'x', content: 'deep', pax: { path: `${deep}file` } },
        { name: 'y', content: 'again', pax: { path: `${deep}other` } },
        { name: 'z', content: 'half', pax: { path: `${deep.slice(0, 2 * 1500)}half` } },
        { name: 'l', type: '1', pax: { path: 'link', linkpath: `${deep}file` } },
      ]);
    },
    check({ target, code }) {
      expect(code).toBeUndefined();
      expect(readFileSync(`${target}/link`, 'utf8')).toBe('deep');
      expect(lstatSync(`${target}/link`).nlink).toBe(2);
      const parent = openDir(`${target}/..`);
      try {
        removeTree(parent, 'target');
      } finally {
        close(parent);
      }
      expect(readdirSync(dirname(target))).toEqual(['manifest']);
    },
  });
});

test('the manifest of a deep tree is read without paths too', async () => {
  await using dir = tempDir();
  const request = requestIn(dir.path);
  await unpack(request, tar([{ name: 'x', content: 'deep', pax: { path: `${'dir/'.repeat(2000)}file` } }]));
  expect([...verifyTree(request.target, request.manifestPath)]).toEqual([]);
  const parent = openDir(dir.path);
  removeTree(parent, 'target');
  close(parent);
});

describe('bytes', () => {
  attack('names that are no UTF-8, with newlines, escapes, directions, colons and commas stay as they are', {
    layer: () =>
      tar([{ name: 'x', pax: { path: Buffer.from('a\xff\xfe\n\t\x1b[31m\u202e:,\\ b', 'latin1') } }]),
    check({ target }) {
      const names = readdirSync(target, { encoding: 'buffer' });
      expect(names.map((name) => name.toString('latin1'))).toEqual([
        Buffer.from('a\xff\xfe\n\t\x1b[31m\u202e:,\\ b', 'latin1').toString('latin1'),
      ]);
    },
  });

  attack('hostile names are escaped and cut in errors', {
    layer: () => tar([{ name: 'x', pax: { path: `../\x1b]0;owned\x07\n\u202e${'y'.repeat(1000)}` } }]),
    code: 'LAYER_PATH_ESCAPE',
    check({ subject }) {
      const { entry } = subject as { entry: string };
      expect(entry).toMatch(/^[\x20-\x7e\u2026]*$/);
      expect(entry.length).toBeLessThan(300);
    },
  });

  for (const key of ['path', 'linkpath']) {
    attack(`NUL in PAX ${key}`, {
      layer: () => tar([rawPax(paxRecord(key, 'a\0b')), L('x', 'y')]),
      code: 'LAYER_BAD_HEADER',
    });
  }
  attack('NUL in the name of an xattr', {
    layer: () => tar([pax({ 'SCHILY.xattr.user.a\0b': 'x' }), { name: 'x' }]),
    code: 'LAYER_BAD_HEADER',
  });

  test('names that differ in case or Unicode form only are different names', async () => {
    await using dir = tempDir();
    const request = requestIn(dir.path);
    const names = ['straße', 'strasse', 'STRASSE', 'é', 'e\u0301', 'ſ', 's'];
    await unpack(request, tar(names.map((name) => ({ name, content: name }))));
    const found = listTree(request.target);
    expect(Object.keys(found)).toHaveLength(names.length + 1);
    for (const name of names) expect(found[name]).toBe(`f 644 0:0 ${name}`);
  });
});
