import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { constants, createZstdCompress, gzipSync, zstdCompressSync } from 'node:zlib';
import { unpackWorkerUrl } from '../../../../cmd/program/executable.ts';
import { PluginError } from '../../../../lib/base/errors/error.ts';
import type { UnpackRequest } from '../../../../lib/layer/tree/types.ts';
import { type UnpackBytes, type UnpackDeps, unpackLayer } from '../../../../lib/layer/unpack/unpack.ts';
import { packError, unpackError } from '../../../../lib/layer/unpack/worker-protocol.ts';
import { SysError } from '../../../../lib/sys/kernel/errno.ts';
import { tar } from '../../../support/images/tar-writer.ts';
import { failureOf, listTree, openBelow, ROOMY, requestIn } from '../../../support/images/unpack.ts';
import { must } from '../../../support/shell.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
});
afterEach(async () => {
  await dir.remove();
});

const ARCHIVE = tar([
  { name: 'dir', type: '5' },
  { name: 'dir/file', content: 'content' },
  { name: 'big', content: Buffer.alloc(3_000_000, 'b') },
]);
const TREE = {
  '/': 'd 755 0:0',
  big: 'f 644 0:0 3000000 bytes',
  dir: 'd 755 0:0',
  'dir/file': 'f 644 0:0 content',
};

class Torn extends Error {
  code = 'TORN';
}

let count = 0;
function start(bytes: UnpackBytes, deps: Partial<UnpackDeps> = {}, changes: Partial<UnpackRequest> = {}) {
  count += 1;
  const request = requestIn(dir.at(String(count)), changes);
  const signal = new AbortController().signal;
  return { request, done: unpackLayer(request, bytes, { workerUrl: unpackWorkerUrl(), signal, ...deps }) };
}

function fileOf(blob: Uint8Array): UnpackBytes {
  const path = dir.at(`blob-${readdirSync(dir.path).length}`);
  writeFileSync(path, blob);
  return { kind: 'file', path, size: blob.length };
}

async function* pieces(blob: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < blob.length; at += size) yield blob.subarray(at, at + size);
}

/** Threads of this process, by name; a worker has threads of its own. */
function threads(): number {
  return readdirSync('/proc/self/task').length;
}

describe('a layer in its own thread', () => {
  test('from a file, with progress up to its end', async () => {
    const seen: number[] = [];
    const bytes = fileOf(gzipSync(ARCHIVE));
    const { request, done } = start(bytes, { onProgress: (n) => seen.push(n) });
    const result = await done;
    expect(listTree(request.target)).toEqual(TREE);
    expect(seen.at(-1)).toBe(bytes.size as number);
    expect(result.compressedBytes).toBe(bytes.size as number);
  });

  test("from a stream of tiny and of huge chunks, whose buffers stay the caller's", async () => {
    for (const size of [700, ARCHIVE.length]) {
      const copy = Buffer.from(ARCHIVE);
      const { request, done } = start({ kind: 'stream', chunks: pieces(copy, size) });
      await done;
      expect(listTree(request.target)).toEqual(TREE);
      expect(copy.equals(ARCHIVE)).toBe(true);
    }
  });

  test('several at once', async () => {
    const blob = gzipSync(ARCHIVE);
    const all = Array.from({ length: 6 }, (_, i) =>
      i % 2 === 0 ? start(fileOf(blob)) : start({ kind: 'stream', chunks: pieces(blob, 5000) }),
    );
    await Promise.all(all.map(({ done }) => done));
    for (const { request } of all) expect(listTree(request.target)).toEqual(TREE);
  });

  test('a stream is not read faster than it is unpacked', async () => {
    let given = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      yield tar([{ name: 'x', size: 2 ** 32 - 1, content: '' }], Buffer.alloc(0));
      for (;;) {
        given += 65536;
        yield Buffer.alloc(65536);
      }
    }
    // The thread stops at 8 MiB; what was read ahead is bounded by the credits.
    const { done } = start({ kind: 'stream', chunks: endless() }, {}, { quotaBytes: 8 * 2 ** 20 });
    expect((await failureOf(done)).code).toBe('LAYER_EXCEEDS_QUOTA');
    expect(given).toBeLessThan(16 * 2 ** 20);
  });
});

describe('errors', () => {
  test('cross the threads with code, subject and cause', async () => {
    const { done } = start(fileOf(tar([{ name: '../out', content: 'x' }])));
    const failure = await failureOf(done);
    expect(failure).toBeInstanceOf(PluginError);
    expect(failure).toMatchObject({ code: 'LAYER_PATH_ESCAPE', subject: { entry: '../out' } });
  });

  test('of the kernel stay errors of the kernel', async () => {
    mkdirSync(dir.at('small'));
    await must('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', dir.at('small')]);
    const target = dir.at('small', 'target');
    mkdirSync(target);
    const { done } = start(fileOf(ARCHIVE), {}, { target });
    const failure: unknown = await failureOf(done);
    expect(failure).toBeInstanceOf(SysError);
    expect(failure).toMatchObject({ code: 'ENOSPC', syscall: 'write' });
  });

  test("of a stream are the stream's own", async () => {
    async function* torn(): AsyncGenerator<Uint8Array> {
      yield ARCHIVE.subarray(0, 1000);
      throw new Torn();
    }
    expect(await failureOf(start({ kind: 'stream', chunks: torn() }).done)).toBeInstanceOf(Torn);
  });

  test('a declared size that the manifest does not have is told before the first byte', async () => {
    const expected = { digest: undefined, diffId: undefined, size: 5 };
    const failure = await failureOf(
      start({ kind: 'file', path: '/nonexistent', size: 6 }, {}, { expected }).done,
    );
    expect(failure).toMatchObject({
      code: 'LAYER_SIZE_MISMATCH',
      subject: { expected: 5, actual: 6, when: 'reported' },
    });
  });

  test('every kind survives being packed', () => {
    const samples = [
      new PluginError('LAYER_TRUNCATED', { reason: 'x' }, { cause: new Error('y') }),
      new SysError(28, 'write', '/a', 'words'),
      Object.assign(new TypeError('t'), { code: 'ERR_X' }),
    ];
    for (const sample of samples) {
      const copy = unpackError(structuredClone(packError(sample)));
      expect(copy).toMatchObject({ name: sample.name, message: sample.message, code: sample.code });
      if (sample instanceof PluginError) expect(copy).toMatchObject({ subject: sample.subject });
    }
    expect(unpackError(packError('text')).message).toBe('text');
  });

  test('a worker that cannot start', async () => {
    const { done } = start(fileOf(ARCHIVE), { workerUrl: `file://${dir.at('missing.ts')}` });
    expect(done).rejects.toThrow('the unpacking thread broke down');
    await done.catch(() => {});
  });
});

describe('stopping', () => {
  const hang = (): AsyncIterable<Uint8Array> => ({
    async *[Symbol.asyncIterator]() {
      yield ARCHIVE.subarray(0, 600_000);
      await new Promise(() => {});
    },
  });

  test("an abort ends it at once, with the signal's reason, and nothing is left running or open", async () => {
    // Once before counting, for what the first worker of a process leaves for the next.
    await start(fileOf(ARCHIVE)).done;
    const before = threads();
    for (const bytes of [
      { kind: 'stream', chunks: hang() } as const,
      fileOf(zstdCompressSync(Buffer.concat(Array(60).fill(ARCHIVE.subarray(0, -1024))))),
    ]) {
      const controller = new AbortController();
      const { done } = start(bytes, { signal: controller.signal });
      await Bun.sleep(30);
      const reason = new Error('enough');
      const started = performance.now();
      controller.abort(reason);
      expect(await done.catch((error) => error)).toBe(reason);
      // The standstill that would end it otherwise takes a minute.
      expect(performance.now() - started).toBeLessThan(10_000);
    }
    expect(openBelow(dir.path)).toEqual([]);
    // The thread itself ends a moment later.
    for (let i = 0; i < 250 && threads() > before; i += 1) await Bun.sleep(20);
    expect(threads()).toBeLessThanOrEqual(before);
  });

  test('an abort before the start starts nothing', async () => {
    const reason = new Error('early');
    const { done } = start(fileOf(ARCHIVE), { signal: AbortSignal.abort(reason) });
    expect(await done.catch((error) => error)).toBe(reason);
  });

  /** A thread that does nothing but what it is told here, and stop. */
  function idleWorker(onMessage = ''): string {
    const failed =
      "{ type: 'failed', error: { kind: 'other', name: 'Stopped', message: '', code: '', stack: '' } }";
    const script = `import { writeFileSync } from 'node:fs';
      onmessage = ({ data }) => {
        ${onMessage}
        if (data.type === 'start') writeFileSync('${dir.at('started')}', '');
        if (data.type === 'stop') postMessage(${failed});
      };`;
    writeFileSync(dir.at('idle.mjs'), script);
    return `file://${dir.at('idle.mjs')}`;
  }
  async function untilStarted(): Promise<void> {
    while (!existsSync(dir.at('started'))) await Bun.sleep(5);
  }
  const CONSUMES = "if (data.type === 'chunk') postMessage({ type: 'consumed' });";
  const brief = { budget: { ...ROOMY, stallSeconds: 0.3 } };

  test.each([
    ['chunks of a stream', () => ({ kind: 'stream', chunks: hang() }) as const, ''],
    ['a file', () => fileOf(ARCHIVE), ''],
    ['a stream to its end', () => ({ kind: 'stream', chunks: pieces(ARCHIVE, 500_000) }) as const, CONSUMES],
  ])('a thread that has %s and does not get on is given up', async (_what, bytes, onMessage) => {
    const { done } = start(bytes(), { workerUrl: idleWorker(onMessage) }, brief);
    expect(await failureOf(done)).toMatchObject({ code: 'LAYER_STALLED', subject: { seconds: 0.3 } });
  });

  test('a thread that waits for bytes is not: their source has deadlines of its own', async () => {
    async function* late(): AsyncGenerator<Uint8Array> {
      // Several times what a thread with work would be given.
      await Bun.sleep(1200);
      yield* [];
      throw new Torn();
    }
    expect(await failureOf(start({ kind: 'stream', chunks: late() }, {}, brief).done)).toBeInstanceOf(Torn);
  });

  test('nor is one that used up what there was', async () => {
    async function* late(): AsyncGenerator<Uint8Array> {
      await untilStarted();
      yield Buffer.alloc(1000);
      await Bun.sleep(3500);
      throw new Torn();
    }
    // Long enough for a busy machine to pass two messages.
    const budget = { ...ROOMY, stallSeconds: 2 };
    const { done } = start(
      { kind: 'stream', chunks: late() },
      { workerUrl: idleWorker(CONSUMES) },
      { budget },
    );
    expect(await failureOf(done)).toBeInstanceOf(Torn);
  });

  test('nor is one that waits for the large window of another layer', async () => {
    const workerUrl = idleWorker("if (data.type === 'start') postMessage({ type: 'large-window' });");
    const holder = new AbortController();
    const first = start({ kind: 'stream', chunks: hang() }, { workerUrl, signal: holder.signal });
    const stopped = first.done.catch((error) => error);
    await untilStarted();
    rmSync(dir.at('started'));
    async function* handedOver(): AsyncGenerator<Uint8Array> {
      await untilStarted();
      yield Buffer.alloc(1000);
      await Bun.sleep(1200);
      throw new Torn();
    }
    const { done } = start({ kind: 'stream', chunks: handedOver() }, { workerUrl }, brief);
    expect(await failureOf(done)).toBeInstanceOf(Torn);
    holder.abort(new Error('enough'));
    expect(await stopped).toHaveProperty('message', 'enough');
  });

  test('the source is told that nobody reads it any more', async () => {
    let closed = false;
    async function* watched(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield Buffer.alloc(1000, 'no tar');
      } finally {
        closed = true;
      }
    }
    expect((await failureOf(start({ kind: 'stream', chunks: watched() }).done)).code).toBe('LAYER_NOT_A_TAR');
    for (let i = 0; i < 100 && !closed; i += 1) await Bun.sleep(10);
    expect(closed).toBe(true);
  });
});

test('layers with large windows take turns', async () => {
  const packer = createZstdCompress({ params: { [constants.ZSTD_c_windowLog]: 27 } });
  // Without the size beforehand the header asks for the whole window.
  packer.end(ARCHIVE);
  const large = Buffer.concat(await packer.toArray());
  const controller = new AbortController();
  async function* hanging(): AsyncGenerator<Uint8Array> {
    yield large.subarray(0, large.length - 10);
    await new Promise(() => {});
  }
  const first = start({ kind: 'stream', chunks: hanging() }, { signal: controller.signal });
  const stopped = first.done.catch((error) => error);
  while (!existsSync(`${first.request.target}/dir/file`)) await Bun.sleep(5);
  const others = [1, 2].map(() => start({ kind: 'stream', chunks: pieces(large, 100_000) }));
  const broken = failureOf(start({ kind: 'stream', chunks: pieces(large.subarray(0, -50), 100_000) }).done);
  const small = start(fileOf(zstdCompressSync(ARCHIVE)));
  await small.done;
  for (const { request } of others) expect(readdirSync(request.target)).toEqual([]);
  controller.abort(new Error('enough'));
  expect(await stopped).toHaveProperty('message', 'enough');
  await Promise.all(others.map(({ done }) => done));
  expect((await broken).code).toBe('LAYER_BAD_COMPRESSION');
  for (const { request } of [...others, small]) expect(listTree(request.target)).toEqual(TREE);
});
