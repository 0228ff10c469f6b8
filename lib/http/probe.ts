/** Two small probes that find the cause of a failed or silent exchange, so that its sentence can say what to do. */

/** The longest wait for the result of a probe; deadlines of the policy may be shorter. */
export const PROBE_MS = 3000;

export interface Peer {
  readonly hostname: string;
  readonly port: number;
}

/** True when a TCP connection can be made: the host is up, but slow to answer. */
export function acceptsConnections(peer: Peer, ms: number): Promise<boolean> {
  return ask(peer, ms, undefined, () => true);
}

/**
 * True when the peer answers a TLS handshake in HTTP. graft sends nothing but the beginning of that handshake, so that a
 * registry that is not listed as insecure never gets a request without TLS.
 */
export function answersTlsInHttp(peer: Peer, ms: number): Promise<boolean> {
  return ask(peer, ms, clientHello(), (answer) => answer.startsWith('HTTP/'));
}

/** @param judge gets the bytes that came so far; it is called right after the connection where `greeting` is undefined */
async function ask(
  { hostname, port }: Peer,
  ms: number,
  greeting: Uint8Array | undefined,
  judge: (answer: string) => boolean,
): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(resolve, ms, false);
  let answer = '';
  const dialling = Bun.connect({
    hostname,
    port,
    socket: {
      open(socket) {
        if (greeting === undefined) resolve(judge(answer));
        else socket.write(greeting);
      },
      data(_socket, bytes) {
        answer += bytes.toString('latin1');
        if (answer.length >= ENOUGH) resolve(judge(answer));
      },
      close: () => resolve(judge(answer)),
      connectError: () => resolve(false),
      error: () => resolve(false),
    },
  });
  dialling.catch(() => resolve(false));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    void dialling.then((socket) => socket.terminate()).catch(() => {});
  }
}

/** The length of `HTTP/`. */
const ENOUGH = 5;

/**
 * A ClientHello of TLS 1.2 (RFC 5246 7.4.1.2) with two cipher suites. An HTTP server answers only after the end of a line,
 * so the 32 bytes of the "random" are ends of lines. No handshake goes on from it.
 */
function clientHello(): Uint8Array {
  const random = Buffer.from('\r\n'.repeat(16), 'latin1');
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    random,
    Buffer.from([0, 0, 4, 0xc0, 0x2f, 0xc0, 0x2b, 1, 0]),
  ]);
  const hello = Buffer.concat([Buffer.from([1, 0, 0, body.length]), body]);
  return Buffer.concat([Buffer.from([0x16, 3, 1, 0, hello.length]), hello]);
}
