/** Errors of `run` and `spec`, which start a process in a root filesystem by hand. */
export interface RunErrors {
  /** No runtime: `runtime` is the program that was asked for, undefined where none was named. */
  RUN_NO_RUNTIME: { runtime: string | undefined; searched: string };
  /** Neither the image nor the command line names a command. */
  RUN_NO_COMMAND: { image: string };
  RUN_COMMAND_MISSING: { command: string; searched: string };
  RUN_COMMAND_NOT_EXECUTABLE: { command: string; reason: string };
  /** The runtime ended before the process was started; it has written its reason to stderr. */
  RUN_NOT_STARTED: { runtime: string; exitCode: number };
  /** The root filesystem is not mounted here: its caller mounts it, or the machine was booted since. */
  RUN_NOT_MOUNTED: { id: string; store: string };
  /** The configuration of a container's image cannot be read, so that its user is unknown. */
  RUN_CONFIG: { id: string; image: string; reason: string };
}
