/** Blobs that a killed process had begun: what is kept, what is believed, what is cleared away. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hexOf, parseDigest } from '../../../../lib/base/digest.ts';
import { type PartialBlob, PartialDirectory } from '../../../../lib/registry/blobs/partial.ts';
import {
  blobOf,
  contentAnswer,
  type FakeRegistry,
  fakeImage,
  fakeRegistry,
  noise,
  type Override,
} from '../../../support/registries/fake-registry.ts';
import {
  NEVER,
  RecordingLog,
  readLayer,
  registrySource,
  rejection,
} from '../../../support/registries/registry-client.ts';
import { cleanEnv, must } from '../../../support/shell.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

let dir: TempDir;
let log: RecordingLog;
let partials: PartialDirectory;
beforeEach(() => {
  dir = tempDir();
  log = new RecordingLog();
  partials = new PartialDirectory(dir.at('partial'), log, undefined);
});
afterEach(() => dir.remove());

const blob = blobOf(noise(100_000), 'x');
const digest = parseDigest(blob.digest);
const file = () => dir.at('partial', hexOf(digest));
const begin = (size = blob.bytes.length): PartialBlob => {
  const begun = partials.begin(digest, size);
  if (begun === undefined) throw new Error('it could not begin');
  return begun;
};
async function replayed(partial: PartialBlob): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of partial.replay()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe('a partial blob', () => {
  test('gives back what was kept, and goes on behind it', async () => {
    const first = begin();
    expect((await replayed(first)).length).toBe(0);
    first.append(blob.bytes.subarray(0, 60_000));
    first.keep();
    const second = begin();
    expect(await replayed(second)).toEqual(Buffer.from(blob.bytes.subarray(0, 60_000)));
    second.append(blob.bytes.subarray(60_000));
    second.keep();
    expect(readFileSync(file())).toEqual(Buffer.from(blob.bytes));
  });

  test('is gone when it is complete or wrong', () => {
    const partial = begin();
    partial.append(blob.bytes);
    partial.drop();
    expect(readdirSync(dir.at('partial'))).toEqual([]);
  });

  test('belongs to one at a time; others go without', () => {
    const partial = begin();
    expect(partials.begin(digest, blob.bytes.length)).toBeUndefined();
    partial.keep();
    partial.keep();
    begin().drop();
  });

  test('that is longer than the blob starts anew', async () => {
    const partial = begin();
    partial.append(blob.bytes);
    partial.keep();
    expect((await replayed(begin(99_999))).length).toBe(0);
    expect(statSync(file()).size).toBe(0);
  });

  test('from before the last boot starts anew: it was never synced', async () => {
    const partial = begin();
    partial.append(blob.bytes.subarray(0, 10));
    partial.keep();
    utimesSync(file(), 1000, 1000);
    expect((await replayed(begin())).length).toBe(0);
  });

  test('that somebody cuts while it is read is an error, not a shorter blob', async () => {
    const partial = begin();
    partial.append(blob.bytes);
    partial.keep();
    const again = begin();
    truncateSync(file(), 10);
    expect(String(await replayed(again).catch((error: unknown) => error))).toContain('shorter');
    again.keep();
  });

  test('of one place is not another’s', async () => {
    const of = (place: string) => new PartialDirectory(dir.at('partial'), log, place);
    const kept = of('registry.example/app').begin(digest, blob.bytes.length);
    kept?.append(blob.bytes.subarray(0, 60_000));
    kept?.keep();
    for (const [place, bytes] of [
      ['thief.example/app', 0],
      ['registry.example/other', 0],
      ['registry.example/app', 60_000],
    ] as const) {
      const begun = of(place).begin(digest, blob.bytes.length);
      if (begun === undefined) throw new Error('it could not begin');
      expect((await replayed(begun)).length).toBe(bytes);
      begun.keep();
    }
  });

  test('is not kept through a symbolic link', async () => {
    begin().drop();
    writeFileSync(dir.at('canary'), 'untouched');
    await must('ln', ['-s', dir.at('canary'), file()]);
    expect(partials.begin(digest, blob.bytes.length)).toBeUndefined();
    expect(readFileSync(dir.at('canary'), 'utf8')).toBe('untouched');
    expect(log.of('partial-blob-unusable').length).toBe(1);
  });

  test('where there can be no directory there are no partial blobs, and downloads go on', () => {
    const nowhere = new PartialDirectory(dir.at('none/partial'), log, undefined);
    expect(nowhere.begin(digest, 5)).toBeUndefined();
    expect(log.of('partial-blob-unusable').length).toBe(1);
  });

  test('of a full disk is given up, and nothing of it stays', async () => {
    await must('mkdir', [dir.at('small')]);
    await must('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', dir.at('small')]);
    const small = new PartialDirectory(dir.at('small/partial'), log, undefined);
    const partial = small.begin(digest, blob.bytes.length);
    partial?.append(blob.bytes);
    partial?.append(blob.bytes);
    partial?.keep();
    expect(readdirSync(dir.at('small/partial'))).toEqual([]);
    expect(log.of('partial-blob-given-up').length).toBe(1);
  });
});

describe('collecting', () => {
  test('removes what is old, and only that', () => {
    const [old, young] = [blobOf(noise(10, 1), 'x'), blobOf(noise(10, 2), 'x')];
    for (const { digest: name, bytes } of [old, young]) {
      const partial = partials.begin(parseDigest(name), 100);
      partial?.append(bytes);
      partial?.keep();
    }
    const past = Date.now() / 1000 - 1000;
    utimesSync(dir.at('partial', hexOf(parseDigest(old.digest))), past, past);
    writeFileSync(dir.at('partial/README'), 'not ours to remove');
    expect(partials.collect(500_000)).toBe(4096);
    expect(readdirSync(dir.at('partial')).sort()).toEqual(
      [hexOf(parseDigest(young.digest)), 'README'].sort(),
    );
  });

  test('leaves what somebody is at, however old', () => {
    const partial = begin();
    partial.append(noise(10));
    utimesSync(file(), 1000, 1000);
    expect(partials.collect(0)).toBe(0);
    expect(existsSync(file())).toBe(true);
    partial.keep();
    expect(partials.collect(0)).toBeGreaterThan(0);
  });

  test('of a directory that never was is nothing', () => {
    expect(new PartialDirectory(dir.at('never'), log, undefined).collect(0)).toBe(0);
  });
});

describe('a pull', () => {
  const image = fakeImage([noise(900_000)]);
  const layer = image.layers[0] ?? image.config;
  let registry: FakeRegistry | undefined;
  afterEach(async () => {
    await registry?.stop();
    registry = undefined;
  });

  function source(override?: Override, resumeFromBytes = 1000) {
    registry ??= fakeRegistry(image, { ...(override && { override }) });
    const policy = { insecure: [registry.host], resumeFromBytes };
    return registrySource(registry.image(':latest'), { policy, partials, log });
  }
  const left = () => readdirSync(dir.at('partial'));
  const ranges = () => registry?.asked(layer.digest).map(({ headers }) => headers.get('range'));

  test('that was killed goes on where it stopped, in another process', async () => {
    registry = fakeRegistry(image, {
      override: async (request, answer) => {
        if (!request.target.endsWith(layer.digest) || request.headers.get('range') !== null) return false;
        const full = contentAnswer(request, layer, undefined);
        await answer.write(full.subarray(0, full.length - 400_000));
        return true;
      },
    });
    const script = `${import.meta.dir}/../../../support/registries/pull-until-killed.ts`;
    const child = Bun.spawn(
      [process.execPath, script, registry.image(':latest'), registry.host, dir.at('partial')],
      {
        env: cleanEnv(),
        stdout: 'ignore',
        stderr: 'inherit',
      },
    );
    const path = dir.at('partial', layer.digest.slice(7));
    while (!existsSync(path) || statSync(path).size < 500_000) await Bun.sleep(5);
    child.kill('SIGKILL');
    await child.exited;
    const kept = statSync(path).size;
    const second = source();
    const [first] = (await second.resolve(NEVER)).layers;
    if (first === undefined) throw new Error('no layer');
    expect((await readLayer(second, first)).length).toBe(900_000);
    await second.close();
    expect(ranges()).toEqual([null, `bytes=${kept}-`]);
    expect(left()).toEqual([]);
  });

  test('leaves nothing behind when it is complete', async () => {
    const pulling = source();
    const { layers } = await pulling.resolve(NEVER);
    for (const one of layers) await readLayer(pulling, one);
    await pulling.close();
    expect(left()).toEqual([]);
  });

  test('keeps no small blobs', async () => {
    const pulling = source(undefined, 900_001);
    const [first] = (await pulling.resolve(NEVER)).layers;
    const opened = first && (await pulling.open(first, NEVER));
    if (opened?.kind === 'stream')
      for await (const _chunk of opened.chunks) expect(existsSync(dir.at('partial'))).toBe(false);
    await pulling.close();
  });

  test('that is stopped, or fails in the network, keeps what it has', async () => {
    const pulling = source(async (request, answer) => {
      if (!request.target.endsWith(layer.digest)) return false;
      const full = contentAnswer(request, layer, undefined);
      await answer.write(full.subarray(0, full.length - 1000));
      return true;
    });
    const [first] = (await pulling.resolve(NEVER)).layers;
    if (first === undefined) throw new Error('no layer');
    const abort = new AbortController();
    await rejection(readLayer(pulling, first, abort.signal, () => abort.abort(new Error('enough'))));
    expect(left()).toEqual([layer.digest.slice(7)]);
  });

  test('whose reader turns away has wrong bytes, perhaps those that were kept: they go', async () => {
    const rotten = partials.begin(parseDigest(layer.digest), layer.bytes.length);
    rotten?.append(noise(5000, 77));
    rotten?.keep();
    const pulling = source();
    const [first] = (await pulling.resolve(NEVER)).layers;
    if (first === undefined) throw new Error('no layer');
    const opened = await pulling.open(first, NEVER);
    if (opened.kind === 'stream') for await (const _chunk of opened.chunks) break;
    expect(left()).toEqual([]);
    expect((await readLayer(pulling, first)).length).toBe(900_000);
    await pulling.close();
  });

  test('that finds everything here asks for the end of it all the same', async () => {
    const whole = partials.begin(parseDigest(layer.digest), layer.bytes.length);
    whole?.append(layer.bytes);
    whole?.keep();
    const pulling = source();
    const [first] = (await pulling.resolve(NEVER)).layers;
    if (first === undefined) throw new Error('no layer');
    await readLayer(pulling, first);
    await pulling.close();
    // A caller who gets nothing of it from the registry must not have it.
    expect(ranges()).toEqual([`bytes=${900_000 - 16 * 1024}-`]);
  });

  test('whose kept bytes are wrong ends in a wrong digest once, and is right the next time', async () => {
    const rotten = partials.begin(parseDigest(layer.digest), layer.bytes.length);
    rotten?.append(noise(5000, 77));
    rotten?.keep();
    for (const outcome of ['came as', undefined]) {
      const pulling = source();
      const [first] = (await pulling.resolve(NEVER)).layers;
      if (first === undefined) throw new Error('no layer');
      const error = await readLayer(pulling, first).then(
        () => undefined,
        (thrown: unknown) => String(thrown),
      );
      if (outcome === undefined) expect(error).toBeUndefined();
      else expect(error).toContain(outcome);
      await pulling.close();
    }
  });
});
