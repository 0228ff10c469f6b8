import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { recordingLog } from '../../oci/support.ts';
import type { Script, Seen } from './blob-server.ts';
import { BLOB, RemoteBench, type Serving, status, whole } from './remote-bench.ts';

describe('a transfer that breaks off', () => {
  let bench: RemoteBench;
  beforeEach(() => {
    bench = new RemoteBench();
  });
  afterEach(() => bench.dispose());

  const half = BLOB.length / 2;
  const cut = (more: string, afterwards: Script['afterwards']): Script => ({
    head: `HTTP/1.1 200 OK\nContent-Length: ${BLOB.length}\n${more}\n`,
    body: BLOB.subarray(0, half),
    afterwards,
  });
  /** The rest from where it is asked for, `shift` bytes off. */
  const rest = (request: Seen, shift = 0, from?: number): Script => {
    const at = Number(/^bytes=(\d+)-$/.exec(request.headers.get('range') ?? '')?.[1]) + shift;
    const body = BLOB.subarray(at);
    const range = `bytes ${from ?? at}-${BLOB.length - 1}/${BLOB.length}`;
    return {
      head: `HTTP/1.1 206 Partial Content\nContent-Length: ${body.length}\nContent-Range: ${range}\n\n`,
      body,
      afterwards: 'stay',
    };
  };

  /** Deadline of servers that fall silent: unlike after a hang-up, what came before is surely delivered. */
  const SILENCE = { idleSeconds: 0.5 };

  test('is picked up again where it broke', async () => {
    const log = recordingLog();
    const { host, server } = await bench.serve((request) =>
      request.headers.has('range') ? rest(request) : cut('ETag: "v1"\n', 'stay'),
    );
    expect(await bench.fetchFrom([`http://${host}/`], { log, ...SILENCE })).toEqual(BLOB);
    expect(server.seen.map(({ headers }) => headers.get('if-range'))).toEqual([undefined, '"v1"']);
    const resumed = log.events.filter(({ event }) => event !== 'http');
    expect(resumed.map(({ event, data }) => [event, data?.['at']])).toEqual([['layer-url-resumed', half]]);
  });

  test('is picked up after a hang-up, wherever its last bytes got to', async () => {
    const { host, server }: Serving = await bench.serve((request) => {
      if (request.headers.has('range')) return rest(request);
      return server.seen.length > 1 ? whole() : cut('ETag: "v1"\n', 'hang up');
    });
    expect(await bench.fetchFrom([`http://${host}/`])).toEqual(BLOB);
    expect(server.seen.length).toBe(2);
  });

  test('is picked up by a date of some age where there is no tag', async () => {
    const dates = 'Date: Tue, 01 Jan 2030 00:01:00 GMT\nLast-Modified: Tue, 01 Jan 2030 00:00:00 GMT\n';
    const { host, server } = await bench.serve((request) =>
      request.headers.has('range') ? rest(request) : cut(dates, 'stay'),
    );
    expect(await bench.fetchFrom([`http://${host}/`], SILENCE)).toEqual(BLOB);
    expect(server.seen[1]?.headers.get('if-range')).toBe('Tue, 01 Jan 2030 00:00:00 GMT');
    expect(server.seen[1]?.headers.get('range')).toBe(`bytes=${half}-`);
  });

  test('is picked up although the server is in trouble in between', async () => {
    const { host, server } = await bench.serve((request) => {
      if (!request.headers.has('range')) return cut('ETag: "v1"\n', 'stay');
      return server.seen.length < 4 ? status('503 Service Unavailable') : rest(request);
    });
    expect(await bench.fetchFrom([`http://${host}/`], SILENCE)).toEqual(BLOB);
    expect(server.seen.length).toBe(4);
  });

  test.each([
    ['nothing tells that it is the same file', ''],
    ['only a weak tag tells', 'ETag: W/"v1"\nLast-Modified: Tue, 01 Jan 2002 00:00:00 GMT\n'],
    [
      'only a fresh date tells',
      'Date: Tue, 01 Jan 2030 00:00:59 GMT\nLast-Modified: Tue, 01 Jan 2030 00:00:00 GMT\n',
    ],
    ['a date without the time of the answer tells', 'Last-Modified: Tue, 01 Jan 2002 00:00:00 GMT\n'],
  ])('fails where %s', async (_what, more) => {
    const { host, server } = await bench.serve(() => cut(more, 'stay'));
    expect(await bench.failure([`http://${host}/x?hunter2`], SILENCE)).toBe(
      `http://${host}/x: nothing for ${SILENCE.idleSeconds} s after ${half} bytes`,
    );
    expect(server.seen.length).toBe(1);
  });

  test('before its first byte is asked for anew', async () => {
    let calls = 0;
    const { host, server } = await bench.serve(() => {
      calls += 1;
      return calls === 1 ? { ...cut('', 'stay'), body: new Uint8Array() } : whole();
    });
    expect(await bench.fetchFrom([`http://${host}/`], SILENCE)).toEqual(BLOB);
    expect(server.seen.map(({ headers }) => headers.has('range'))).toEqual([false, false]);
  });

  test('is not spliced with a file that has changed', async () => {
    const { host } = await bench.serve((request) =>
      request.headers.has('range') ? whole() : cut('ETag: "v1"\n', 'stay'),
    );
    expect(await bench.failure([`http://${host}/`], SILENCE)).toEndWith(`status 200 after ${half} bytes`);
  });

  test.each<[string, (range: string) => string]>([
    ['starts elsewhere', () => `bytes 0-${BLOB.length - 1}/${BLOB.length}`],
    ['is one byte off', () => `bytes ${half + 1}-${BLOB.length - 1}/${BLOB.length}`],
    ['ends early', () => `bytes ${half}-${BLOB.length - 2}/${BLOB.length}`],
    ['is of a longer file', () => `bytes ${half}-${BLOB.length - 1}/${BLOB.length + 1}`],
    ['does not say where it is', () => ''],
    ['is not in bytes', (range) => range.replace('bytes', 'lines')],
  ])('is not spliced with a range that %s', async (_what, lie) => {
    const { host } = await bench.serve((request) => {
      if (!request.headers.has('range')) return cut('ETag: "v1"\n', 'stay');
      const script = rest(request);
      return { ...script, head: script.head.replace(/bytes .*/, lie) };
    });
    expect(await bench.failure([`http://${host}/`], SILENCE)).toEndWith(
      `another range than the one asked for after ${half} bytes`,
    );
  });

  test('is not spliced with a body that is shorter than its range says', async () => {
    const { host } = await bench.serve((request) =>
      request.headers.has('range') ? rest(request, 1, half) : cut('ETag: "v1"\n', 'stay'),
    );
    expect(await bench.failure([`http://${host}/`], SILENCE)).toContain('another range');
  });

  test('again and again is given up', async () => {
    const { host, server } = await bench.serve((request) => {
      if (!request.headers.has('range')) return cut('ETag: "v1"\n', 'stay');
      const script = rest(request);
      return { ...script, body: (script.body ?? BLOB).subarray(0, 10) };
    });
    expect(await bench.failure([`http://${host}/`], SILENCE)).toEndWith(`after ${half + 50} bytes`);
    expect(server.seen.length).toBe(6);
  });

  test('again and again is no matter while it comes along', async () => {
    const long = Buffer.alloc(20 << 20, 'a long way');
    const step = 2 << 20;
    const { host, server } = await bench.serve((request) => {
      const at = Number(/\d+/.exec(request.headers.get('range') ?? '0')?.[0]);
      const head =
        at === 0
          ? `HTTP/1.1 200 OK\nContent-Length: ${long.length}\nETag: "v1"\n\n`
          : `HTTP/1.1 206 Partial Content\nContent-Length: ${long.length - at}\nContent-Range: bytes ${at}-${long.length - 1}/${long.length}\n\n`;
      return { head, body: long.subarray(at, at + step), afterwards: 'stay' };
    });
    const descriptor = bench.layout.layer(long);
    expect((await bench.fetchFrom([`http://${host}/`], { descriptor, ...SILENCE })).equals(long)).toBe(true);
    // Once more where this machine stood still for as long as the server is meant to.
    expect(server.seen.length).toBeGreaterThanOrEqual(10);
  });
});
