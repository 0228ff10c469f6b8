/** Servers that hold a layer: a well-behaved one with TLS, and one that breaks off where the test says. */

import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import { sh } from '../../../support/shell.ts';

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: ReadonlyMap<string, string>;
}

/** What a raw server writes for one request, and whether it then hangs up or stays silent. */
export interface Script {
  readonly head: string;
  readonly body?: Uint8Array;
  readonly afterwards: 'hang up' | 'stay';
}

/** A server on 127.0.0.1 that answers with exactly the bytes a test gives it. */
export class RawServer {
  readonly seen: Seen[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(answer: (request: Seen) => Script) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => socket.destroy());
      let text = '';
      socket.on('data', (data) => {
        text += data.toString('latin1');
        const end = text.indexOf('\r\n\r\n');
        if (end < 0) return;
        const request = parseHead(text.slice(0, end));
        text = text.slice(end + 4);
        this.seen.push(request);
        const script = answer(request);
        socket.write(script.head.replaceAll('\n', '\r\n'));
        const body = script.body ?? new Uint8Array();
        if (script.afterwards === 'hang up') socket.end(body);
        else socket.write(body);
      });
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((ready) => this.#server.listen(0, '127.0.0.1', ready));
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Sockets that somebody still holds open. */
  get connections(): number {
    return this.#sockets.size;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((done) => this.#server.close(done));
  }
}

function parseHead(head: string): Seen {
  const [first = '', ...lines] = head.split('\r\n');
  const [method = '', path = ''] = first.split(' ');
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  return { method, path, headers: new Map(headers) };
}

/**
 * An authority with the certificates of a server on 127.0.0.1 and of a client, all in `directory`:
 * ca.crt, server.{crt,key}, client/{ca.crt,client.cert,client.key}.
 */
export async function makeCertificates(directory: string): Promise<void> {
  await sh(
    `mkdir -p "$1/client"; cd "$1"
     new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "$@" 2>/dev/null; }
     new -x509 -days 2 -subj /CN=test-authority -keyout ca.key -out ca.crt
     printf 'subjectAltName=IP:127.0.0.1\\n' > san
     for name in server client; do
       new -subj "/CN=$name" -keyout "$name.key" -out "$name.csr"
       openssl x509 -req -days 2 -in "$name.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -extfile san -out "$name.crt" 2>/dev/null
     done
     cp ca.crt client/; cp client.crt client/client.cert; cp client.key client/client.key`,
    [directory],
  );
}
