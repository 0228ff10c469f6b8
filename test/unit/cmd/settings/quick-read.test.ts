import { describe, expect, test } from 'bun:test';
import { GROOT_KEYS } from '../../../../cmd/settings/groot-keys.ts';
import { readGrootYaml } from '../../../../cmd/settings/groot-yaml.ts';
import { readQuickly } from '../../../../cmd/settings/quick-read.ts';
import { isPluginError } from '../../../../lib/base/errors/error.ts';

/** The parser's answer, `undefined` where it refuses the file or warns of a key. */
function parsed(text: string): unknown {
  try {
    const { values, unknownKeys } = readGrootYaml('/f', text);
    return unknownKeys.length === 0 ? values : undefined;
  } catch (error) {
    if (!isPluginError(error)) throw error;
    return undefined;
  }
}

const BOSH = `store: /var/vcap/data/grootfs/store/unprivileged
tardis_bin: /var/vcap/packages/grootfs/bin/tardis
log_level: info
metron_endpoint: 127.0.0.1:3457
log_timestamp_format: unix-epoch
create:
  without_mount: false
  insecure_registries: []
  skip_layer_validation: true
  clean_log_file: /var/vcap/sys/log/garden/groot.clean.log
init:
  with_direct_io: true
`;
const THRESHOLDER = `store: /s
log_file: ""
create:
    with_clean: true
    insecure_registries:
        - a.example:5000
        - 'b.example'
    disk_limit_size_bytes: 0
clean:
    threshold_bytes: 1073741824
init:
    store_size_bytes: 10737418240
    owneruser: ""
`;

describe('the quick reader', () => {
  test.each([
    ['BOSH’s template', BOSH],
    ['what thresholder writes', THRESHOLDER],
    ['comments and empty lines', '# a\n\n  # b\nstore: /s\n\n'],
    ['quotations', 'store: "/a b"\nlog_file: \'/c: d\'\n'],
    ['keys without values', 'store:\ncreate:\nclean:\n'],
    ['a list at the column of its key', 'create:\n  insecure_registries:\n  - a\n  - b\nstore: /s\n'],
  ])('reads %s', (_name, text) => {
    expect(readQuickly(text)).toBeDefined();
    expect(readQuickly(text)).toEqual(parsed(text) as never);
  });

  test.each([
    ['an unknown key', 'stor: /s'],
    ['a key of another section', 'clean:\n  with_clean: true'],
    ['a key twice', 'store: /a\nstore: /b'],
    ['a key twice, made up for by an escape', 'store: /a\nstore: "\\x3a"'],
    ['a key twice, made up for by a flow', 'clean: \nclean: {threshold_bytes}'],
    ['a key twice, made up for by a question', 'clean:\nclean:\n  ? threshold_bytes'],
    ['a key twice, made up for by an alias', 'store: &a b:c\nlog_file: x\nlog_file: *a'],
    ['a section twice', 'create:\n  with_clean: true\ncreate:\n'],
    ['a flow', 'create: {with_clean: true}'],
    ['a number where text is wanted', 'store: 5'],
    ['too large', 'clean:\n  threshold_bytes: 9223372036854775807'],
    ['yes', 'create:\n  with_clean: yes'],
    ['an anchor', 'store: &a /s'],
    ['a second document', 'store: /a\n---\nlog_level: info'],
    ['a text over lines that looks like a key', 'store: "/s\nlog_level: info"'],
    ['an escape', 'store: "/s\\n"'],
    ['a deeper key', 'create:\n  with_clean: true\n    without_mount: true'],
    ['a key in a list', 'create:\n  insecure_registries:\n    - a: b'],
    ['a list that is not one', 'store:\n- a'],
  ])('leaves %s to the second look', (_name, text) => {
    expect(readQuickly(text)).toBeUndefined();
  });

  test('never says anything else than the second look', () => {
    // mulberry32 with a fixed seed: the same files on every run.
    let state = 11;
    const pick = <T>(from: readonly T[]): T => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return from[(t >>> 1) % from.length] as T;
    };
    const words = [
      ...Object.keys(GROOT_KEYS).map((key) => key.replace(/.*\./, '')),
      'create',
      'clean',
      'init',
      'x',
    ];
    const values = [
      ...[
        '',
        ' ',
        ' /s',
        ' true',
        ' false',
        ' 5',
        ' -5',
        ' 0',
        ' 007',
        ' 1e3',
        ' 1.5',
        ' 0x10',
        ' []',
        ' {}',
      ],
      ...[
        ' ""',
        " ''",
        ' "a b"',
        " 'a: b'",
        ' "a',
        ' a b',
        ' a: b',
        ' a:b',
        ' a:',
        ' #',
        ' a #b',
        ' a#b',
        ' ~',
        ' null',
      ],
      ...[
        ' Yes',
        ' .inf',
        ' .5',
        ' +5',
        ' -',
        ' - a',
        ' 12:30',
        ' 127.0.0.1:3457',
        ' [a]',
        ' |',
        ' &a',
        ' !x',
        ' ?',
        ' ?x',
      ],
      ...[' "a" b', " 'it''s'", ' 2026-11-21', ' NaN', ' Infinity', ' 0o17', ' 1_0', ' true ', ' 5 ', 'x'],
    ];
    const indents = ['', '', '', '  ', '  ', '  ', '    ', ' '];
    const line = () => {
      const kind = pick([0, 0, 0, 0, 0, 0, 1, 2, 3]);
      if (kind === 1) return `${pick(indents)}-${pick(values)}`;
      if (kind === 2) return pick(['', '# c', '  # c', '---', '...', 'create:', 'init:']);
      if (kind === 3) return `${pick(indents)}insecure_registries:`;
      return `${pick(indents)}${pick(words)}:${pick(values)}`;
    };
    let plain = 0;
    for (let i = 0; i < 100_000; i += 1) {
      const text = Array.from({ length: pick([1, 2, 3, 4, 5]) }, line).join('\n');
      const values = readQuickly(text);
      if (values === undefined) continue;
      plain += 1;
      expect({ text, values }).toEqual({ text, values: parsed(text) as never });
    }
    expect(plain).toBeGreaterThan(2000);
  });
});
