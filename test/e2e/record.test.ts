/** The record of what ran: `list --json`, its schema, and the line in the log. */
import { expect, test } from 'bun:test';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Ajv from 'ajv';
import schema from '../../docs/json-answers.schema.json';
import { digestOf } from '../../lib/base/digest.ts';
import { makeBusyboxImage } from '../support/images/images.ts';
import { push, startRegistry } from '../support/registries/registry.ts';
import { must } from '../support/shell.ts';
import { testStore } from '../support/stores/store.ts';

const INDEX = 'application/vnd.oci.image.index.v1+json';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const BASE = { 'org.opencontainers.image.base.name': 'registry.example/base:1' };

interface Listed {
  id: string;
  version: number;
  index?: string;
  manifestDigest?: string;
  platform?: string;
  annotations?: object;
  layers: { source: string; checked?: string; hosts?: string[]; layer: string }[];
}

const isList = new Ajv({ allErrors: true }).compile(schema.definitions.list);

async function put(url: string, type: string, document: object): Promise<string> {
  const body = JSON.stringify(document);
  const answer = await fetch(url, { method: 'PUT', headers: { 'content-type': type }, body });
  expect(answer.status).toBe(201);
  return digestOf(Buffer.from(body));
}

test('list --json says digest, index, platform, origin, hosts and checks; the log has the digest that ran', async () => {
  await using store = await testStore();
  const image = await makeBusyboxImage(store.dir.at('layout'));
  await using registry = await startRegistry(store.dir.at('registry'));
  await push(`oci:${image.name}`, `docker://${registry.host}/team/app:plain`);
  const at = `http://${registry.host}/v2/team/app/manifests`;
  const plain = await fetch(`${at}/plain`, { headers: { accept: MANIFEST } });
  const manifest = { ...((await plain.json()) as object), annotations: { ...BASE, other: 'x' } };
  const digest = await put(`${at}/one`, MANIFEST, manifest);
  const architecture = process.arch === 'x64' ? 'amd64' : 'arm64';
  const size = Buffer.byteLength(JSON.stringify(manifest));
  const index = await put(`${at}/v1`, INDEX, {
    schemaVersion: 2,
    mediaType: INDEX,
    manifests: [{ mediaType: MANIFEST, digest, size, platform: { os: 'linux', architecture } }],
  });
  const reference = `docker://${registry.host}/team/app:v1`;
  const insecure = ['--insecure-registry', registry.host];
  const ran = await store.graft(['--log-level', 'info', 'create', ...insecure, reference, 'one']);
  expect(ran.code).toBe(0);
  const line = ran.stderr.split('\n').find((text) => text.includes('.image-created')) ?? '';
  expect(JSON.parse(line)).toMatchObject({
    data: { id: 'one', image: reference, digest, index, platform: `linux/${architecture}` },
  });
  await store.must(['create', ...insecure, reference, 'two']);
  await store.must(['create', image.url, 'three']);
  await must('tar', ['-C', '/etc', '-cf', store.dir.at('image.tar'), 'passwd']);
  await store.must(['create', store.dir.at('image.tar'), 'four']);
  const printed: unknown = JSON.parse(await store.must(['list', '--json']));
  expect([isList(printed), isList.errors]).toEqual([true, null]);
  const listed = new Map((printed as Listed[]).map((one) => [one.id, one]));
  for (const [id, source] of [
    ['one', 'registry'],
    ['two', 'store'],
  ] as const)
    expect(listed.get(id)).toMatchObject({
      version: 1,
      index,
      manifestDigest: digest,
      platform: `linux/${architecture}`,
      annotations: BASE,
      layers: [{ source, checked: 'digest', hosts: [registry.host] }],
    });
  expect(listed.get('four')?.layers).toMatchObject([{ source: 'tar', checked: 'unpromised' }]);

  // The record of an earlier graft, and that of a layer, lack the new fields.
  const path = join(store.path, 'meta/images/one');
  const { index: _, platform, annotations, ...older } = JSON.parse(readFileSync(path, 'utf8')) as Listed;
  expect([platform, annotations]).toEqual([`linux/${architecture}`, BASE]);
  writeFileSync(path, JSON.stringify(older));
  const layer = join(store.path, 'volumes', listed.get('one')?.layers[0]?.layer ?? '', 'layer.json');
  const { hosts, ...olderLayer } = JSON.parse(readFileSync(layer, 'utf8')) as { hosts: string[] };
  expect(hosts).toEqual([registry.host]);
  writeFileSync(layer, JSON.stringify(olderLayer));
  const after: unknown = JSON.parse(await store.must(['list', '--json']));
  expect([isList(after), isList.errors]).toEqual([true, null]);
  expect((after as Listed[]).find(({ id }) => id === 'one')?.manifestDigest).toBe(digest);
  expect(await store.must(['create', ...insecure, reference, 'five'])).toContain('rootfs');
  await store.must(['check']);
  // Damage in a new field is damage.
  writeFileSync(path, JSON.stringify({ ...older, limits: { bytes: -1, exclusive: true } }));
  expect((await store.graft(['check'])).code).toBe(1);
});
