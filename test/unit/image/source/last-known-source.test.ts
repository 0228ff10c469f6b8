/** When an image may start from what its registry said last: ages, credentials, grades and verdicts. */
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { type DiffId, digestOf } from '../../../../lib/base/digest.ts';
import { PluginError } from '../../../../lib/base/errors/error.ts';
import type { Grade } from '../../../../lib/base/grade.ts';
import { silentLogger } from '../../../../lib/base/log.ts';
import { LastKnownSource } from '../../../../lib/image/source/last-known-source.ts';
import type { ImageSource, ResolvedImage } from '../../../../lib/image/source/source.ts';
import type { TrustRecord } from '../../../../lib/store/records/image-record.ts';
import { LastKnownImages } from '../../../../lib/store/records/last-known.ts';
import { type ScratchStore, scratchStore } from '../../../support/stores/scratch-store.ts';

const NEVER = new AbortController().signal;
const HOUR = 3_600_000;
const DOWN = new PluginError('REGISTRY_UNREACHABLE', { registry: 'r.example', reason: 'connection refused' });

function image(grade: Grade | undefined): ResolvedImage {
  const blob = { digest: digestOf('blob'), diffId: digestOf('tar') as DiffId, size: 4 };
  const packed = { mediaType: 'application/vnd.oci.image.layer.v1.tar', compression: 'none' } as const;
  return {
    name: 'docker://r.example/app:v1',
    manifestDigest: digestOf('manifest'),
    config: undefined,
    layers: [{ kind: 'blob', ...blob, ...packed, baseDirectory: undefined, urls: [] }],
    ...(grade === undefined ? {} : { grade }),
  };
}

let store: ScratchStore;
let now: number;
beforeEach(async () => {
  store = await scratchStore();
  now = 1_800_000_000_000;
});
afterEach(() => store[Symbol.asyncDispose]());

interface Call {
  readonly answer: ResolvedImage | PluginError;
  readonly credentials?: string;
  readonly verdict?: TrustRecord | 'none';
}

function resolve({ answer, credentials, verdict }: Call): Promise<ResolvedImage> {
  const inner: ImageSource = {
    resolve: () => (answer instanceof PluginError ? Promise.reject(answer) : Promise.resolve(answer)),
    open: () => Promise.reject(new Error('nothing is opened here')),
    delivered: () => ({ to: 'everybody' }),
    close: () => Promise.resolve(),
  };
  const source = new LastKnownSource(inner, {
    images: new LastKnownImages(store.store.layout),
    name: 'docker://r.example/app:v1 linux/amd64',
    repository: 'r.example/app',
    credentials,
    maxAgeMs: 2 * HOUR,
    guard: verdict && { accepted: () => (verdict === 'none' ? undefined : verdict) },
    log: silentLogger,
    now: () => now,
  });
  return source.resolve(NEVER);
}
const code = (call: Call) =>
  resolve(call).then(
    ({ lastKnown }) => lastKnown?.resolved ?? 'now',
    (error: PluginError) => error.code as string,
  );

test('an answer is used for as long as the settings say, from the last time that it was given', async () => {
  await resolve({ answer: image('everybody') });
  now += 2 * HOUR;
  expect(await code({ answer: DOWN })).toBe(new Date(now - 2 * HOUR).toISOString());
  now += 1;
  expect(await code({ answer: DOWN })).toBe('REGISTRY_UNREACHABLE');
  await resolve({ answer: image('everybody') });
  expect(await code({ answer: DOWN })).toBe(new Date(now).toISOString());
});

test('what the registry gives now replaces what it gave before', async () => {
  await resolve({ answer: image('everybody') });
  const other = { ...image('everybody'), manifestDigest: digestOf('another') };
  await resolve({ answer: other });
  expect((await resolve({ answer: DOWN })).manifestDigest).toBe(other.manifestDigest);
});

test('an image without a grade, or that was not verified, is not kept', async () => {
  await resolve({ answer: image(undefined) });
  await resolve({ answer: { ...image('cell'), unverified: true } });
  expect(await code({ answer: DOWN })).toBe('REGISTRY_UNREACHABLE');
});

test('the credentials of a private image hold as long as the image, for their repository alone', async () => {
  await resolve({ answer: image('asked'), credentials: 'alice\0secret' });
  expect(await code({ answer: DOWN, credentials: 'alice\0secret' })).toBe(new Date(now).toISOString());
  for (const credentials of ['alice\0Secret', 'alice\0', 'alic\0esecret'])
    expect(await code({ answer: DOWN, credentials })).toBe('REGISTRY_UNREACHABLE');
  expect(await code({ answer: DOWN })).toBe('REGISTRY_UNREACHABLE');
  now += 2 * HOUR + 1;
  expect(await code({ answer: DOWN, credentials: 'alice\0secret' })).toBe('REGISTRY_UNREACHABLE');
});

test('a policy that has no verdict on the digest refuses', async () => {
  await resolve({ answer: image('cell') });
  const verdict = { policy: '/p', configuration: 'c', scope: 's', accepted: [] };
  expect(await code({ answer: DOWN, verdict: 'none' })).toBe('REGISTRY_UNREACHABLE');
  expect(await code({ answer: DOWN, verdict })).toBe(new Date(now).toISOString());
});

test.each([
  [
    'REGISTRY_UNAUTHORIZED',
    new PluginError('REGISTRY_UNAUTHORIZED', { registry: 'r', repository: 'a', reason: '' }),
  ],
  ['REGISTRY_DENIED', new PluginError('REGISTRY_DENIED', { registry: 'r', repository: 'a', reason: '' })],
  ['REGISTRY_UNTRUSTED', new PluginError('REGISTRY_UNTRUSTED', { registry: 'r', reason: '' })],
  ['REGISTRY_BLOCKED', new PluginError('REGISTRY_BLOCKED', { registry: 'r', by: 'settings' })],
  ['REGISTRY_ERROR', new PluginError('REGISTRY_ERROR', { registry: 'r', status: 400, reason: '' })],
])('%s is an answer, and ends the create', async (expected, answer) => {
  await resolve({ answer: image('everybody') });
  expect(await code({ answer })).toBe(expected);
});

test('facts that are damaged count as none', async () => {
  await resolve({ answer: image('everybody') });
  const { sources } = store.store.layout;
  for (const name of new Bun.Glob('*').scanSync(sources))
    await Bun.write(`${sources}/${name}`, '{"lastKnown":{}}');
  expect(await code({ answer: DOWN })).toBe('REGISTRY_UNREACHABLE');
});
