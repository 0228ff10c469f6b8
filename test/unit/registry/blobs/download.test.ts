/** A blob comes whole or not at all, whatever a server does to it on the way (hostile rows 38 to 41). */
import { afterEach, describe, expect, test } from 'bun:test';
import type { RegistryPolicy } from '../../../../lib/registry/policy/policy.ts';
import {
  contentAnswer,
  errorAnswer,
  type FakeRegistry,
  type FakeRegistryOptions,
  fakeImage,
  fakeRegistry,
  noise,
  type Override,
} from '../../../support/registries/fake-registry.ts';
import { head, type RawAnswer, type RawRequest, whole } from '../../../support/registries/raw-server.ts';
import {
  NEVER,
  RecordingLog,
  readLayer,
  registrySource,
  rejection,
  testPolicy,
} from '../../../support/registries/registry-client.ts';

const KiB = 1024;
const image = fakeImage([noise(700 * KiB)]);
const layer = image.layers[0] ?? image.config;
const size = layer.bytes.length;

let registry: FakeRegistry | undefined;
afterEach(async () => {
  await registry?.stop();
  registry = undefined;
});

/** The nth request for the layer, from 1, answered by `play`; false leaves it to the registry. */
function onLayer(
  play: (nth: number, request: RawRequest, answer: RawAnswer) => boolean | Promise<boolean>,
): Override {
  let nth = 0;
  return (request, answer) => {
    if (!request.target.endsWith(layer.digest)) return false;
    nth += 1;
    return play(nth, request, answer);
  };
}

/** How far the reader has come: what a server that cuts has to know, since a cut drops what is on its way. */
class Meter {
  #count = 0;
  #waiting: { at: number; go: () => void }[] = [];

  add(bytes: number): void {
    this.#count += bytes;
    for (const { at, go } of this.#waiting) if (at <= this.#count) go();
  }
  async reached(at: number): Promise<void> {
    if (at > this.#count) await new Promise<void>((go) => this.#waiting.push({ at, go }));
  }
}
let meter = new Meter();

async function pull(
  options: FakeRegistryOptions,
  policy: Partial<RegistryPolicy> = {},
  log = new RecordingLog(),
): Promise<Uint8Array> {
  registry = fakeRegistry(image, options);
  meter = new Meter();
  const source = registrySource(registry.image(':latest'), {
    policy: { insecure: [registry.host], ...policy },
    log,
  });
  try {
    const [first] = (await source.resolve(NEVER)).layers;
    if (first === undefined) throw new Error('no layer');
    return await readLayer(source, first, NEVER, (bytes) => meter.add(bytes));
  } finally {
    await source.close();
  }
}

const ranges = () => registry?.asked(layer.digest).map(({ headers }) => headers.get('range')) ?? [];
const startOf = (request: RawRequest) =>
  Number(/^bytes=(\d+)-/.exec(request.headers.get('range') ?? '')?.[1] ?? 0);

/** The right head and `bytes` of the right body; when the reader has them, the line is cut. */
async function cutAfter(bytes: number, request: RawRequest, answer: RawAnswer, etag?: string): Promise<true> {
  await answer.write(beginning(contentAnswer(request, layer, etag), bytes));
  await meter.reached(Math.min(size, startOf(request) + bytes));
  answer.end();
  return true;
}

function beginning(full: Uint8Array, bytes: number): Uint8Array {
  return full.subarray(0, Buffer.from(full).indexOf('\r\n\r\n') + 4 + bytes);
}

describe('a body that breaks off', () => {
  test('goes on by range where it broke, at every 64 KiB', async () => {
    await pull({ override: onLayer((_nth, request, answer) => cutAfter(64 * KiB, request, answer)) });
    expect(ranges()).toEqual([
      null,
      ...Array.from({ length: 10 }, (_, at) => `bytes=${(at + 1) * 64 * KiB}-`),
    ]);
  });

  test('that is cut with its bytes still on their way is asked for in parts that come whole', async () => {
    const cut = onLayer(async (_nth, request, answer) => {
      const full = contentAnswer(request, layer, undefined);
      const part = beginning(full, 64 * KiB);
      await answer.write(part);
      if (part.length < full.length) answer.cut();
      return true;
    });
    await pull({ override: cut }, { retry: { ...testPolicy().retry, attempts: 5 } });
    // How much survives a cut is the runtime's luck; that it gets there, and not byte by byte, is not.
    expect(ranges().some((range) => /^bytes=\d+-\d+$/.test(range ?? ''))).toBe(true);
    expect(ranges().length).toBeLessThan(40);
  });

  test('is asked for on the same terms: If-Range with the strong entity tag', async () => {
    await pull({
      etag: '"v1"',
      override: onLayer((nth, request, answer) =>
        nth === 1 ? cutAfter(1000, request, answer, '"v1"') : false,
      ),
    });
    expect(registry?.asked(layer.digest)[1]?.headers.get('if-range')).toBe('"v1"');
  });

  test.each(['W/"v1"', 'v1', '"v1', ''])(
    'sends no If-Range for the entity tag %p, which is not a strong one',
    async (etag) => {
      await pull({
        etag,
        override: onLayer((nth, request, answer) =>
          nth === 1 ? cutAfter(1000, request, answer, etag) : false,
        ),
      });
      const [, second] = registry?.asked(layer.digest) ?? [];
      expect(second?.headers.get('range')).toBe('bytes=1000-');
      expect(second?.headers.get('if-range')).toBeNull();
    },
  );

  test('is spliced exactly when the server sends everything again because its entity tag changed', async () => {
    await pull({
      override: onLayer(async (nth, request, answer) => {
        if (nth === 1) return cutAfter(123_457, request, answer, '"old"');
        await answer.write(contentAnswer(request, layer, '"new"'));
        return true;
      }),
    });
    expect(registry?.asked(layer.digest).length).toBe(2);
  });

  test('is spliced exactly when the server ignores ranges, and breaks while the beginning comes again', async () => {
    await pull(
      {
        override: onLayer(async (nth, _request, answer) => {
          const upTo = [300_000, 100, 300_005][nth - 1] ?? size;
          await answer.write(head(200, { 'content-length': size }));
          await answer.write(layer.bytes.subarray(0, upTo));
          await meter.reached(upTo);
          if (upTo < size) answer.end();
          return true;
        }),
      },
      { retry: { ...testPolicy().retry, attempts: 5 } },
    );
    expect(registry?.asked(layer.digest).length).toBe(4);
  });

  test('counts without a length too: chunked, and ended as if complete', async () => {
    await pull({
      override: onLayer(async (nth, _request, answer) => {
        if (nth > 1) return false;
        await answer.write(head(200, { 'transfer-encoding': 'chunked' }));
        await answer.write(`64\r\n`);
        await answer.write(layer.bytes.subarray(0, 100));
        await answer.write('\r\n0\r\n\r\n');
        return true;
      }),
    });
    expect(ranges()).toEqual([null, 'bytes=100-']);
  });

  test('fails when it never gets further, after as many attempts as the policy has', async () => {
    const error = await rejection(
      pull({ override: onLayer((_nth, request, answer) => cutAfter(0, request, answer)) }),
    );
    expect(error.code).toBe('REGISTRY_UNREACHABLE');
    expect(registry?.asked(layer.digest).length).toBe(3);
  });

  test('fails when it creeps: a few bytes between two breaks are no progress', async () => {
    const error = await rejection(
      pull({ override: onLayer((_nth, request, answer) => cutAfter(10, request, answer)) }),
    );
    expect(error.code).toBe('REGISTRY_UNREACHABLE');
    expect(ranges()).toEqual([null, 'bytes=10-', 'bytes=20-']);
  });
});

describe('a server that lies about ranges', () => {
  /** After one break, `answer206` is what comes for the range; the request after it is left to the registry. */
  function lying(answer206: (request: RawRequest, answer: RawAnswer) => Promise<void>): Override {
    return onLayer(async (nth, request, answer) => {
      if (nth === 1) return cutAfter(5000, request, answer);
      if (nth > 2) return false;
      await answer206(request, answer);
      return true;
    });
  }

  test.each([
    ['another start', `bytes 4999-${size - 1}/${size}`],
    ['another total', `bytes 5000-${size - 1}/${size + 1}`],
    ['an end beyond the blob', `bytes 5000-${size}/${size}`],
    ['no Content-Range', undefined],
    ['garbage', 'bytes all of it'],
    ['another unit', `items 5000-${size - 1}/${size}`],
  ])('is asked for the whole blob: %s', async (_what, range) => {
    const headers = range === undefined ? undefined : { 'content-range': range };
    await pull({
      override: lying((_request, answer) => answer.write(whole(206, layer.bytes.subarray(5000), headers))),
    });
    expect(ranges()).toEqual([null, 'bytes=5000-', null]);
  });

  test('is asked for the whole blob after a 416', async () => {
    await pull({ override: lying((_request, answer) => answer.write(whole(416, ''))) });
    expect(ranges()).toEqual([null, 'bytes=5000-', null]);
  });

  test('may leave the total open', async () => {
    const headers = { 'content-range': `bytes 5000-${size - 1}/*` };
    await pull({
      override: lying((_request, answer) => answer.write(whole(206, layer.bytes.subarray(5000), headers))),
    });
    expect(ranges()).toEqual([null, 'bytes=5000-']);
  });

  test('may send less than the range it announces; the rest is asked for', async () => {
    const headers = { 'content-range': `bytes 5000-9999/${size}` };
    await pull({
      override: lying((_request, answer) =>
        answer.write(whole(206, layer.bytes.subarray(5000, 10_000), headers)),
      ),
    });
    expect(ranges()).toEqual([null, 'bytes=5000-', 'bytes=10000-']);
  });

  test('that sends other bytes under a right range is found out by the digest', async () => {
    const headers = { 'content-range': `bytes 5000-${size - 1}/${size}` };
    const promise = pull({
      override: lying((_request, answer) => answer.write(whole(206, noise(size - 5000, 9), headers))),
    });
    expect(promise).rejects.toThrow(`the layer ${layer.digest} came as`);
    await promise.catch(() => {});
  });
});

describe('a server that lies about the size', () => {
  test('is refused by its Content-Length before a byte is read', async () => {
    const error = await rejection(
      pull({
        override: onLayer(async (_nth, _request, answer) => {
          await answer.write(whole(200, noise(size + 1)));
          return true;
        }),
      }),
    );
    expect([error.code, error.subject]).toEqual([
      'LAYER_SIZE_MISMATCH',
      { expected: size, actual: size + 1, when: 'reported' },
    ]);
  });

  test('is stopped at the first byte too many when there is no Content-Length', async () => {
    let wrote = 0;
    const error = await rejection(
      pull({
        override: onLayer(async (_nth, _request, answer) => {
          await answer.write(head(200, { 'transfer-encoding': 'chunked' }));
          const chunk = noise(256 * KiB);
          for (const stop = answer.gone.then(() => true); wrote < 64 * 1024 * KiB; wrote += chunk.length) {
            if (await Promise.race([stop, Promise.resolve(false)])) break;
            await answer.write(`${chunk.length.toString(16)}\r\n`);
            await answer.write(chunk);
            await answer.write('\r\n');
          }
          return true;
        }),
      }),
    );
    expect([error.code, error.subject['expected'], error.subject['when']]).toEqual([
      'LAYER_SIZE_MISMATCH',
      size,
      'actual',
    ]);
    // What the sockets hold may be on its way, the rest of the 64 MiB is not.
    expect(wrote).toBeLessThan(16 * 1024 * KiB);
  });
});

describe('a body that stands still', () => {
  const quick = { ...testPolicy().deadlines, idleMs: 300 };

  test('is given up after the idle deadline and asked for again', async () => {
    const log = new RecordingLog();
    await pull(
      {
        override: onLayer(async (nth, request, answer) => {
          if (nth > 1) return false;
          const full = contentAnswer(request, layer, undefined);
          await answer.write(full.subarray(0, full.length - size + 7777));
          return true;
        }),
      },
      { deadlines: quick },
      log,
    );
    expect(ranges()).toEqual([null, 'bytes=7777-']);
    expect(log.of('blob-retry').map(({ code }) => code)).toEqual(['REGISTRY_DEADLINE']);
  });

  test('that drips slower than the least rate is given up too, although it never stands still', async () => {
    const error = await rejection(
      pull(
        {
          override: onLayer(async (_nth, _request, answer) => {
            await answer.write(head(200, { 'content-length': size }));
            let gone = false;
            answer.gone.then(() => {
              gone = true;
            });
            for (let at = 0; !gone; at += 1) {
              await answer.write(layer.bytes.subarray(at, at + 1));
              await Bun.sleep(10);
            }
            return true;
          }),
        },
        // Too long to pass between two of its bytes, however busy this machine is.
        { deadlines: { ...quick, idleMs: 30_000, slowWindowMs: 100, slowBytesPerSecond: 1024 } },
      ),
    );
    expect(error.code).toBe('REGISTRY_DEADLINE');
    expect(String(error.subject['step'])).toContain('1024 bytes a second');
  });

  test('is no reason to stop when it is the reader who takes his time', async () => {
    registry = fakeRegistry(image);
    const deadlines = { ...quick, slowWindowMs: 600, slowBytesPerSecond: 1e9 };
    const source = registrySource(registry.image(':latest'), {
      policy: { insecure: [registry.host], deadlines },
    });
    const [first] = (await source.resolve(NEVER)).layers;
    if (first === undefined) throw new Error('no layer');
    let paused = false;
    const read = await readLayer(source, first, NEVER, () => {
      // Longer than a server may be silent, and than the window in which it has to be quick.
      if (!paused) Bun.sleepSync(800);
      paused = true;
    });
    expect(read.length).toBe(size);
    expect(registry.asked(layer.digest).length).toBe(1);
    await source.close();
  });
});

describe('an answer that never comes', () => {
  test('is given up after the answer deadline; the error names what was waited for', async () => {
    const deadlines = { ...testPolicy().deadlines, connectMs: 100, answerMs: 400 };
    const error = await rejection(pull({ override: onLayer(() => true) }, { deadlines }));
    expect([error.code, error.subject['step'], error.subject['seconds']]).toEqual([
      'REGISTRY_DEADLINE',
      'an answer',
      0.4,
    ]);
  });

  test('is given up after the total deadline, however lively the rest is', async () => {
    const deadlines = { ...testPolicy().deadlines, totalMs: 150 };
    const error = await rejection(pull({ override: onLayer(() => true) }, { deadlines }));
    expect([error.code, error.subject['step']]).toEqual(['REGISTRY_DEADLINE', 'the whole image']);
  });
});

describe('what can pass is tried again, what cannot is not', () => {
  test.each([408, 500, 502, 503, 504])('status %d is tried again', async (status) => {
    await pull({
      override: onLayer(async (nth, _request, answer) => {
        if (nth > 2) return false;
        await answer.write(errorAnswer(status, 'UNAVAILABLE'));
        return true;
      }),
    });
    expect(registry?.asked(layer.digest).length).toBe(3);
  });

  test.each([
    [400, 'REGISTRY_ERROR'],
    [401, 'REGISTRY_UNAUTHORIZED'],
    [403, 'REGISTRY_DENIED'],
    [404, 'REGISTRY_NOT_FOUND'],
    [451, 'REGISTRY_ERROR'],
    [501, 'REGISTRY_ERROR'],
  ])('status %d is not: %s', async (status, code) => {
    const error = await rejection(
      pull({
        override: onLayer(async (_nth, _request, answer) => {
          await answer.write(errorAnswer(status, 'WHATEVER', 'in its own words'));
          return true;
        }),
      }),
    );
    expect([error.code, error.subject['reason']]).toEqual([code, 'in its own words']);
    expect(registry?.asked(layer.digest).length).toBe(1);
  });
});
