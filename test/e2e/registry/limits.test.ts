/** What may come from a registry has an end: deadlines in time, ceilings in bytes, words that fit a sentence. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { existsSync, readdirSync } from 'node:fs';
import type { RegistriesFile } from '../../../lib/registry/policy/settings.ts';
import { tarOf } from '../../support/images/noise-image.ts';
import {
  contentAnswer,
  errorAnswer,
  type FakeImage,
  type FakeRegistry,
  fakeImage,
  fakeRegistry,
  type Override,
} from '../../support/registries/fake-registry.ts';
import type { RawAnswer } from '../../support/registries/raw-server.ts';
import type { Ran } from '../../support/shell.ts';
import { Cell, logged } from '../../support/stores/cell.ts';

/** Long enough for a busy machine to answer in time where an answer is meant to come. */
const LONG = { connect_ms: 60_000, answer_ms: 60_000, idle_ms: 60_000, slow_window_ms: 60_000 };
const ONCE = { attempts: 1, first_pause_ms: 1, longest_pause_ms: 1 };

let cell: Cell;
let image: FakeImage;
let registry: FakeRegistry | undefined;
const cleanup = new AsyncDisposableStack();
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  image = fakeImage([tarOf('file', Buffer.alloc(200_000, 'x'))]);
  cell = cleanup.use(await Cell.make());
});
beforeEach(() => cell.empty());
afterEach(() => registry?.stop());

/** Pulls from a registry that does one thing wrong. */
async function pull(override: Override, settings: RegistriesFile = {}, etag = '"v1"'): Promise<Ran> {
  registry = fakeRegistry(image, { override, etag });
  cell.settings({ insecure: [registry.host], timeouts: LONG, retries: ONCE, ...settings });
  return cell.pull(registry.image(':latest'));
}
const layer = () => image.layers[0] ?? image.config;
const isLayer = (target: string) => target.endsWith(layer().digest);
const asked = (reference: string) => registry?.asked(reference) ?? [];

/** Refused with these words, and nothing of it is left. */
function refused(ran: Ran, words: string | RegExp): void {
  const said = typeof words === 'string' ? expect.stringContaining(words) : expect.stringMatching(words);
  expect([ran.code, ran.stdout]).toEqual([1, said]);
  for (const place of ['volumes', 'tmp', 'meta/leases', 'meta/partial']) {
    const path = `${cell.store}/${place}`;
    expect([place, existsSync(path) ? readdirSync(path) : []]).toEqual([place, []]);
  }
}

describe('a deadline ends the wait', () => {
  test('for an answer', async () => {
    const ran = await pull(({ target }, answer) => isLayer(target) && answer.gone.then(() => true), {
      timeouts: { ...LONG, answer_ms: 2000 },
    });
    refused(ran, `${registry?.host}: waited 2 s for an answer`);
  });

  test('for the next bytes of a body', async () => {
    const ran = await pull(
      async ({ target }, answer) => {
        if (!isLayer(target)) return false;
        await answer.write(`HTTP/1.1 200 OK\r\ncontent-length: ${layer().bytes.length}\r\n\r\nabc`);
        await answer.gone;
        return true;
      },
      { timeouts: { ...LONG, idle_ms: 2000 } },
    );
    refused(ran, `${registry?.host}: waited 2 s for the next bytes`);
  });

  test('for the whole image, however lively it is', async () => {
    const ran = await pull(
      async ({ target }, answer) => {
        if (!isLayer(target)) return false;
        await answer.write(`HTTP/1.1 200 OK\r\ncontent-length: ${layer().bytes.length}\r\n\r\n`);
        await untilGone(answer, () => answer.write('x'));
        return true;
      },
      { timeouts: { ...LONG, total_ms: 3000 } },
    );
    refused(ran, `${registry?.host}: waited 3 s for the whole image`);
  });

  test('that is shorter than a Retry-After, too', async () => {
    const limit = errorAnswer(429, 'TOOMANYREQUESTS', 'too many', { 'retry-after': 50 });
    const ran = await pull(({ target }, answer) => isLayer(target) && answer.write(limit).then(() => true), {
      timeouts: { ...LONG, total_ms: 3000 },
      retries: { ...ONCE, attempts: 5 },
    });
    refused(ran, `${registry?.host}: waited 3 s for the whole image`);
  });
});

/** Writes a little, again and again, slower than a body of 200 kB would take. */
async function untilGone(answer: RawAnswer, write: () => Promise<void>): Promise<void> {
  let gone = false;
  void answer.gone.then(() => {
    gone = true;
  });
  while (!gone) {
    await write();
    await Bun.sleep(20);
  }
}

test('a Retry-After is waited for: the next request comes no sooner', async () => {
  const at: number[] = [];
  const ran = await pull(
    async ({ target, method }, answer) => {
      if (!isLayer(target) || method !== 'GET') return false;
      at.push(performance.now());
      if (at.length > 1) return false;
      await answer.write(errorAnswer(429, 'TOOMANYREQUESTS', 'too many', { 'retry-after': 1 }));
      return true;
    },
    { retries: { ...ONCE, attempts: 2 } },
  );
  expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('1 of 1 layer fetched')]);
  expect(at.length).toBe(2);
  // Timers count whole milliseconds.
  expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThanOrEqual(990);
});

describe('what cannot pass is asked once, however many attempts there are', () => {
  test.each([400, 403, 404, 410, 501])('status %d', async (status) => {
    const answerOf = errorAnswer(status, 'NO', 'the answer is no');
    const ran = await pull(
      ({ target }, answer) => isLayer(target) && answer.write(answerOf).then(() => true),
      { retries: { ...ONCE, attempts: 5 } },
    );
    refused(ran, 'the answer is no');
    expect(asked(layer().digest).length).toBe(1);
  });
});

describe('a ceiling ends the reading of', () => {
  /** MiB: far beyond every ceiling and all that sockets hold, so that a reader without an end is seen. */
  const OFFERED = 64;
  const MiB = 1024 * 1024;
  let written = 0;

  async function endless(answer: RawAnswer, head: string): Promise<boolean> {
    written = 0;
    let gone = false;
    void answer.gone.then(() => {
      gone = true;
    });
    await answer.write(`HTTP/1.1 ${head}\r\nconnection: close\r\n\r\n{"a":"`);
    while (!gone && written < OFFERED) {
      await answer.write(Buffer.alloc(MiB, 'x'));
      written += 1;
      // A connection that was closed takes everything, and says so only when its event is let through.
      await new Promise((resolve) => setImmediate(resolve));
    }
    answer.end();
    return true;
  }

  test.each([
    [
      'a manifest',
      'manifests',
      '200 OK\r\ncontent-type: application/vnd.oci.image.manifest.v1+json',
      'a manifest of more than the 4194304 bytes',
    ],
    ['an image configuration', 'config', '200 OK', 'an image configuration of more than the'],
    ['the words of an error', 'layer', '400 Bad', 'answers with status 400'],
    ['a layer', 'layer', '200 OK', 'layer size is different from the value in the manifest'],
  ])('%s', async (_what, where, head, words) => {
    const wrong = ({ target, method }: { target: string; method: string }) => {
      if (method !== 'GET') return false;
      if (where === 'manifests') return target.includes('/manifests/');
      return target.endsWith(where === 'config' ? image.config.digest : layer().digest);
    };
    const ran = await pull((request, answer) => wrong(request) && endless(answer, head));
    refused(ran, words);
    // What the sockets hold is not read.
    expect(written).toBeLessThan(OFFERED);
  });

  test('a token', async () => {
    const ran = await pull((request, answer) => {
      if (request.target.startsWith('/token')) return endless(answer, '200 OK');
      const challenge = `Bearer realm="http://${registry?.host}/token",service="s"`;
      if (!request.target.startsWith('/v2/app/')) return false;
      return answer
        .write(errorAnswer(401, 'UNAUTHORIZED', 'no', { 'www-authenticate': challenge }))
        .then(() => true);
    });
    refused(ran, 'a token of more than the 65536 bytes');
    expect(written).toBeLessThan(OFFERED);
  });
});

test('a registry’s own words are one line of plain text that fits a sentence', async () => {
  const evil = `\u001b[31mred\u0007\r\nsecond line\u2028third\u202eback ${'long '.repeat(1000)}`;
  const answerOf = errorAnswer(400, 'NO', evil);
  const ran = await pull(({ target }, answer) => isLayer(target) && answer.write(answerOf).then(() => true));
  refused(ran, 'answers with status 400');
  expect(ran.stdout).toContain('red');
  expect(ran.stdout).toContain('second line');
  expect(ran.stdout.trimEnd()).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/);
  expect(ran.stdout.length).toBeLessThan(1024);
});

test('no coding is asked for; one that comes unasked is not taken off', async () => {
  const ran = await pull(async (request, answer) => {
    if (!isLayer(request.target)) return false;
    const plain = Buffer.from(contentAnswer(request, layer(), undefined)).toString('latin1');
    await answer.write(Buffer.from(plain.replace('\r\n', '\r\ncontent-encoding: gzip\r\n'), 'latin1'));
    return true;
  });
  expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('1 of 1 layer fetched')]);
  expect(registry?.requests.map(({ headers }) => headers.get('accept-encoding'))).toEqual(
    registry?.requests.map(() => 'identity'),
  );
});

test('a body that breaks is gone on with on the same terms: If-Range with the entity tag', async () => {
  let cut = false;
  const ran = await pull(
    async (request, answer) => {
      if (cut || !isLayer(request.target)) return false;
      cut = true;
      await answer.write(contentAnswer(request, layer(), '"v1"').subarray(0, 100_000));
      answer.end();
      return true;
    },
    { retries: { ...ONCE, attempts: 3 } },
  );
  expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('1 of 1 layer fetched')]);
  expect(logged(ran, 'blob-retry').length).toBe(1);
  const [first, ...others] = asked(layer().digest);
  expect([first?.headers.get('range'), first?.headers.get('if-range')]).toEqual([null, null]);
  expect(others.length).toBeGreaterThan(0);
  for (const { headers } of others) {
    expect(headers.get('range')).toMatch(/^bytes=\d+-/);
    expect(headers.get('if-range')).toBe('"v1"');
  }
});
