/** docs/json-answers.schema.json, which the release ships: what each verb prints with --json fits its definition. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import Ajv, { type ValidateFunction } from 'ajv';
import { VERBS } from '../../cmd/cli/definitions.ts';
import schema from '../../docs/json-answers.schema.json';
import { type MadeImage, makeBusyboxImage } from '../support/images/images.ts';
import { startRegistry, type TestRegistry } from '../support/registries/registry.ts';
import { must } from '../support/shell.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';

const ajv = new Ajv({ strict: true, strictRequired: false, allErrors: true });
let store: TestStore;
let image: MadeImage;
let registry: TestRegistry;
beforeAll(async () => {
  store = await testStore();
  image = await makeBusyboxImage(store.dir.at('layout'));
  await must('umoci', [
    'config',
    '--image',
    image.name,
    '--config.label',
    'team=graft',
    '--config.volume',
    '/data',
  ]);
  await must('umoci', ['config', '--image', image.name, '--config.exposedports', '80/tcp']);
  registry = await startRegistry(store.dir.at('registry'));
  await store.must(['create', image.url, 'box']);
  await store.must(['create', '--without-mount', image.url, 'bare']);
  await store.must(['run', 'box', '--', 'sh', '-c', 'echo 1 > a; mkdir b']);
  mkdirSync(store.dir.at('graft.yml.d'));
  writeFileSync(store.dir.at('graft.yml'), `store: ${store.path}\nlog_level: verbose\n`);
  writeFileSync(store.dir.at('graft.yml.d/a.yaml'), '');
  mkdirSync(`${store.path}/images/half`);
  mkdirSync(`${store.path}/tmp/left-behind`);
  mkdirSync(store.dir.at('published'));
});
afterAll(async () => {
  await registry?.stop();
  await store?.[Symbol.asyncDispose]();
});

function validatorOf(verb: string): ValidateFunction {
  const definition = (schema.definitions as Record<string, object>)[verb];
  if (definition === undefined)
    throw new Error(
      `${verb} --json has no definition in docs/json-answers.schema.json: describe what it prints`,
    );
  return ajv.compile(definition);
}

const config = () => ['--config', store.dir.at('graft.yml')];
const to = () => `directory:${store.dir.at('published')}`;
/** Calls of each verb in their order, with what the answer must have so that it proves something. */
const CALLS: readonly [verb: string, words: () => string[], has: string][] = [
  ['list', () => ['list', '--json'], '"half"'],
  ['usage', () => ['usage', '--json'], 'left-behind'],
  ['check', () => ['check', '--json'], 'image-half'],
  ['doctor', () => ['doctor', '--json'], 'settings'],
  ['config', () => ['config', 'check', '--json'], 'a.yaml'],
  ['diff', () => ['diff', '--json', 'box'], '/home/app/a'],
  ['images', () => ['images', '--json'], 'reclaimableBytes'],
  ['tree', () => ['tree', '--json', 'box'], '"box"'],
  ['tree', () => ['tree', '--json', image.url], '"bare"'],
  ['version', () => ['version', '--json'], 'bun'],
  ['inspect', () => ['inspect', '--json', image.url], '"team":"graft"'],
  ['export', () => ['export', '--json', image.url, store.dir.at('exported')], 'exported'],
  [
    'push',
    () => [
      'push',
      '--json',
      '--insecure-registry',
      registry.host,
      image.url,
      `docker://${registry.host}/a:1`,
    ],
    'uploaded',
  ],
  [
    'publish',
    () => [
      'publish',
      '--json',
      '--insecure-registry',
      registry.host,
      '--to',
      to(),
      `docker://${registry.host}/a:1`,
      `docker://${registry.host}/none:1`,
    ],
    'REGISTRY_NOT_FOUND',
  ],
  ['publish', () => ['publish', '--json', '--prune', '--to', to()], 'expired'],
  ['unpublish', () => ['unpublish', '--json', '--from', to(), `docker://${registry.host}/a:1`], 'removed'],
];

test.each(CALLS)('%s', async (verb, words, has) => {
  const ran = await store.graft([...config(), ...words()]);
  expect([ran.stdout, ran.stdout.includes(has)]).toEqual([ran.stdout, true]);
  const validate = validatorOf(verb);
  validate(JSON.parse(ran.stdout));
  expect(validate.errors ?? []).toEqual([]);
});

test('every verb with --json is among them, and every definition has a verb', () => {
  const verbs = Object.entries(VERBS).flatMap(([verb, { options }]) => ('json' in options ? [verb] : []));
  expect([...new Set(CALLS.map(([verb]) => verb))].sort()).toEqual(verbs.sort());
  expect(Object.keys(schema.definitions).sort()).toEqual(verbs.sort());
});

test('inspect tells of labels, volumes and ports, for people too', async () => {
  const shown = await store.must(['inspect', image.url]);
  for (const line of ['label        team=graft', 'volume       /data', 'port         80/tcp'])
    expect(shown).toContain(line);
});
