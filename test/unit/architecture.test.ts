/**
 * The direction of imports, and who may touch what. A wrong arrow is cheap to make and expensive to find
 * later, so the sources are read and every arrow that is not listed here fails.
 */
import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Import, parseSource, readSources, resolveImport, type Source } from '../support/imports.ts';
import { PROJECT } from '../support/shell.ts';

/** What the files of each folder may import beside their own. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  'lib/base': [],
  'lib/oci': ['lib/base'],
  'lib/sys': ['lib/base'],
  'lib/layer': ['lib/oci', 'lib/sys', 'lib/base'],
  'lib/http': ['lib/sys', 'lib/base'],
  'lib/registry': ['lib/http', 'lib/oci', 'lib/sys', 'lib/base'],
  // Checking a store reads a tree's manifest; publishing to CVMFS packs layers.
  'lib/store': ['lib/layer', 'lib/oci', 'lib/sys', 'lib/base'],
  'lib/cvmfs': ['lib/layer', 'lib/oci', 'lib/sys', 'lib/base'],
  // Signatures lie in registries and beside them, and verdicts in the store.
  'lib/trust': ['lib/registry', 'lib/store', 'lib/http', 'lib/oci', 'lib/sys', 'lib/base'],
  'lib/image': [
    'lib/trust',
    'lib/http',
    'lib/registry',
    'lib/layer',
    'lib/cvmfs',
    'lib/store',
    'lib/oci',
    'lib/sys',
    'lib/base',
  ],
  // The agent's queue and HTTP surface. What it does with a job, the verb gives it.
  'lib/publisher': ['lib/oci', 'lib/sys', 'lib/base'],
  // Images written out of graft: a directory, a tar file, a layout.
  'lib/export': ['lib/image', 'lib/layer', 'lib/cvmfs', 'lib/oci', 'lib/sys', 'lib/base'],
};
const BELOW_PUBLISH = ['lib/image', ...(ALLOWED['lib/image'] ?? [])];
const BELOW_PLUGIN = ['lib/publish', 'lib/commit', ...BELOW_PUBLISH];
const ARROWS: typeof ALLOWED = {
  ...ALLOWED,
  'lib/publish': BELOW_PUBLISH,
  'lib/commit': BELOW_PUBLISH,
  'lib/plugin': BELOW_PLUGIN,
  // A container by hand: its whole specification, and the runtime that starts it.
  'lib/runtime': ['lib/plugin', ...BELOW_PLUGIN],
  cmd: ['lib/runtime', 'lib/plugin', 'lib/export', 'lib/publisher', ...BELOW_PLUGIN],
};

/**
 * The inner rooms of a room, the lower ones first: each may import those before it. `.` stands for the files that lie in
 * the room itself. A room that is not listed has no inner rooms.
 */
const INNER: Readonly<Record<string, readonly string[]>> = {
  'lib/base': ['errors', '.'],
  'lib/http': ['.'],
  'lib/oci': ['generated', '.'],
  'lib/sys': ['kernel', 'files', 'mounts', 'exclusive'],
  'lib/layer': ['tar', 'manifest', 'tree', 'erofs', 'unpack', 'merge', 'pack'],
  'lib/registry': ['answers', 'policy', 'auth', 'blobs', '.', 'push'],
  'lib/store': ['layout', 'records', '.', 'collect', 'init', 'checks'],
  'lib/image': ['source', 'stack', 'cvmfs', 'pull', 'push'],
  'lib/trust': ['policy', 'sigstore', 'find', 'gpg', '.'],
  'lib/publish': ['repository', 'tree', 'targets', '.'],
  'lib/export': ['.'],
  'lib/publisher': ['.'],
  'lib/commit': ['layer', 'image', 'target', 'base'],
  'lib/plugin': ['metrics', '.'],
  'lib/runtime': ['.'],
  cmd: ['cli', 'settings', 'sentences', 'terminal', 'program', 'sources', 'verbs', '.'],
};

const MAX_LINES = 300;
/** Each costs a verb more than an empty program does as a whole; they are loaded where they are needed. */
const SLOW = [
  'node:crypto',
  'crypto',
  'node:child_process',
  'node:http',
  'node:https',
  'node:tls',
  'node:dgram',
];
/** Programs run at start for every verb; workers do their unpacking. */
const ENTRIES = ['cmd/graft.ts'];

const packages = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as {
  dependencies: Record<string, string>;
};
const npmPackages = Object.keys(packages.dependencies);

function folderOf(path: string): string {
  return path.startsWith('lib/') ? path.split('/').slice(0, 2).join('/') : (path.split('/')[0] ?? '');
}

function wrongArrow(from: string, { specifier }: Import): string | undefined {
  const target = resolveImport(from, specifier);
  if (target === undefined) return wrongPackage(from, specifier);
  if (target === 'package.json') return undefined;
  const [here, there] = [folderOf(from), folderOf(target)];
  if (here === there) return wrongInnerArrow(here, from, target);
  return ARROWS[here]?.includes(there) === true ? undefined : `${here} must not import ${there}`;
}

/** `.` for a file of the room itself. */
function innerRoomOf(room: string, path: string): string {
  const below = path.slice(room.length + 1).split('/');
  return below.length > 1 ? (below[0] ?? '') : '.';
}

function wrongInnerArrow(room: string, from: string, target: string): string | undefined {
  const rooms = INNER[room];
  const [here, there] = [innerRoomOf(room, from), innerRoomOf(room, target)];
  if (here === there) return undefined;
  if (rooms === undefined) return `${room} has no inner rooms in the list`;
  for (const inner of [here, there]) if (!rooms.includes(inner)) return `${room}/${inner} is not in the list`;
  return rooms.indexOf(there) < rooms.indexOf(here)
    ? undefined
    : `${room}/${here} must not import ${room}/${there}`;
}

/** Files that import each other, in any number of steps and with types too: one line for each circle. */
function circles(sources: readonly Source[]): string[] {
  const known = new Set(sources.map(({ path }) => path));
  const next = new Map(
    sources.map(({ path, imports }) => [
      path,
      imports
        .map(({ specifier }) => resolveImport(path, specifier))
        .filter((target): target is string => target !== undefined && known.has(target)),
    ]),
  );
  const reach = (from: string): Set<string> => {
    const seen = new Set<string>();
    const queue = [...(next.get(from) ?? [])];
    for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
      if (seen.has(path)) continue;
      seen.add(path);
      queue.push(...(next.get(path) ?? []));
    }
    return seen;
  };
  const reached = new Map([...known].map((path) => [path, reach(path)]));
  const found = [...known].map((path) =>
    [...(reached.get(path) ?? [])]
      .filter((other) => reached.get(other)?.has(path))
      .sort()
      .join(' ↔ '),
  );
  return [...new Set(found)].filter(Boolean);
}

function wrongPackage(from: string, specifier: string): string | undefined {
  if (specifier === 'bun:ffi') {
    return folderOf(from) === 'lib/sys' ? undefined : 'kernel calls belong into lib/sys';
  }
  if (specifier === 'yargs' || specifier.startsWith('yargs/')) {
    return folderOf(from) === 'cmd' ? undefined : 'the command line belongs into cmd';
  }
  if (specifier === 'bun' || specifier.startsWith('node:')) return undefined;
  const known = npmPackages.some((name) => specifier === name || specifier.startsWith(`${name}/`));
  return known ? undefined : 'not a dependency of package.json, nor a module with its "node:" prefix';
}

const AMBIENT =
  /\bprocess\s*\.\s*(env|argv|stdout|stderr|stdin|exit|exitCode)\b|\bBun\s*\.\s*(env|argv)\b|\bconsole\s*\./g;
/** The one switch that must work before anything is parsed; the shipped program has it compiled away. */
const AMBIENT_ALLOWED: Readonly<Record<string, readonly string[]>> = {
  'lib/sys/kernel/fault.ts': ['process.env'],
};

function ambient({ path, code }: Source): string[] {
  if (folderOf(path) === 'cmd') return [];
  const allowed = AMBIENT_ALLOWED[path] ?? [];
  return [...code.matchAll(AMBIENT)].map((match) => match[0]).filter((use) => !allowed.includes(use));
}

/**
 * A compiled program looks a relative worker path up in its working directory first and runs what it finds
 * there (tried with Bun 1.4.5): as root, in somebody else's directory.
 */
function looseWorker({ code }: Source): string[] {
  return [...code.matchAll(/new\s+Worker\s*\(\s*['"`]([^'"`]*)/g)]
    .map((match) => match[1] ?? '')
    .filter((path) => !path.startsWith('/$bunfs/root/'));
}

/** All rules on one file, as sentences. */
function violations(source: Source): string[] {
  const arrows = source.imports.flatMap((one) => {
    const wrong = wrongArrow(source.path, one);
    return wrong === undefined ? [] : [`${one.specifier}: ${wrong}`];
  });
  const lines = source.text.split('\n').length - 1;
  return [
    ...arrows,
    ...ambient(source).map((use) => `${use} belongs into cmd`),
    ...looseWorker(source).map((path) => `a worker at ${path} could come from the working directory`),
    ...(lines > MAX_LINES ? [`${lines} lines are more than ${MAX_LINES}`] : []),
  ].map((text) => `${source.path}: ${text}`);
}

/** What a start loads: the files and packages that static imports reach from the entries. */
function loadedAtStart(sources: readonly Source[], entries: readonly string[]): Map<string, string> {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const reached = new Map<string, string>();
  const queue = [...entries];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    for (const { specifier, kind } of byPath.get(path)?.imports ?? []) {
      if (kind !== 'static') continue;
      const target = resolveImport(path, specifier) ?? specifier;
      if (reached.has(target)) continue;
      reached.set(target, path);
      queue.push(target);
    }
  }
  return reached;
}

function slowAtStart(sources: readonly Source[], entries: readonly string[]): string[] {
  const heavy = (name: string) =>
    SLOW.includes(name) || npmPackages.some((one) => name === one || name.startsWith(`${one}/`));
  return [...loadedAtStart(sources, entries)]
    .filter(([name]) => heavy(name))
    .map(([name, by]) => `${by} loads ${name} at every start`);
}

const sources = readSources(PROJECT, ['cmd', 'lib']);

describe('the sources', () => {
  test('are all read', () => {
    expect(sources.length).toBeGreaterThan(20);
    for (const { path } of sources) expect(Object.keys(ARROWS)).toContain(folderOf(path));
  });

  test('import in the allowed direction only, and leave the process to cmd', () => {
    expect(sources.flatMap(violations)).toEqual([]);
  });

  test('do not import each other in a circle', () => {
    expect(circles(sources)).toEqual([]);
  });

  test('lie in rooms that the list has', () => {
    for (const { path } of sources) {
      const room = folderOf(path);
      const inner = innerRoomOf(room, path);
      if (inner !== '.' || INNER[room] !== undefined)
        expect([room, INNER[room]]).toEqual([room, expect.arrayContaining([inner])]);
    }
  });

  test('import files that exist', () => {
    const missing = sources.flatMap(({ path, imports }) =>
      imports
        .map(({ specifier }) => resolveImport(path, specifier))
        .filter((target) => target !== undefined && !/\.(ts|json)$|\/generated\//.test(target))
        .map((target) => `${path}: ${target}`),
    );
    expect(missing).toEqual([]);
  });

  test.each(['create', 'delete', 'stats'])('of a warm %s load no room that fetches or unpacks', (verb) => {
    const loaded = [...loadedAtStart(sources, [...ENTRIES, `cmd/verbs/${verb}.ts`]).keys()];
    const fetching = ['lib/layer', 'lib/registry', 'lib/http', 'lib/cvmfs'];
    const heavy = [
      ...fetching,
      'lib/publish',
      'lib/publisher',
      'lib/export',
      'lib/trust',
      'lib/commit',
      'lib/runtime',
    ];
    expect(loaded.filter((path) => heavy.includes(folderOf(path)))).toEqual([]);
  });

  test('load nothing slow at start', () => {
    expect(sources.some(({ path }) => path === ENTRIES[0])).toBe(true);
    expect(slowAtStart(sources, ENTRIES)).toEqual([]);
  });
});

describe('the rules bite', () => {
  const broken = (path: string, text: string) => violations(parseSource(path, text));

  test.each([
    ['lib/base/x.ts', "import { a } from '../sys/libc.ts';", 'lib/base must not import lib/sys'],
    ['lib/oci/x.ts', "import type { A } from '../sys/libc.ts';", 'lib/oci must not import lib/sys'],
    ['lib/sys/x.ts', "export * from '../oci/json.ts';", 'lib/sys must not import lib/oci'],
    [
      'lib/layer/x.ts',
      "import {\n  a,\n  b,\n} from '../store/store.ts';",
      'lib/layer must not import lib/store',
    ],
    [
      'lib/registry/x.ts',
      "const a = await import('../layer/tar.ts');",
      'lib/registry must not import lib/layer',
    ],
    ['lib/store/x.ts', "import '../cvmfs/thin.ts';", 'lib/store must not import lib/cvmfs'],
    ['lib/image/x.ts', "import { a } from '../plugin/create.ts';", 'lib/image must not import lib/plugin'],
    [
      'lib/plugin/x.ts',
      "import { a } from '../../cmd/terminal/output.ts';",
      'lib/plugin must not import cmd',
    ],
    ['lib/store/x.ts', "import { a } from '../../test/support/shell.ts';", 'lib/store must not import test'],
    ['lib/layer/x.ts', "import { dlopen } from 'bun:ffi';", 'kernel calls belong into lib/sys'],
    ['cmd/x.ts', "import { dlopen } from 'bun:ffi';", 'kernel calls belong into lib/sys'],
    ['lib/plugin/x.ts', "import yargs from 'yargs/yargs';", 'the command line belongs into cmd'],
    ['lib/oci/x.ts', "import left from 'left-pad';", 'not a dependency'],
    ['lib/oci/x.ts', "import { readFileSync } from 'fs';", 'not a dependency'],
    ['lib/store/x.ts', "const home = process.env['HOME'];", 'process.env belongs into cmd'],
    ['lib/store/x.ts', 'process.stdout.write(text);', 'process.stdout belongs into cmd'],
    ['lib/base/x.ts', 'console.log(text);', 'console. belongs into cmd'],
    ['lib/base/x.ts', 'process.exit(1);', 'process.exit belongs into cmd'],
    ['lib/layer/x.ts', "new Worker('./cmd/unpack-worker.ts');", 'could come from the working directory'],
    [
      'lib/sys/kernel/x.ts',
      "import { a } from '../files/path.ts';",
      'lib/sys/kernel must not import lib/sys/files',
    ],
    [
      'lib/store/records/x.ts',
      "import { a } from '../store.ts';",
      'lib/store/records must not import lib/store/.',
    ],
    [
      'lib/store/x.ts',
      "import { a } from './collect/x.ts';",
      'lib/store/. must not import lib/store/collect',
    ],
    ['lib/oci/x.ts', "import { a } from './inner/x.ts';", 'lib/oci/inner is not in the list'],
    ['lib/sys/x.ts', "import { a } from './kernel/libc.ts';", 'lib/sys/. is not in the list'],
  ])('%s: %s', (path, text, sentence) => {
    const found = broken(path, text);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(sentence);
  });

  test('a file of 301 lines', () => {
    expect(broken('lib/layer/x.ts', 'x\n'.repeat(300))).toEqual([]);
    expect(broken('lib/layer/x.ts', 'x\n'.repeat(301))).toEqual([
      'lib/layer/x.ts: 301 lines are more than 300',
    ]);
  });

  test.each([
    ['lib/store/x.ts', "import { a } from '../layer/manifest.ts';"],
    ['lib/cvmfs/x.ts', "import { a } from '../layer/pack.ts';"],
    ['lib/sys/x.ts', "import { dlopen } from 'bun:ffi';"],
    ['lib/base/x.ts', "// import { a } from '../sys/libc.ts';\nconst b = 1;"],
    ['lib/base/x.ts', "/* console.log(1)\n import { a } from '../sys/libc.ts'; */"],
    ['lib/base/x.ts', "const url = 'http://x'; // process.env"],
    ['lib/base/x.ts', 'const quote = /[\'"]/; // process.env'],
    ['cmd/x.ts', "import { a } from '../lib/base/text.ts';\nconst b = process.env['X'];"],
    ['lib/layer/x.ts', "new Worker('/$bunfs/root/unpack-worker.js');"],
  ])('allowed in %s: %s', (path, text) => {
    expect(broken(path, text)).toEqual([]);
  });

  test('a circle of files is found through every step, also one of types', () => {
    const graph = [
      parseSource('lib/base/a.ts', "import { b } from './b.ts';"),
      parseSource('lib/base/b.ts', "import type { C } from './c.ts';"),
      parseSource('lib/base/c.ts', "const a = () => import('./a.ts');"),
      parseSource('lib/base/d.ts', "import { a } from './a.ts';"),
    ];
    expect(circles(graph)).toEqual(['lib/base/a.ts ↔ lib/base/b.ts ↔ lib/base/c.ts']);
  });

  test('what static imports load at start is found through every step', () => {
    const graph = [
      parseSource('cmd/graft.ts', "import { a } from './a.ts';\nconst b = () => import('./b.ts');"),
      parseSource('cmd/a.ts', "import type { T } from 'pino';\nexport { c } from '../lib/base/c.ts';"),
      parseSource('cmd/b.ts', "import yargs from 'yargs';"),
      parseSource('lib/base/c.ts', "import { createHash } from 'node:crypto';"),
    ];
    expect(slowAtStart(graph, ENTRIES)).toEqual(['lib/base/c.ts loads node:crypto at every start']);
  });
});
