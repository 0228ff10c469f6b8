import type { ProxySettings } from './proxy.ts';

/** Settings of HTTP connections as typed values, whoever is asked over them. */
export interface HttpPolicy {
  readonly userAgent: string;
  /** By exact `host[:port]`. */
  readonly hosts: Readonly<Record<string, HostTls>>;
  /** Directories with one directory of certificates per `host[:port]`; the first that has one for a host holds. */
  readonly certsDirs: readonly string[];
  readonly roots: RootsPolicy;
  readonly proxies: ProxySettings;
  readonly deadlines: Deadlines;
  /** Nothing that proves who asks is sent: what an image names must not be fetched as the cell. */
  readonly anonymous?: true;
}

/** TLS material of one host. */
export interface HostTls {
  /** PEM files of authorities that are trusted for this host, beside the system's. */
  readonly ca: readonly string[];
  readonly client: { readonly certificate: string; readonly key: string } | undefined;
}

/** As in Go's crypto/x509, for which operators set SSL_CERT_FILE and SSL_CERT_DIR. */
export interface RootsPolicy {
  readonly file: string | undefined;
  /** Colon-separated directories. */
  readonly directories: string | undefined;
}

/** All in milliseconds. What waits on a system call of the local disk is not covered by any. */
export interface Deadlines {
  /** Without an answer for so long, one TCP connection tells a slow registry from an absent one. */
  readonly connectMs: number;
  /** From the request to the header of its answer. */
  readonly answerMs: number;
  /** Without one byte of a body. */
  readonly idleMs: number;
  /** A body that brings less than `slowBytesPerSecond` on average over `slowWindowMs` counts as stuck. */
  readonly slowWindowMs: number;
  readonly slowBytesPerSecond: number;
  /** The whole of one image, from the first request to the last byte. */
  readonly totalMs: number | undefined;
}
