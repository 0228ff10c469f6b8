/** What unpacks a layer waits as long as the registry client does: the deadlines are the client's. */

import { afterEach, beforeEach, expect, test } from 'bun:test';
import { unpackWorkerUrl } from '../../../cmd/program/executable.ts';
import type { RegistrySource } from '../../../lib/image/source/from-registry.ts';
import { digestOfLayer, type ImageLayer } from '../../../lib/image/source/image-layer.ts';
import { unpackLayer } from '../../../lib/layer/unpack/unpack.ts';
import type { RegistryPolicy } from '../../../lib/registry/policy/policy.ts';
import { ROOMY, requestIn } from '../../support/images/unpack.ts';
import {
  errorAnswer,
  type FakeRegistry,
  fakeImage,
  fakeRegistry,
  noise,
} from '../../support/registries/fake-registry.ts';
import type { RawAnswer } from '../../support/registries/raw-server.ts';
import { NEVER, registrySource, rejection } from '../../support/registries/registry-client.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

/** A fraction of the waits below. */
const STALL = { budget: { ...ROOMY, stallSeconds: 0.3 } };

let dir: TempDir;
let registry: FakeRegistry | undefined;
let source: RegistrySource | undefined;
beforeEach(() => {
  dir = tempDir();
});
afterEach(async () => {
  await source?.close();
  await registry?.stop();
  await dir.remove();
});

/** An image of two layers, whose blobs are answered by the test alone. */
async function layersOf(
  answerBlob: (answer: RawAnswer) => Promise<void>,
  policy: Partial<RegistryPolicy>,
): Promise<ImageLayer[]> {
  const image = fakeImage([noise(1000, 1), noise(1000, 2)]);
  registry = fakeRegistry(image, {
    override: async (request, answer) => {
      if (!image.layers.some(({ digest }) => request.target.endsWith(digest))) return false;
      await answerBlob(answer);
      return true;
    },
  });
  source = registrySource(registry.image(':latest'), { policy: { insecure: [registry.host], ...policy } });
  return [...(await source.resolve(NEVER)).layers];
}

async function unpack(layer: ImageLayer | undefined, signal = NEVER): Promise<unknown> {
  if (layer === undefined || source === undefined) throw new Error('no layer');
  const request = requestIn(dir.at(`${digestOfLayer(layer)}`), STALL);
  return unpackLayer(request, await source.open(layer, signal), { workerUrl: unpackWorkerUrl(), signal });
}

test('a Retry-After is waited for, and the registry’s own error is the end', async () => {
  const limit = errorAnswer(429, 'TOOMANYREQUESTS', 'too many', { 'retry-after': 1 });
  const retry = { attempts: 3, baseMs: 1, maxMs: 1, random: () => 0 };
  const [layer] = await layersOf((answer) => answer.write(limit), { retry });
  expect(await rejection(unpack(layer))).toMatchObject({ code: 'REGISTRY_RATE_LIMITED' });
  expect(registry?.asked(`${layer && digestOfLayer(layer)}`).length).toBe(3);
});

test('a registry that takes its time is given up by the deadline for answers, no sooner', async () => {
  const deadlines = {
    ...{ connectMs: 5000, answerMs: 2000, idleMs: 5000 },
    ...{ slowWindowMs: 5000, slowBytesPerSecond: 1, totalMs: undefined },
  };
  const retry = { attempts: 2, baseMs: 1, maxMs: 1, random: () => 0 };
  const [layer] = await layersOf((answer) => answer.gone, { deadlines, retry });
  expect(await rejection(unpack(layer))).toMatchObject({
    code: 'REGISTRY_DEADLINE',
    subject: { step: 'an answer', seconds: 2 },
  });
});

test('a layer whose turn to be downloaded comes late is not given up', async () => {
  const asked = Promise.withResolvers<void>();
  const layers = await layersOf(
    (answer) => {
      asked.resolve();
      return answer.gone;
    },
    { parallel: 1 },
  );
  const stop = new AbortController();
  const both = layers.map((layer) => rejection(unpack(layer, stop.signal)));
  await asked.promise;
  expect(await Promise.race([...both, Bun.sleep(1500)])).toBeUndefined();
  stop.abort(Object.assign(new Error('enough'), { code: 'ENOUGH' }));
  expect((await Promise.all(both)).map(({ code }) => code)).toEqual(['ENOUGH', 'ENOUGH']);
});
