import { describe, expect, test } from 'bun:test';
import { applyOps, type Operation, type Yaml } from './go-patch.ts';

/** The document of go-patch's own documentation, whose examples these are. */
const DOCUMENT: Yaml = {
  key: 1,
  key2: { nested: { super_nested: 2 }, other: 3 },
  array: [4, 5, 6],
  items: [{ name: 'item7' }, { name: 'item8' }, { name: 'item8' }],
};

const replaced = (path: string, value: Yaml = 10) => applyOps(DOCUMENT, [{ type: 'replace', path, value }]);
const removed = (path: string) => applyOps(DOCUMENT, [{ type: 'remove', path }]);

describe('replace', () => {
  const cases: [path: string, changed: Record<string, Yaml>][] = [
    ['/key', { key: 10 }],
    ['/new_key?', { new_key: 10 }],
    ['/key2/nested/super_nested', { key2: { nested: { super_nested: 10 }, other: 3 } }],
    [
      '/key2/nested?/another_nested/super_nested',
      { key2: { nested: { super_nested: 2, another_nested: { super_nested: 10 } }, other: 3 } },
    ],
    ['/array/0', { array: [10, 5, 6] }],
    ['/array/-1', { array: [4, 5, 10] }],
    ['/array/-', { array: [4, 5, 6, 10] }],
    ['/array2?/-', { array2: [10] }],
    ['/array/1:prev', { array: [10, 5, 6] }],
    ['/array/0:next', { array: [4, 10, 6] }],
    ['/array/0:after', { array: [4, 10, 5, 6] }],
    ['/array/0:before', { array: [10, 4, 5, 6] }],
    [
      '/items/name=item7/count?',
      { items: [{ name: 'item7', count: 10 }, { name: 'item8' }, { name: 'item8' }] },
    ],
    [
      '/items/name=item9?/count',
      { items: [{ name: 'item7' }, { name: 'item8' }, { name: 'item8' }, { name: 'item9', count: 10 }] },
    ],
    ['/a~1b~0c~2?', { 'a/b~c?': 10 }],
  ];
  for (const [path, changed] of cases) {
    test(path, () => expect(replaced(path)).toEqual({ ...(DOCUMENT as object), ...changed }));
  }

  test('leaves the value of an operation alone when a later one changes its copy', () => {
    const operations: Operation[] = [
      { type: 'replace', path: '/a?', value: { b: 1 } },
      { type: 'replace', path: '/a/b', value: 2 },
    ];
    expect(applyOps({}, operations)).toEqual({ a: { b: 2 } });
    expect(operations[0]?.value).toEqual({ b: 1 });
  });
});

describe('remove', () => {
  test('a key, an index, a match', () => {
    expect(removed('/key')).not.toHaveProperty('key');
    expect(removed('/array/1')).toHaveProperty('array', [4, 6]);
    expect(removed('/items/name=item7')).toHaveProperty('items', [{ name: 'item8' }, { name: 'item8' }]);
  });

  test('what is optional and missing changes nothing', () => {
    for (const path of ['/nope?', '/nope?/deeper', '/items/name=item9?', '/items/name=item9?/count']) {
      expect(removed(path)).toEqual(DOCUMENT);
    }
  });
});

describe('refuses', () => {
  const cases: [operation: Operation, reason: string][] = [
    [
      { type: 'replace', path: '/nope', value: 1 },
      "expected to find key 'nope' among array, items, key, key2",
    ],
    [{ type: 'replace', path: '/items/name=item8/count', value: 1 }, 'found 2'],
    [{ type: 'replace', path: '/items/name=item9/count', value: 1 }, 'found 0'],
    [
      { type: 'replace', path: '/items/name=item7/count', value: 1 },
      "expected to find key 'count' among name",
    ],
    [{ type: 'replace', path: '/key2/-', value: 1 }, 'expected a list'],
    [{ type: 'replace', path: '/array/name', value: 1 }, 'expected a map'],
    [{ type: 'replace', path: '/array/9', value: 1 }, 'no item 9'],
    [{ type: 'replace', path: '/key:sideways', value: 1 }, "unknown modifier 'sideways'"],
    [{ type: 'replace', path: 'key', value: 1 }, "does not start with '/'"],
    [{ type: 'replace', path: '/key' }, 'missing value'],
    [{ type: 'remove', path: '/key', value: 1 }, 'cannot specify a value'],
    [{ type: 'remove', path: '/nope' }, "expected to find key 'nope'"],
    [{ type: 'copy', path: '/key', value: 1 }, "unknown type 'copy'"],
  ];
  for (const [operation, reason] of cases) {
    test(`${operation.type} ${operation.path}: ${reason}`, () =>
      expect(() => applyOps(DOCUMENT, [operation])).toThrow(reason));
  }
});
