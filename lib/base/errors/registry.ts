/** Errors between graft and a registry. `registry` is host[:port], never a URL with userinfo. */
export interface RegistryErrors {
  REGISTRY_UNREACHABLE: { registry: string; reason: string };
  /** No known authority has signed the registry's certificate. */
  REGISTRY_UNTRUSTED: { registry: string; reason: string };
  /** A known authority has signed the certificate, but it is not valid: another name, expired … */
  REGISTRY_CERTIFICATE: { registry: string; reason: string };
  /** The TLS handshake failed, often because the registry requires a client certificate. */
  REGISTRY_HANDSHAKE: { registry: string; reason: string };
  REGISTRY_PLAIN_HTTP: { registry: string };
  REGISTRY_UNAUTHORIZED: { registry: string; repository: string; reason: string };
  REGISTRY_BAD_CREDENTIALS: { registry: string; reason: string };
  REGISTRY_DENIED: { registry: string; repository: string; reason: string };
  REGISTRY_NOT_FOUND: {
    registry: string;
    repository: string;
    /** Tag or digest. */
    reference: string;
    what: 'manifest' | 'blob';
    reason: string;
  };
  REGISTRY_RATE_LIMITED: {
    registry: string;
    reason: string;
    /** `100 pulls in 6 hours`, where the registry says so. */
    limit: string | undefined;
    retryAfterSeconds: number | undefined;
  };
  REGISTRY_ERROR: { registry: string; status: number; reason: string };
  REGISTRY_BODY_TOO_LARGE: { registry: string; what: string; limit: number };
  REGISTRY_BAD_RESPONSE: { registry: string; reason: string };
  REGISTRY_BAD_CHALLENGE: { registry: string; reason: string };
  REGISTRY_REDIRECT: { registry: string; reason: string };
  REGISTRY_DEADLINE: { registry: string; step: string; seconds: number };
  /** The operator blocks the registry. `by`: the file with that setting. */
  REGISTRY_BLOCKED: { registry: string; by: string };
  REGISTRY_NOT_PINNED: { reference: string };
  REGISTRY_HELPER: { helper: string; registry: string; reason: string };
  /** `proxy` is host[:port] without userinfo. */
  REGISTRY_PROXY: { registry: string; proxy: string; reason: string };
  /** A registry must not send us to this address. */
  REGISTRY_ADDRESS: { registry: string; host: string; address: string; what: string };
}
