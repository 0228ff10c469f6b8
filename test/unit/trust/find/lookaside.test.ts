/** Places of signatures behind HTTP: whole, missing, broken, silent, endless. */
import { afterEach, describe, expect, test } from 'bun:test';
import { digestOf } from '../../../../lib/base/digest.ts';
import { isPluginError } from '../../../../lib/base/errors/error.ts';
import { asPluginError } from '../../../../lib/http/failure.ts';
import { openHttp } from '../../../../lib/trust/find/http.ts';
import { fetchLookaside } from '../../../../lib/trust/find/lookaside.ts';
import {
  type RawAnswer,
  type RawRequest,
  type RawServer,
  rawServer,
  whole,
} from '../../../support/registries/raw-server.ts';
import { NEVER, RecordingLog, testPolicy } from '../../../support/registries/registry-client.ts';

const DIGEST = digestOf('manifest');
const PLACE = `/base/team/app@${DIGEST.replace(':', '=')}`;
let server: RawServer;
afterEach(() => server?.stop());

type Answer = (at: number, answer: RawAnswer, request: RawRequest) => Promise<void>;

/** Serves signature N by `answer`, and fetches all there are. */
async function fetched(answer: Answer, deadline = 4000) {
  server = rawServer(async (request, to) => {
    const at = Number(/signature-(\d+)$/.exec(request.target)?.[1]);
    await answer(at, to, request);
  });
  const { deadlines } = testPolicy();
  const policy = testPolicy({ deadlines: { ...deadlines, answerMs: deadline, idleMs: deadline } });
  const http = async () => openHttp(policy, new RecordingLog());
  const base = new URL(`http://${server.host}/base`);
  return fetchLookaside(base, 'team/app', DIGEST, http, NEVER);
}

const code = async (work: Promise<unknown>) => {
  const error = asPluginError(
    await work.then(
      () => undefined,
      (reason) => reason,
    ),
  );
  return isPluginError(error) ? { code: error.code, ...(error.subject as object) } : error;
};
const missing = (to: RawAnswer) => to.write(whole(404, 'no such file'));

test('all are read, in order, up to the first that is not there', async () => {
  const found = await fetched((at, to) => (at > 3 ? missing(to) : to.write(whole(200, `number ${at}`))));
  expect(found.map((bytes) => Buffer.from(bytes).toString())).toEqual(['number 1', 'number 2', 'number 3']);
  expect(server.requests.map(({ target }) => target)).toEqual(
    [1, 2, 3, 4].map((at) => `${PLACE}/signature-${at}`),
  );
  for (const { headers } of server.requests) expect(headers.get('authorization')).toBeNull();
});

test('a place that goes away for a moment is asked again', async () => {
  let cuts = 1;
  const found = await fetched(async (at, to) => {
    if (cuts > 0) {
      cuts -= 1;
      to.cut();
    } else await (at > 1 ? missing(to) : to.write(whole(200, 'signed')));
  });
  expect(found).toHaveLength(1);
});

describe('an error, and never "not signed"', () => {
  test.each([401, 403, 410, 500])('status %i', async (status) => {
    const error = await code(fetched((_, to) => to.write(whole(status, 'no'))));
    expect(error).toMatchObject({ code: 'TRUST_LOOKASIDE', reason: `it answers ${status}` });
  });

  test('a server that is silent', async () => {
    expect(await code(fetched((_, to) => to.gone, 50))).toMatchObject({ code: 'REGISTRY_DEADLINE' });
  });

  test('a signature that stops half-way', async () => {
    const half = async (_: number, to: RawAnswer) => {
      await to.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf');
      to.end();
    };
    expect(await code(fetched(half))).toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
  });

  test('a signature without an end', async () => {
    const block = 'x'.repeat(1024 * 1024);
    const endless = async (_: number, to: RawAnswer) => {
      await to.write('HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n');
      for (let i = 0; i < 6; i += 1) await to.write(block);
    };
    expect(await code(fetched(endless))).toMatchObject({
      code: 'REGISTRY_BODY_TOO_LARGE',
      what: 'a signature',
    });
  });

  test('signatures without an end', async () => {
    const error = await code(fetched((_, to) => to.write(whole(200, 'again'))));
    expect(error).toMatchObject({ code: 'TRUST_LOOKASIDE', reason: 'it has more than 128 signatures' });
    expect(server.requests).toHaveLength(129);
  });

  test('a way to another scheme', async () => {
    const away = (_: number, to: RawAnswer) => to.write(whole(302, '', { location: 'file:///etc/passwd' }));
    expect(await code(fetched(away))).toMatchObject({ code: 'REGISTRY_REDIRECT' });
  });
});
