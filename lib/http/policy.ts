import type { ProxySettings } from './proxy.ts';

/** The settings of HTTP connections as typed values, for registries and for servers of layers. */
export interface HttpPolicy {
  readonly userAgent: string;
  /** By exact `host[:port]`. */
  readonly hosts: Readonly<Record<string, HostTls>>;
  /** Directories that contain a directory of certificates for each `host[:port]`. The first with one for a host counts. */
  readonly certsDirs: readonly string[];
  readonly roots: RootsPolicy;
  readonly proxies: ProxySettings;
  readonly deadlines: Deadlines;
  /**
   * Set for servers of layers that a layout names by URL: the operator's own blob stores. Each of them gets the client
   * certificate of this directory, and its certificate must have a subject alternative name.
   */
  readonly layerServers?: { readonly certificates: string | undefined };
  /** No client certificate is sent: a URL that an image names must not be fetched with the cell's rights. */
  readonly anonymous?: true;
}

/** The TLS settings of a host. */
export interface HostTls {
  /** PEM files of authorities that are trusted for this host, beside the system's. */
  readonly ca: readonly string[];
  readonly client: { readonly certificate: string; readonly key: string } | undefined;
}

/** The sources of the system's authorities. Operators set SSL_CERT_FILE and SSL_CERT_DIR as for Go's crypto/x509. */
export interface RootsPolicy {
  readonly file: string | undefined;
  /** Colon-separated directories. */
  readonly directories: string | undefined;
}

/** The deadlines of an exchange, in milliseconds. The time of system calls on the local disk does not count. */
export interface Deadlines {
  /** After this time without an answer, a TCP connection tells a slow server from one that is down. */
  readonly connectMs: number;
  /** The longest time from the request to the header of its answer. */
  readonly answerMs: number;
  /** The longest time without a byte of a body. */
  readonly idleMs: number;
  /** A body with less than `slowBytesPerSecond` on average over `slowWindowMs` counts as stuck. */
  readonly slowWindowMs: number;
  readonly slowBytesPerSecond: number;
  /** The longest time for a whole image, from the first request to the last byte. */
  readonly totalMs: number | undefined;
}
