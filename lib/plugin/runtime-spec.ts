import type { ImageConfig } from '../oci/config.ts';

/** The part of an OCI runtime specification (config.md of runtime-spec) that an image decides. */
export interface RuntimeSpec {
  readonly ociVersion: string;
  readonly process: {
    readonly user: ProcessUser;
    readonly args?: readonly string[];
    readonly env?: readonly string[];
    readonly cwd: string;
  };
  readonly root: { readonly path: string };
  readonly mounts?: readonly RuntimeMount[];
}

export interface RuntimeMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

export interface ProcessUser {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups; absent where there are none. */
  readonly additionalGids?: readonly number[];
}

/** GrootFS leaves it empty, which runc refuses; Garden reads neither. */
const OCI_VERSION = '1.0.2';

/**
 * Garden reads `root.path`, `process.env` and `mounts`; the command, user and working directory are for people
 * who merge this into a `runc spec`.
 */
export function runtimeSpec(
  rootfs: string,
  config: ImageConfig | undefined,
  user: ProcessUser,
  mounts: readonly RuntimeMount[] | undefined,
): RuntimeSpec {
  const args = [...(config?.entrypoint ?? []), ...(config?.cmd ?? [])];
  return {
    ociVersion: OCI_VERSION,
    process: {
      user,
      ...(args.length > 0 ? { args } : {}),
      ...(config && config.env.length > 0 ? { env: config.env } : {}),
      cwd: config?.workingDir.startsWith('/') ? config.workingDir : `/${config?.workingDir ?? ''}`,
    },
    root: { path: rootfs },
    ...(mounts ? { mounts } : {}),
  };
}
