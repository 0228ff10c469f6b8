/** The `trust:` part of graft's own settings. */
import type { CertificateIdentity, TextRule } from './policy/requirement.ts';

/** As `settings.schema.json` admits it. */
export interface TrustFile {
  readonly policy?: string;
  readonly registries_d?: string;
  readonly accept_unverified_layers?: readonly string[];
  readonly identities?: Readonly<Record<string, readonly IdentityFile[]>>;
  readonly accept_unnamed_bundles?: readonly string[];
}

interface IdentityFile {
  readonly issuer: string;
  readonly uri: string;
}

export interface TrustSettings {
  /** The path of a policy.json. */
  readonly policy: string;
  /** A directory of containers-registries.d(5); one that does not exist is empty. */
  readonly registriesD: string;
  /** CVMFS repositories whose layers are used although a signature is demanded. */
  readonly acceptUnverifiedLayers: readonly string[];
  /** Whom certificates of CI systems may name, by scope. The most specific scope of an image counts alone. */
  readonly identities: ReadonlyMap<string, readonly CertificateIdentity[]>;
  /** Scopes whose images may be signed by a bundle, in which no name of the image is. */
  readonly unnamedBundles: readonly string[];
}

/** Where skopeo and podman have it. */
const REGISTRIES_D = '/etc/containers/registries.d';

/** Undefined without a policy: every image may run. */
export function trustSettings(file: TrustFile | undefined): TrustSettings | undefined {
  if (file?.policy === undefined) return undefined;
  return {
    policy: file.policy,
    registriesD: file.registries_d ?? REGISTRIES_D,
    acceptUnverifiedLayers: file.accept_unverified_layers ?? [],
    identities: new Map(
      Object.entries(file.identities ?? {}).map(([scope, list]) => [scope, list.map(identity)]),
    ),
    unnamedBundles: file.accept_unnamed_bundles ?? [],
  };
}

function identity({ issuer, uri }: IdentityFile): CertificateIdentity {
  return { issuer: rule(issuer), uri: rule(uri) };
}

/** A text with a star is a pattern. */
function rule(text: string): TextRule {
  return text.includes('*') ? { pattern: text } : { equals: text };
}
