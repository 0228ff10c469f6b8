import { describe, expect, test } from 'bun:test';
import { parseYaml, YamlProblem } from '../../../../cmd/settings/yaml.ts';

function problem(text: string): string | undefined {
  try {
    parseYaml(text);
    return undefined;
  } catch (error) {
    if (error instanceof YamlProblem) return error.message;
    throw error;
  }
}

describe('what Bun.YAML lets pass and a configuration must not have', () => {
  test.each([
    ['the same key twice', 'a: 1\nb: 2\na: 3', 'line 3: mapping key "a" already defined at line 1'],
    ['below another key', 'a:\n  b: 1\n  c: 2\n  b: 3', 'line 4: mapping key "b" already defined at line 2'],
    ['once plain and once quoted', 'a: 1\n"a": 2', 'line 2: mapping key "a" already defined at line 1'],
    ['in single quotes', "'it''s': 1\n\"it's\": 2", 'line 2: mapping key "it\'s" already defined at line 1'],
    ['in a flow mapping', 'a: {b: 1, c: 2, b: 3}', 'line 1: mapping key "b" already defined at line 1'],
    ['in JSON', '{"a": {"b": 1},\n "a": 2}', 'line 2: mapping key "a" already defined at line 1'],
    ['in JSON without blanks', '{"a":1,"a":2}', 'line 1: mapping key "a" already defined at line 1'],
    [
      'in a flow mapping inside a sequence',
      'a: [{b: 1, b: 2}]',
      'line 1: mapping key "b" already defined at line 1',
    ],
    [
      'in a mapping of a sequence',
      'a:\n  - b: 1\n    b: 2',
      'line 3: mapping key "b" already defined at line 2',
    ],
    [
      'in a sequence at the same column',
      'a:\n- b: 1\n  b: 2',
      'line 3: mapping key "b" already defined at line 2',
    ],
    ['in a nested sequence', '- - a: 1\n    a: 2', 'line 2: mapping key "a" already defined at line 1'],
    [
      'behind a block scalar',
      'a: |\n  a: not a key\nb: 1\na: 2',
      'line 4: mapping key "a" already defined at line 1',
    ],
    [
      'behind a text over lines',
      'a: "x\n  b: y"\nb: 1\nb: 2',
      'line 4: mapping key "b" already defined at line 3',
    ],
    [
      'behind a flow over lines',
      'a: [1,\n  2]\nb: 1\nb: 2',
      'line 4: mapping key "b" already defined at line 3',
    ],
    ['after comments', '# x\na: 1 # a: 2\n# a: 3\na: 4', 'line 4: mapping key "a" already defined at line 2'],
    ['with blanks before the colon', 'a : 1\na: 2', 'line 2: mapping key "a" already defined at line 1'],
    ['with Windows line ends', 'a: 1\r\na: 2\r\n', 'line 2: mapping key "a" already defined at line 1'],
    ['behind a byte order mark', '\uFEFFa: 1\na: 2', 'line 2: mapping key "a" already defined at line 1'],
    ['with a hash in it', 'a#b: 1\na#b: 2', 'line 2: mapping key "a#b" already defined at line 1'],
    ['a host with a port', 'h:5000: 1\nh:5000: 2', 'line 2: mapping key "h:5000" already defined at line 1'],
    ['a line that begins with a comma', 'a:\n  ,- b\n  - c', 'line 2: a line cannot begin with a comma'],
    ['text behind a block mark', 'a: | -7\nb: 1', 'line 1: text behind | belongs on the next line'],
    [
      'an empty line behind an escaped break',
      'a: "x\\\n\n  y"',
      'line 3: an empty line behind "\\" is not read here',
    ],
    ['two documents', 'a: 1\n---\nb: 2', 'line 2: more than one document'],
    ['two documents, marked', '---\na: 1\n---\nb: 2', 'line 3: more than one document'],
    ['an end and more', 'a: 1\n...\nb: 2', 'line 2: more than one document'],
    ['an anchor', 'a: &x 1', 'line 1: anchors, aliases and tags are not read here'],
    ['an alias', 'a: &x [1]\nb: *x', 'line 1: anchors, aliases and tags are not read here'],
    ['an anchor in a flow', 'a: [&x 1, *x]', 'line 1: anchors, aliases and tags are not read here'],
    ['an anchor in a sequence', '- &x 1\n- *x', 'line 1: anchors, aliases and tags are not read here'],
    ['a tag', 'a: !!str 1', 'line 1: anchors, aliases and tags are not read here'],
    ['a merge key', 'a: {b: 1}\n<<: {c: 1}', 'line 2: merge keys (<<) are not read here'],
    ['a key with a question mark', '? a\n: 1', 'line 1: "? key" is not read here'],
    [
      'an integer that does not fit',
      'a: 9223372036854775807',
      'a is too large for graft: at most 9007199254740991',
    ],
    [
      'one below a key',
      'a:\n  b: [99999999999999999999]',
      'a.b.0 is too large for graft: at most 9007199254740991',
    ],
    ['one that a double rounds', 'a: 9007199254740993', 'a is too large for graft: at most 9007199254740991'],
  ])('%s', (_name, text, expected) => {
    expect(problem(text)).toBe(expected);
  });

  test.each([
    ['9223372036854775807', 2 ** 63],
    ['-9223372036854775808', -(2 ** 63)],
    ['9007199254740993', 2 ** 53],
  ])('int64 takes %s', (text, value) => {
    expect(parseYaml(`a: ${text}`, 'int64')).toEqual({ a: value });
  });

  test.each(['9223372036854775808', '-9223372036854775809', '9223372036854776000', '0x8000000000000000'])(
    'int64 does not take %s',
    (text) => {
      expect(() => parseYaml(`a: ${text}`, 'int64')).toThrow(
        'a is too large for graft: at most 9223372036854775807',
      );
    },
  );

  test.each([
    ['an open quotation', 'a: "x'],
    ['an open sequence', 'a: [1,'],
    ['a tab as indentation', 'a:\n\tb: 1'],
    ['two values', 'a: b: c'],
  ])('no YAML at all: %s', (_name, text) => {
    expect(problem(text)).toMatch(/./);
  });
});

describe('what a configuration may have', () => {
  test.each([
    ['nothing', '', null],
    ['comments alone', '# a\n\n  # b\n', null],
    ['a marker in front', '---\na: 1\n', { a: 1 }],
    ['a marker and a comment', '# x\n--- # y\na: 1\n...\n# end\n', { a: 1 }],
    [
      'the same key in different mappings',
      'a:\n  x: 1\nb:\n  x: 2\nx: 3',
      { a: { x: 1 }, b: { x: 2 }, x: 3 },
    ],
    [
      'the same key in items',
      '- a: 1\n  b: 2\n- a: 3\n  b: 4',
      [
        { a: 1, b: 2 },
        { a: 3, b: 4 },
      ],
    ],
    ['items under a key', 'l:\n- a: 1\n- a: 2\nm: 3', { l: [{ a: 1 }, { a: 2 }], m: 3 }],
    ['items deeper', 'l:\n  - a: 1\n    b:\n      a: 1\n  - a: 2', { l: [{ a: 1, b: { a: 1 } }, { a: 2 }] }],
    ['nested items', '- - a: 1\n  - a: 2\n- - a: 3', [[{ a: 1 }, { a: 2 }], [{ a: 3 }]]],
    [
      'the same key in flows',
      'a: [{x: 1}, {x: 2}, {y: {x: 3}}]',
      { a: [{ x: 1 }, { x: 2 }, { y: { x: 3 } }] },
    ],
    ['a colon inside a value', 'a: http://x:80/a:b', { a: 'http://x:80/a:b' }],
    ['keys inside quotations', 'a: "a: 1"\nb: \'a: 2\'', { a: 'a: 1', b: 'a: 2' }],
    ['keys inside a block scalar', 'a: |\n  a: 1\n\n  a: 2\nb: 1', { a: 'a: 1\n\na: 2\n', b: 1 }],
    ['keys inside a folded scalar', 'l:\n  - >-\n    x: 1\n    x: 2\n  - b', { l: ['x: 1 x: 2', 'b'] }],
    ['keys inside a text over lines', 'a: "x\n  a: y"\nb: 1', { a: 'x a: y', b: 1 }],
    ['a quoted escape', 'a: "x\\" a: \\\\"\nb: 1', { a: 'x" a: \\', b: 1 }],
    ['an apostrophe', "a: 'it''s: 1'\nb: it's", { a: "it's: 1", b: "it's" }],
    ['a comment in a flow', 'a: [1, # a: 2\n  2]\nb: 1', { a: [1, 2], b: 1 }],
    ['quotations in a flow', 'a: ["x, y: z", \'{\']\nb: 1', { a: ['x, y: z', '{'], b: 1 }],
    ['largest integer', 'a: 9007199254740991', { a: 9007199254740991 }],
    ['hash in a value', 'a: b#c', { a: 'b#c' }],
    ['question marks', 'a: what?\n?b: 1', { a: 'what?', '?b': 1 }],
    ['a negative number', 'a: -5\n-b: 1', { a: -5, '-b': 1 }],
  ])('%s', (_name, text, expected) => {
    expect(parseYaml(text)).toEqual(expected as never);
  });
});
