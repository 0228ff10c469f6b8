import { PluginError } from '../../base/errors/error.ts';
import { printable } from '../../base/text.ts';
import { Failure } from '../../http/failure.ts';
import type { Answer } from '../../http/transport.ts';

/**
 * The URL at which an upload goes on (distribution-spec, "Pushing a blob in chunks"): absolute, relative, or on another
 * host. A registry behind a proxy that ends TLS often names itself with http; its own host then keeps its own scheme.
 * @param origin of the registry
 * @throws Failure REGISTRY_BAD_RESPONSE
 */
export function uploadAddress(answer: Answer, origin: URL): URL | undefined {
  const location = answer.headers.get('location');
  if (location === null || location === '') return undefined;
  const bad = (reason: string) =>
    new Failure('final', new PluginError('REGISTRY_BAD_RESPONSE', { registry: origin.host, reason }));
  const url = URL.parse(location, answer.url.href);
  if (url === null) throw bad(`the address of its upload is not a URL: ${printable(location)}`);
  if (url.hostname === origin.hostname && url.protocol === 'http:' && origin.protocol === 'https:') {
    // Without a port in its name, the registry means the one that it was reached at.
    if (url.port === '' || url.port === origin.port) return new URL(`${url.pathname}${url.search}`, origin);
  }
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && origin.protocol === 'http:'))
    throw bad(
      `the address of its upload would carry the image without TLS: ${printable(`${url.protocol}//${url.host}`)}`,
    );
  // An address must not choose credentials: `fetch` would make an Authorization header of the userinfo.
  url.username = '';
  url.password = '';
  url.hash = '';
  return url;
}

/** The address with the digest that completes the upload. The rest of the query stays as the registry wrote it. */
export function withDigest(address: URL, digest: string): URL {
  const url = new URL(address);
  url.search = `${url.search === '' ? '?' : `${url.search}&`}digest=${encodeURIComponent(digest)}`;
  return url;
}

/**
 * The number of bytes that the registry has of an upload; undefined without a usable header. `0-0` says nothing of one
 * byte: docker-registry writes it for none too.
 */
export function bytesTaken(answer: Answer): number | undefined {
  const match = /^(?:bytes=)?0-(\d{1,15})$/.exec(answer.headers.get('range') ?? '');
  if (!match) return undefined;
  const last = Number(match[1]);
  return last === 0 ? 0 : last + 1;
}

/** The smallest part that the registry takes (`OCI-Chunk-Min-Length`); the last part may be smaller. */
export function smallestChunk(answer: Answer): number {
  const text = answer.headers.get('oci-chunk-min-length') ?? '';
  return /^\d{1,15}$/.test(text) ? Number(text) : 0;
}

/** The status that a failure stands for; undefined for a failure of the network. */
export function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Failure)) return undefined;
  const { code, subject } = error.error;
  if (code === 'REGISTRY_NOT_FOUND') return 404;
  return code === 'REGISTRY_ERROR' ? (subject as { status: number }).status : undefined;
}

/** The content of a request, for its failure. */
export interface Sent {
  readonly repository: string;
  readonly what: string;
  /** Of a manifest. */
  readonly mediaType?: string;
}

/** The statuses with which registries refuse the content of a manifest. */
const ABOUT_MANIFEST: ReadonlySet<number | undefined> = new Set([400, 404, 415, 422]);

/** The error for the caller, in words about a push. */
export function pushError(error: unknown, { repository, what, mediaType }: Sent): unknown {
  if (!(error instanceof Failure)) return error;
  const { registry = '', reason = '' } = error.error.subject as { registry?: string; reason?: string };
  const status = statusOf(error);
  if (mediaType !== undefined && ABOUT_MANIFEST.has(status))
    return new PluginError('PUSH_MANIFEST_REFUSED', { registry, repository, mediaType, reason });
  if (status !== undefined && (status < 500 || status === 507))
    return new PluginError('PUSH_REFUSED', { registry, repository, what, status, reason });
  if (error.error.code === 'REGISTRY_DENIED')
    return new PluginError('PUSH_DENIED', { registry, repository, reason });
  if (error.error.code === 'REGISTRY_RATE_LIMITED') {
    const { retryAfterSeconds } = error.error.subject as { retryAfterSeconds: number | undefined };
    return new PluginError('PUSH_RATE_LIMITED', { registry, reason, retryAfterSeconds });
  }
  return error.error;
}
