import type { RegistryErrors } from '../../lib/base/errors/registry.ts';
import { printable } from '../../lib/base/text.ts';

/** The name of the settings for registries in sentences. */
const SETTINGS = 'registries: in the extra settings';

/**
 * The exact sentence of GrootFS, which operators' tests compare whole. The log (`registry-untrusted`) has further advice,
 * above all to trust the registry's CA.
 */
const INSECURE =
  'This registry is insecure. To pull images from this registry, please use the --insecure-registry option.';

export const registrySentences: { [C in keyof RegistryErrors]: (s: RegistryErrors[C]) => string } = {
  REGISTRY_UNREACHABLE: (s) =>
    `cannot reach the registry ${s.registry}: ${s.reason}; check its name, and the network and proxies of this machine`,
  REGISTRY_UNTRUSTED: () => INSECURE,
  REGISTRY_PLAIN_HTTP: () => INSECURE,
  REGISTRY_CERTIFICATE: (s) =>
    `the certificate of ${s.registry} cannot be trusted: ${s.reason}; have it renewed or reissued`,
  REGISTRY_HANDSHAKE: (s) =>
    `no TLS connection to ${s.registry}: ${s.reason}; if it wants a client certificate, put client.cert and ` +
    `client.key into /etc/docker/certs.d/${s.registry}, or set client_certificate and client_key under hosts: of ${SETTINGS}`,
  REGISTRY_UNAUTHORIZED: (s) =>
    `${s.registry}/${s.repository} does not exist or you do not have permissions to see it: requested access to ` +
    `the resource is denied (${s.reason}); give credentials with --username and --password, or a docker_config ` +
    `under ${SETTINGS}`,
  REGISTRY_BAD_CREDENTIALS: (s) =>
    `unable to retrieve auth token: invalid username/password: ${s.registry} says: ${s.reason}; check the ` +
    'credentials of the app or space, or log in again',
  REGISTRY_DENIED: (s) =>
    `${s.registry}/${s.repository}: requested access to the resource is denied${unlessSaid(s.reason)}; check the ` +
    'name, and that the account may pull it',
  REGISTRY_NOT_FOUND: (s) =>
    `reading ${s.what} ${printable(s.reference)} in ${s.registry}/${s.repository}: ${s.reason}; check name and tag`,
  REGISTRY_RATE_LIMITED: (s) =>
    `${s.registry} limits how much may be pulled${s.limit === undefined ? '' : ` (${s.limit})`}: ${s.reason}; ` +
    `${retryIn(s.retryAfterSeconds)}, give credentials with a higher limit, or set up a mirror under ${SETTINGS}`,
  REGISTRY_ERROR: (s) =>
    `${s.registry} answers with status ${s.status}: ${s.reason}; try again, or ask who runs the registry`,
  REGISTRY_BODY_TOO_LARGE: (s) =>
    `${s.registry} sends ${s.what} of more than the ${s.limit} bytes allowed; check that the image's name is right, or ask who runs the registry`,
  REGISTRY_BAD_RESPONSE: (s) =>
    `${s.registry} does not answer as a registry does: ${s.reason}; check the host in the image's name`,
  REGISTRY_BAD_CHALLENGE: (s) => `cannot log in to ${s.registry}: ${s.reason}; ask who runs the registry`,
  REGISTRY_REDIRECT: (s) =>
    `${s.registry} sends a redirect that is not followed: ${s.reason}; ask who runs the registry`,
  REGISTRY_DEADLINE: (s) =>
    `${s.registry}: waited ${s.seconds} s for ${s.step}; try again, or raise timeouts: under ${SETTINGS}`,
  REGISTRY_BLOCKED: (s) =>
    `images from ${s.registry} are blocked by ${s.by}; use another registry, or ask for it there`,
  REGISTRY_NOT_PINNED: (s) =>
    `${s.reference} is not pinned: only images named by digest are allowed here (require-digest); write ` +
    'name@sha256:… , which docker, podman and skopeo inspect print',
  REGISTRY_HELPER: (s) =>
    `cannot get the credentials for ${s.registry} from ${s.helper}: ${s.reason}; run it by hand: echo ${s.registry} | ` +
    `${s.helper} get`,
  REGISTRY_PROXY: (s) =>
    `the proxy ${s.proxy} does not connect to ${s.registry}: ${s.reason}; check its rules and credentials, or name ` +
    'the registry in NO_PROXY',
  // The sentence has no address: the user who wrote the name must not learn addresses of the cell's network.
  REGISTRY_ADDRESS: (s) =>
    `${s.registry} leads to ${s.host} (${s.what}), whose address lies further inside than the registry itself; if ` +
    `that is right, list the host under private_hosts of ${SETTINGS}`,
};

/** The reason in brackets; empty where the registry's own text has these words already, as most have. */
function unlessSaid(reason: string): string {
  return reason.includes('requested access to the resource is denied') ? '' : ` (${reason})`;
}

function retryIn(seconds: number | undefined): string {
  if (seconds === undefined) return 'try again later';
  if (seconds < 120) return `try again in ${seconds} seconds`;
  if (seconds < 7200) return `try again in ${Math.ceil(seconds / 60)} minutes`;
  return `try again in ${Math.ceil(seconds / 3600)} hours`;
}
