import { describe, expect, test } from 'bun:test';
import { PluginError } from '../../../lib/base/errors/error.ts';
import { silentLogger } from '../../../lib/base/log.ts';
import { parseConfig } from '../../../lib/oci/config.ts';
import { parseManifest } from '../../../lib/oci/manifest.ts';
import * as types from '../../../lib/oci/media-types.ts';
import { formatReference, type ImageReference, parseImageReference } from '../../../lib/oci/reference.ts';
import { digest } from './support.ts';

/** Mulberry32: the same sequence on every machine, so that a failure can be repeated. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
  };
}

const descriptor = {
  mediaType: types.OCI_LAYER,
  digest: digest('x'),
  size: 5,
  urls: ['http://h/x'],
  annotations: { a: 'b' },
};
const DOCUMENTS: readonly unknown[] = [
  {
    schemaVersion: 2,
    mediaType: types.OCI_MANIFEST,
    config: { ...descriptor, mediaType: types.OCI_CONFIG },
    layers: [descriptor, descriptor],
  },
  {
    schemaVersion: 2,
    manifests: [{ ...descriptor, platform: { os: 'linux', architecture: 'arm', variant: 'v7' } }],
  },
  {
    os: 'linux',
    architecture: 'amd64',
    rootfs: { type: 'layers', diff_ids: [digest('x')] },
    config: { Env: ['A=b'], Cmd: ['sh'], User: 'u' },
  },
];
const VALUES: readonly unknown[] = [
  null,
  true,
  -1,
  1e308,
  0.1,
  '',
  'x',
  [],
  {},
  [[]],
  { size: -1 },
  '\0',
  '../..',
  digest('y'),
  2 ** 60,
];
const WORDS = [
  '{',
  '}',
  '[',
  ']',
  '"',
  ':',
  ',',
  '\\',
  '\\u0000',
  '1e400',
  '"__proto__":1,',
  '"size":1,',
  '\xff',
  '\0',
  'null',
];

/** Replaces, removes or adds somewhere in the tree of a copy. */
function mutate(document: unknown, next: (below: number) => number): unknown {
  if (typeof document !== 'object' || document === null || next(6) === 0) return VALUES[next(VALUES.length)];
  const keys = Object.keys(document);
  const key = keys[next(keys.length)];
  const copy: Record<string, unknown> = Array.isArray(document)
    ? (Object.assign([], document) as never)
    : { ...document };
  if (key === undefined || next(10) === 0)
    return { ...copy, [next(2) === 0 ? 'layers' : 'manifests']: VALUES[next(VALUES.length)] };
  if (next(8) === 0) delete copy[key];
  else copy[key] = mutate((document as Record<string, unknown>)[key], next);
  return copy;
}

/** Puts a word into the text, or takes a piece out of it. */
function scramble(text: string, next: (below: number) => number): string {
  const at = next(text.length);
  return next(2) === 0
    ? text.slice(0, at) + WORDS[next(WORDS.length)] + text.slice(at)
    : text.slice(0, at) + text.slice(at + 1 + next(20));
}

describe('whatever the document', () => {
  test.each([1, 2, 3])('a reader returns or throws an error of ours (seed %i)', (seed) => {
    const next = random(seed);
    let refused = 0;
    for (let round = 0; round < 3000; round += 1) {
      const document = mutate(DOCUMENTS[next(DOCUMENTS.length)], next);
      const text = JSON.stringify(document) ?? 'undefined';
      const bytes = Buffer.from(next(2) === 0 ? text : scramble(text, next), 'latin1');
      for (const read of [
        () => parseManifest(bytes, undefined, 's'),
        () => parseConfig(bytes, 's', silentLogger),
      ]) {
        try {
          read();
        } catch (error) {
          if (!(error instanceof PluginError)) throw error;
          refused += 1;
        }
      }
    }
    // A fuzzer that breaks everything, or nothing, tests nothing.
    expect(refused).toBeGreaterThan(1000);
    expect(refused).toBeLessThan(6000);
  });
});

describe('whatever the reference', () => {
  const PARTS = [
    'docker:',
    'oci:',
    'cvmfs:',
    '//',
    '/',
    'h',
    'a/b',
    ':5000',
    ':tag',
    '@',
    `@${digest('x')}`,
    '#',
    '?',
    '%',
    '%2e',
    '..',
    '[::1]',
    'user:pw@',
    ' ',
    'É',
    '\0',
    '\n',
    ':',
    'cvmfs',
  ];

  test.each([1, 2, 3])('it is refused, or survives being written and read again (seed %i)', (seed) => {
    const next = random(seed);
    let accepted = 0;
    for (let round = 0; round < 20_000; round += 1) {
      const argument = Array.from({ length: 1 + next(8) }, () => PARTS[next(PARTS.length)]).join('');
      const reference = accept(argument);
      if (reference === undefined) continue;
      const shown = reference.kind === 'registry' ? { ...reference, userinfo: undefined } : reference;
      expect(parseImageReference(formatReference(reference))).toEqual(shown);
      if (reference.kind === 'registry') expect(formatReference(reference)).not.toContain('pw@');
      accepted += 1;
    }
    expect(accepted).toBeGreaterThan(500);
  });
});

function accept(argument: string): ImageReference | undefined {
  try {
    return parseImageReference(argument);
  } catch (error) {
    if (error instanceof PluginError) return undefined;
    throw error;
  }
}
