import type { ImageConfig } from '../oci/config.ts';

/** The fields of an OCI runtime specification (config.md of runtime-spec) that come from the image. */
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
  /** Supplementary groups; absent when there are none. */
  readonly additionalGids?: readonly number[];
}

/** GrootFS leaves this field empty, and runc refuses an empty one. Garden does not read it. */
const OCI_VERSION = '1.0.2';

/**
 * Builds the runtime specification. Garden reads `root.path`, `process.env` and `mounts`. The command, the user and
 * the working directory are for operators who merge the output into a `runc spec`.
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
