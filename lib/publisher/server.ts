import { PluginError } from '../base/errors/error.ts';
import type { Logger } from '../base/log.ts';
import { JsonRefused } from '../oci/json.ts';
import { metricsText } from './metrics-text.ts';
import type { Job, Queue } from './queue.ts';
import { MAX_BODY_BYTES, readNotification, readPublishRequest } from './requests.ts';
import { type PublisherSettings, wishesOf } from './settings.ts';
import type { HasToken } from './token.ts';
import type { Worker } from './worker.ts';

export interface ServerDeps {
  readonly settings: PublisherSettings;
  readonly hasToken: HasToken;
  readonly queue: Queue;
  readonly worker: Worker;
  readonly log: Logger;
  /** Milliseconds for the body of a request. */
  readonly bodyMs: number;
}

export interface RunningAgent {
  readonly port: number;
  /** Takes no more requests. The queue is on disk, and a registry repeats a notification without an answer. */
  stop(): Promise<void>;
}

/**
 * Seconds without a byte after which a connection is closed. The runtime has a deadline of its own for the headers, about
 * twelve seconds from the first byte, which bytes that trickle do not move (measured).
 */
const IDLE_SECONDS = 10;
/** Refused requests that are logged in a minute: whoever sends them must not fill the disk. */
const LOGGED_PER_MINUTE = 60;

/** Answers requests on the address of the settings. @throws PUBLISHER_LISTEN */
export function listen(deps: ServerDeps): RunningAgent {
  const { hostname, port } = deps.settings;
  const surface = new Surface(deps);
  try {
    const server = Bun.serve({
      hostname,
      port,
      development: false,
      // Otherwise a second program of the same user could take requests away.
      reusePort: false,
      maxRequestBodySize: MAX_BODY_BYTES,
      idleTimeout: IDLE_SECONDS,
      fetch: (request) => surface.answer(request),
      error: (error) => {
        deps.log.error('publisher-request-failed', error);
        return text(500, 'the request failed; the log of the publisher says why');
      },
    });
    return { port: server.port ?? port, stop: () => server.stop(true) };
  } catch (error) {
    const reason = (error as { code?: unknown } | null)?.code;
    const subject = {
      address: `${hostname}:${port}`,
      reason: typeof reason === 'string' ? reason : String(error),
    };
    throw new PluginError('PUBLISHER_LISTEN', subject, { cause: error });
  }
}

class Surface {
  readonly #deps: ServerDeps;
  readonly #answers = new Map<number, number>();
  #minute = 0;
  #logged = 0;

  constructor(deps: ServerDeps) {
    this.#deps = deps;
  }

  async answer(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const answer = await this.#route(request, pathname);
    this.#answers.set(answer.status, (this.#answers.get(answer.status) ?? 0) + 1);
    if (answer.status >= 400) this.#logRefusal(request.method, pathname, answer.status);
    return answer;
  }

  async #route(request: Request, path: string): Promise<Response> {
    const { method } = request;
    if (method === 'GET' && path === '/healthz') return text(200, 'ok');
    const trusted = this.#deps.hasToken(request.headers.get('authorization'));
    const status = /^\/status\/(?:sha256:)?([0-9a-f]{64})$/.exec(path)?.[1];
    if (method === 'GET' && status !== undefined) return this.#status(`sha256:${status}`, request, trusted);
    if (!KNOWN.has(`${method} ${path}`)) return text(404, 'not found');
    if (!trusted) return text(401, 'the token is missing or wrong', { 'www-authenticate': 'Bearer' });
    if (path === '/metrics')
      return text(200, metricsText(this.#deps.queue, this.#deps.worker, this.#answers));
    const body = await bodyOf(request, this.#deps.bodyMs);
    if (body === undefined) return text(408, 'the body came too slowly or was too large');
    try {
      return path === '/publish' ? this.#publish(body) : this.#events(body);
    } catch (error) {
      if (error instanceof JsonRefused) return text(400, `the body cannot be read: ${error.message}`);
      throw error;
    }
  }

  #publish(body: Uint8Array): Response {
    const asked = readPublishRequest(body);
    const wishes = wishesOf(this.#deps.settings.allow, asked);
    if (wishes === undefined) return text(400, 'repository, tag or digest has not the form of one');
    if (wishes.length === 0) return text(403, 'the settings of the publisher do not allow this repository');
    if (!wishes.every((wish) => this.#deps.queue.add(wish))) return full();
    this.#deps.worker.wake();
    return Response.json({ digest: asked.digest, status: 'queued' }, { status: 202 });
  }

  /**
   * Events that are not for the agent are answered as accepted: a registry sends a refused notification again and again,
   * and no other one before it.
   */
  #events(body: Uint8Array): Response {
    const { settings, queue, worker } = this.#deps;
    const told = readNotification(body);
    let queued = 0;
    for (const asked of told) {
      const wishes = wishesOf(settings.allow, asked) ?? [];
      if (!wishes.every((wish) => queue.add(wish))) return full();
      if (wishes.length > 0) queued += 1;
      else this.#logRefusal('event', asked.repository.slice(0, 100), 403);
    }
    worker.wake();
    return Response.json({ queued, ignored: told.length - queued }, { status: 202 });
  }

  /** The word of a client of 2017, or JSON. Reasons name registries and directories, so they need the token. */
  #status(digest: string, request: Request, trusted: boolean): Response {
    const jobs = this.#deps.queue.of(digest);
    const state = stateOf(jobs);
    if (!(request.headers.get('accept') ?? '').includes('application/json')) return text(200, WORDS[state]);
    if (!trusted) return text(401, 'the token is missing or wrong', { 'www-authenticate': 'Bearer' });
    const images = jobs.map(({ registry, repository, tag, state: of, attempts, reason }) => ({
      image: `${registry}/${repository}:${tag}`,
      state: of,
      attempts,
      ...(reason !== undefined && of !== 'done' && { reason }),
    }));
    return Response.json({ digest, state, images });
  }

  #logRefusal(method: string, path: string, status: number): void {
    const minute = Math.floor(Date.now() / 60_000);
    if (minute !== this.#minute) [this.#minute, this.#logged] = [minute, 0];
    this.#logged += 1;
    if (this.#logged <= LOGGED_PER_MINUTE)
      this.#deps.log.info('publisher-request-refused', { method, path: path.slice(0, 200), status });
  }
}

const KNOWN: ReadonlySet<string> = new Set(['GET /metrics', 'POST /publish', 'POST /events']);

/** A failed publication is unknown to a client that knows three words: it asks again until its own deadline. */
const WORDS = {
  queued: 'publishing',
  publishing: 'publishing',
  done: 'done',
  failed: 'unknown',
  unknown: 'unknown',
};

/** An image is done when all its names are, and failed when one is and none is under way. */
function stateOf(jobs: readonly Job[]): keyof typeof WORDS {
  for (const state of ['publishing', 'queued', 'failed', 'done'] as const)
    if (jobs.some((job) => job.state === state)) return state;
  return 'unknown';
}

/** The whole body; undefined when it does not come in time. The server itself cuts it at its limit. */
async function bodyOf(request: Request, ms: number): Promise<Uint8Array | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(resolve, ms, undefined);
  try {
    return await Promise.race([promise, request.bytes().catch(() => undefined)]);
  } finally {
    clearTimeout(timer);
  }
}

function full(): Response {
  return text(503, 'the queue of the publisher is full', { 'retry-after': '60' });
}

function text(status: number, words: string, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(words, {
    status,
    headers: { 'content-type': 'text/plain; charset=utf-8', ...headers },
  });
}
