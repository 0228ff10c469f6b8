import { PluginError } from '../base/errors/error.ts';
import type { Verdict } from '../base/retry.ts';
import { oneLine } from '../base/text.ts';
import { NO_ALTERNATIVE_NAME } from './peer-names.ts';

/**
 * The kinds of failed exchanges:
 *  - `transient`: the same request may succeed in a moment (a reset, a 503, a deadline);
 *  - `limited`: the server says how long to wait;
 *  - `final`: the same request gives the same answer. Another mirror may still have the content.
 */
export type FailureKind = 'transient' | 'limited' | 'final';

/** A failed exchange. lib/http and lib/registry throw it to each other; other callers get its `error`. */
export class Failure extends Error {
  readonly kind: FailureKind;
  readonly error: PluginError;
  /** From `Retry-After`, milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(kind: FailureKind, error: PluginError, retryAfterMs?: number) {
    super(error.code, { cause: error });
    this.kind = kind;
    this.error = error;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The error for callers outside lib/http and lib/registry, which have no use for the kind of a failure. */
export function asPluginError(error: unknown): unknown {
  return error instanceof Failure ? error.error : error;
}

/** Whether the same request is worth another attempt, and after how many milliseconds at the earliest. */
export function verdict(error: unknown, retryAfterMaxMs: number): Verdict {
  if (!(error instanceof Failure) || error.kind === 'final') return 'stop';
  const afterMs = error.retryAfterMs ?? 0;
  return afterMs > retryAfterMaxMs ? 'stop' : { afterMs };
}

/** Errors of an unknown authority, a self-made CA for instance (verify(1), X509_V_ERR_*). */
const UNKNOWN_AUTHORITY = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'CERT_UNTRUSTED',
]);

const CERTIFICATE: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it is not valid yet (or the clock here is wrong)',
  CERT_REVOKED: 'it was revoked',
  CERT_CHAIN_TOO_LONG: 'its chain is too long',
  CERT_SIGNATURE_FAILURE: 'its signature is wrong',
  CERT_REJECTED: 'it is rejected',
  INVALID_CA: 'an authority in its chain may not sign certificates',
  INVALID_PURPOSE: 'it is not meant for servers',
  PATH_LENGTH_EXCEEDED: 'its chain is longer than its authority allows',
  HOSTNAME_MISMATCH: 'it names another host',
  ERR_TLS_CERT_ALTNAME_INVALID: 'it names another host',
  [NO_ALTERNATIVE_NAME]: 'it has no subject alternative name, and its common name does not count',
};

/** The runtime's codes for an answer that is no HTTP. */
const GARBLED: Readonly<Record<string, string>> = {
  InvalidContentLength: 'its answer has no usable Content-Length, or several that differ',
  Malformed_HTTP_Response: 'its answer is not HTTP',
  InvalidHTTPResponse: 'its answer is not HTTP',
  UnsupportedTransferEncoding: 'its answer has an unknown Transfer-Encoding',
};

/** Codes of transient errors, with their meaning in words. */
const TRANSIENT: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was closed before the answer was complete',
  ConnectionClosed: 'the connection was closed before the answer was complete',
  ECONNABORTED: 'the connection was aborted',
  EPIPE: 'the connection was closed',
  EHOSTUNREACH: 'no route to the host',
  EHOSTDOWN: 'the host is down',
  ENETUNREACH: 'the network is unreachable',
  ETIMEDOUT: 'the connection timed out',
  EAI_AGAIN: 'the name service has no answer at the moment',
  ETIMEOUT: 'the name service has no answer at the moment',
  ESERVFAIL: 'the name service failed',
  EAI_FAIL: 'the name service failed',
};

const NAMELESS = new Set(['ENOTFOUND', 'ENODATA', 'ENONAME', 'EAI_NODATA', 'EAI_NONAME']);

/** Makes a failure of an error that `fetch` threw. `registry` is the host that was asked. */
export function networkFailure(error: unknown, registry: string, proxy: string | undefined): Failure {
  const code = codeOf(error);
  if (UNKNOWN_AUTHORITY.has(code)) {
    return new Failure(
      'final',
      new PluginError('REGISTRY_UNTRUSTED', { registry, reason: code }, { cause: error }),
    );
  }
  const certificate = CERTIFICATE[code];
  if (certificate !== undefined) {
    return new Failure(
      'final',
      new PluginError('REGISTRY_CERTIFICATE', { registry, reason: certificate }, { cause: error }),
    );
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL') || code === 'ERR_TLS_HANDSHAKE') {
    const reason = 'the TLS handshake failed';
    return new Failure(
      'final',
      new PluginError('REGISTRY_HANDSHAKE', { registry, reason }, { cause: error }),
    );
  }
  const garbled = GARBLED[code];
  if (garbled !== undefined) {
    const subject = { registry, reason: garbled };
    return new Failure('final', new PluginError('REGISTRY_BAD_RESPONSE', subject, { cause: error }));
  }
  if (code === 'ERR_PROXY_TUNNEL') return proxyFailure(error, registry, proxy ?? '');
  const transient = TRANSIENT[code];
  const through = proxy === undefined ? '' : ` (through the proxy ${proxy})`;
  const reason = NAMELESS.has(code)
    ? 'its name is not known to the name service'
    : (transient ?? describe(error));
  return new Failure(
    transient === undefined ? 'final' : 'transient',
    new PluginError('REGISTRY_UNREACHABLE', { registry, reason: `${reason}${through}` }, { cause: error }),
  );
}

/** A proxy that answers 5xx to CONNECT often means that it cannot reach the host at the moment. */
function proxyFailure(error: unknown, registry: string, proxy: string): Failure {
  const reason = describe(error).replace(/^Proxy refused to open a tunnel: /, 'it answers ');
  const kind = /\b50[234]\b/.test(reason) ? 'transient' : 'final';
  return new Failure(kind, new PluginError('REGISTRY_PROXY', { registry, proxy, reason }, { cause: error }));
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  // Errors of the name service have a prefix when `Bun.dns.lookup` throws them.
  return typeof code === 'string' ? code.replace(/^DNS_/, '') : '';
}

function describe(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return oneLine(text.replace(/For more information, pass `verbose: true`.*$/, '').trim(), 200);
}
