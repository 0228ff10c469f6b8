/** What is sent to a port to find out why TLS failed there, and what is made of the answer. */
import { afterEach, describe, expect, test } from 'bun:test';
import { acceptsConnections, answersTlsInHttp } from '../../../lib/http/probe.ts';

const LONG = 20_000;
const stopping: (() => void)[] = [];
afterEach(() => {
  for (const stop of stopping.splice(0)) stop();
});

/** A server of lines, as Go's and Python's for HTTP are: it says nothing before the first line has ended. */
function lineServer(answer: string) {
  let received = Buffer.alloc(0);
  const listener = Bun.listen({
    hostname: '127.0.0.1',
    port: 0,
    socket: {
      data(socket, bytes) {
        received = Buffer.concat([received, bytes]);
        if (!received.includes('\n')) return;
        socket.end(answer);
      },
    },
  });
  stopping.push(() => listener.stop(true));
  return { peer: { hostname: '127.0.0.1', port: listener.port }, received: () => received };
}

describe('HTTP in answer to TLS', () => {
  test('is recognised, and nothing but TLS is sent for it', async () => {
    const { peer, received } = lineServer('HTTP/1.1 400 Bad Request\r\n\r\n');
    expect(await answersTlsInHttp(peer, LONG)).toBe(true);
    // One handshake record, whole, and nothing behind it.
    expect([...received().subarray(0, 3)]).toEqual([0x16, 3, 1]);
    expect(received().length).toBe(5 + received().readUInt16BE(3));
    expect(received().toString('latin1')).not.toMatch(/HEAD|GET|HTTP|Host/i);
  });

  test.each(['SSH-2.0-x\r\n', '', 'HTT', '<html>', '\x15\x03\x03\x00\x02\x02\x28'])(
    'is not %p',
    async (answer) => {
      expect(await answersTlsInHttp(lineServer(answer).peer, LONG)).toBe(false);
    },
  );

  test('is not what a server of TLS says, nor what nobody says', async () => {
    const silent = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
    const peer = { hostname: '127.0.0.1', port: silent.port };
    stopping.push(() => silent.stop(true));
    expect(await answersTlsInHttp(peer, 50)).toBe(false);
    expect(await acceptsConnections(peer, LONG)).toBe(true);
    silent.stop(true);
    expect(await answersTlsInHttp(peer, LONG)).toBe(false);
    expect(await acceptsConnections(peer, LONG)).toBe(false);
  });
});
