import { parseAddress } from './address.ts';

/** What is used of a server's certificate, as `node:tls` describes it. */
export interface PeerCertificate {
  /** `DNS:a.example, IP Address:10.0.0.1`; values that hold a comma or a quote are quoted and escaped. */
  readonly subjectaltname?: string;
}

/** Names of the errors that `checkNames` returns, for whoever turns them into sentences. */
export const NO_ALTERNATIVE_NAME = 'CERT_WITHOUT_ALTERNATIVE_NAME';
const OTHER_NAME = 'ERR_TLS_CERT_ALTNAME_INVALID';

/**
 * Whether a certificate is for `host`, as Go decides since 1.15: by its subject alternative names only. OpenSSL's check,
 * the runtime's own, falls back to the common name where a certificate has none of the kind.
 */
export function checkNames(host: string, { subjectaltname = '' }: PeerCertificate): Error | undefined {
  const names = subjectaltname.split(', ');
  const valuesOf = (kind: string) =>
    names.filter((name) => name.startsWith(kind)).map((name) => name.slice(kind.length));
  const hosts = valuesOf('DNS:');
  const addresses = valuesOf('IP Address:');
  if (hosts.length + addresses.length === 0) {
    return fault(NO_ALTERNATIVE_NAME, 'the certificate has no subject alternative name');
  }
  const wanted = parseAddress(host);
  const fits =
    wanted === undefined
      ? hosts.some((pattern) => matches(pattern.toLowerCase(), host.toLowerCase().replace(/\.$/, '')))
      : addresses.some((address) => parseAddress(address)?.toString() === wanted.toString());
  return fits ? undefined : fault(OTHER_NAME, 'the certificate names another host');
}

/** RFC 6125 6.4.3: `*` stands for the whole of the first label. */
function matches(pattern: string, host: string): boolean {
  if (!pattern.startsWith('*.')) return pattern === host;
  const dot = host.indexOf('.');
  // `*.com` is nobody's; the runtime's own check says no to it too.
  return dot > 0 && pattern.indexOf('.', 2) > 0 && host.slice(dot) === pattern.slice(1);
}

function fault(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
