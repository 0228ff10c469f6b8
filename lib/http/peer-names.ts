import { parseAddress } from './address.ts';

/** The part of a server's certificate that is checked, as `node:tls` describes it. */
export interface PeerCertificate {
  /** `DNS:a.example, IP Address:10.0.0.1`; values that hold a comma or a quote are quoted and escaped. */
  readonly subjectaltname?: string;
}

/** The codes of the errors that `checkNames` returns; `failure.ts` turns them into reasons. */
export const NO_ALTERNATIVE_NAME = 'CERT_WITHOUT_ALTERNATIVE_NAME';
const OTHER_NAME = 'ERR_TLS_CERT_ALTNAME_INVALID';

/**
 * Checks that a certificate names `host`, as Go does since 1.15: by its subject alternative names only. The runtime's own
 * check, OpenSSL's, accepts the common name of a certificate that has no alternative names.
 * @returns undefined when it does, else an error with a code
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
  const address = parseAddress(host);
  const fits =
    address === undefined
      ? hosts.some((pattern) => matches(pattern.toLowerCase(), host.toLowerCase().replace(/\.$/, '')))
      : addresses.some((named) => parseAddress(named)?.toString() === address.toString());
  return fits ? undefined : fault(OTHER_NAME, 'the certificate names another host');
}

/** RFC 6125 6.4.3: `*` stands for the whole of the first label. */
function matches(pattern: string, host: string): boolean {
  if (!pattern.startsWith('*.')) return pattern === host;
  const dot = host.indexOf('.');
  // `*.com` names no host of a single owner; the runtime's own check refuses it too.
  return dot > 0 && pattern.indexOf('.', 2) > 0 && host.slice(dot) === pattern.slice(1);
}

function fault(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
