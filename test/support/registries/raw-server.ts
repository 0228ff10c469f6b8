/** A server that says exactly what a test wants, byte by byte: what no real one would. */
import type { Socket } from 'bun';

export interface RawRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly headers: Headers;
  /** Of a request with a Content-Length. */
  readonly body: string;
}

export interface RawAnswer {
  write(bytes: string | Uint8Array): Promise<void>;
  /** Closes properly, after everything that was written. */
  end(): void;
  /** Resets the connection. */
  cut(): void;
  /** Resolves when the client has gone. */
  readonly gone: Promise<void>;
}

export interface RawServer {
  readonly host: string;
  readonly port: number;
  /** All requests so far, in the order in which they came. */
  readonly requests: readonly RawRequest[];
  /** Connections accepted so far. */
  connections(): number;
  stop(): Promise<void>;
}

interface State {
  received: string;
  readonly drained: (() => void)[];
  readonly gone: PromiseWithResolvers<void>;
}

/** @param handle gets one request after the other; connections stay open unless it ends them. */
export function rawServer(
  handle: (request: RawRequest, answer: RawAnswer) => void | Promise<void>,
  options: {
    readonly hostname?: string;
    readonly tls?: { readonly cert: string; readonly key: string };
    /** Sees a request whose body is not complete yet. True: the test has answered, and the connection is of no more use. */
    readonly early?: (request: RawRequest, answer: RawAnswer) => boolean;
  } = {},
): RawServer {
  const requests: RawRequest[] = [];
  const open = new Set<Socket<State>>();
  let connections = 0;
  const listener = Bun.listen<State>({
    hostname: options.hostname ?? '127.0.0.1',
    port: 0,
    ...(options.tls && { tls: options.tls }),
    socket: {
      open(socket) {
        connections += 1;
        socket.data = { received: '', drained: [], gone: Promise.withResolvers() };
        open.add(socket);
      },
      data(socket, bytes) {
        socket.data.received += bytes.toString('latin1');
        // A TLS handshake on a server without TLS: a real one closes.
        if (socket.data.received.startsWith('\x16')) return void socket.end(whole(400));
        for (let taken = take(socket.data); taken !== undefined; taken = take(socket.data)) {
          requests.push(taken);
          void handle(taken, answerOn(socket));
        }
        const partial = options.early && partOf(socket.data);
        if (partial !== undefined && options.early?.(partial, answerOn(socket))) {
          requests.push(partial);
          socket.data.received = '';
        }
      },
      drain(socket) {
        for (const go of socket.data.drained.splice(0)) go();
      },
      close(socket) {
        open.delete(socket);
        for (const go of socket.data.drained.splice(0)) go();
        socket.data.gone.resolve();
      },
      error() {},
    },
  });
  return {
    host: `${hostOf(options.hostname ?? '127.0.0.1')}:${listener.port}`,
    port: listener.port,
    requests,
    connections: () => connections,
    async stop() {
      for (const socket of open) socket.terminate();
      listener.stop(true);
    },
  };
}

/** An address as URLs and references have it. */
function hostOf(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

/** The next request, when all of it is there. */
function take(state: State): RawRequest | undefined {
  const request = partOf(state);
  const length = Number(request?.headers.get('content-length') ?? 0);
  if (request === undefined || request.body.length < length) return undefined;
  const next = state.received.indexOf('\r\n\r\n') + 4 + length;
  state.received = state.received.slice(next);
  return request;
}

/** The next request with what is there of its body. */
function partOf(state: State): RawRequest | undefined {
  const end = state.received.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [line = '', ...fields] = state.received.slice(0, end).split('\r\n');
  const headers = new Headers();
  for (const field of fields) {
    const colon = field.indexOf(':');
    headers.append(field.slice(0, colon), field.slice(colon + 1).trim());
  }
  const length = Number(headers.get('content-length') ?? 0);
  const body = state.received.slice(end + 4, end + 4 + length);
  const [method = '', target = ''] = line.split(' ');
  return { method, target, headers, body };
}

function answerOn(socket: Socket<State>): RawAnswer {
  const { drained, gone } = socket.data;
  return {
    gone: gone.promise,
    async write(bytes) {
      let rest = Buffer.from(bytes);
      while (rest.length > 0) {
        const written = socket.write(rest);
        if (written < 0) return;
        rest = rest.subarray(written);
        if (rest.length > 0) await new Promise<void>((resolve) => drained.push(resolve));
        if (socket.readyState <= 0) return;
      }
    },
    end: () => void socket.end(),
    cut: () => socket.terminate(),
  };
}

/** The head of an answer. */
export function head(status: number, headers: Readonly<Record<string, string | number>> = {}): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} Test\r\n${lines.join('')}\r\n`;
}

/** A whole answer. */
export function whole(
  status: number,
  body: string | Uint8Array = '',
  headers: Readonly<Record<string, string | number>> = {},
): Uint8Array {
  const bytes = Buffer.from(body);
  return Buffer.concat([Buffer.from(head(status, { 'content-length': bytes.length, ...headers })), bytes]);
}
