/** The `trust:` part of graft's own settings. */

/** As `settings.schema.json` admits it. */
export interface TrustFile {
  readonly policy?: string;
  readonly registries_d?: string;
  readonly accept_unverified_layers?: readonly string[];
}

export interface TrustSettings {
  /** The path of a policy.json. */
  readonly policy: string;
  /** A directory of containers-registries.d(5); one that does not exist is empty. */
  readonly registriesD: string;
  /** CVMFS repositories whose layers are used although a signature is demanded. */
  readonly acceptUnverifiedLayers: readonly string[];
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
  };
}
