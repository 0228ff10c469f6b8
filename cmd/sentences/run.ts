import type { RunErrors } from '../../lib/base/errors/run.ts';
import { printable } from '../../lib/base/text.ts';
import { graft } from './words.ts';

/** The sentences of `run` and `spec`. */
export const runSentences: { [C in keyof RunErrors]: (s: RunErrors[C]) => string } = {
  RUN_NO_RUNTIME: (s) =>
    s.runtime === undefined
      ? `no container runtime was found in ${printable(s.searched)}; install runc, or name one with --runtime`
      : `the runtime ${printable(s.runtime)} was not found in ${printable(s.searched)}; name a program with --runtime`,
  RUN_NO_COMMAND: (s) =>
    `the image ${printable(s.image)} names no command; give one after two dashes: -- /bin/sh`,
  RUN_COMMAND_MISSING: (s) =>
    `the command ${printable(s.command)} is not in the image (looked for in ${printable(s.searched)}); give another one ` +
    'after two dashes',
  RUN_COMMAND_NOT_EXECUTABLE: (s) =>
    `the command ${printable(s.command)} cannot be executed: ${s.reason}; give another one after two dashes`,
  RUN_NOT_STARTED: (s) =>
    `${printable(s.runtime)} ended with exit code ${s.exitCode} before the process was started; its reason is above`,
  RUN_NOT_MOUNTED: (s) =>
    `the root filesystem ${printable(s.id)} is not mounted; after a reboot run ${graft(s.store, 'init-store --restore-mounts')}, ` +
    'and enter a container of create --without-mount with the runtime that mounted it',
  RUN_CONFIG: (s) =>
    `the configuration of ${printable(s.image)}, from which ${printable(s.id)} was made, cannot be read, so that the user of ` +
    `its process is unknown: ${printable(s.reason)}; bring the image back, or enter the container with its own runtime`,
};
