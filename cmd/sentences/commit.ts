import type { CommitEntryReason, CommitErrors } from '../../lib/base/errors/commit.ts';
import { printable } from '../../lib/base/text.ts';
import { bytesInWords, graft } from './words.ts';

/** The sentences of `graft commit`. */
export const commitSentences: { [C in keyof CommitErrors]: (s: CommitErrors[C]) => string } = {
  COMMIT_ENTRY: (s) => `${s.path} in the container ${ENTRY[s.reason] ?? 'cannot be in a layer'}`,
  COMMIT_ID: (s) =>
    `${s.path} in the container belongs to the ${s.kind} ${s.id} of this machine, which is no id of the container; ` +
    'change its owner inside the container',
  COMMIT_CHANGED: (s) =>
    `${s.path} in the container changed while it was read, so no image was made; stop the container and commit again, or ` +
    'keep the store on XFS with reflinks, where running containers are read from a snapshot',
  COMMIT_TOO_LARGE: (s) =>
    `the container has more than ${s.what === 'bytes' ? bytesInWords(s.limit) : `${s.limit} ${s.what}`}, which graft could ` +
    'not unpack again; look for large sparse files in it',
  COMMIT_BASE: (s) =>
    `the layers of ${printable(s.image)}, from which the container was made, cannot be had: ${printable(s.reason)}; commit ` +
    'with --squash makes one layer of the whole tree instead',
  COMMIT_CHANGE: (s) => `--change '${s.change}' is not understood: ${s.reason}`,
  COMMIT_TARGET: (s) => `no image can be written to '${printable(s.target)}': ${s.reason}`,
  COMMIT_TARGET_FULL: (s) =>
    `the disk of ${printable(s.path)} is full; no image was made, make room there or name another directory`,
  COMMIT_NOT_MOUNTED: (s) =>
    `the container ${s.id} is not mounted, and its layers on CVMFS are only readable through its mount; run ` +
    `\`${graft(s.store, 'init-store --restore-mounts')}\` and commit again`,
};

const ENTRY: Readonly<Record<CommitEntryReason, string>> = {
  'whiteout-name':
    'has a name that begins with .wh., which in a layer means that another file is deleted; rename or remove it and ' +
    'commit again',
  'deleted-name':
    'was deleted, and its name is longer than the 251 bytes that a layer has for names of deleted files; commit with ' +
    '--squash instead',
  'long-path':
    'has a path longer than 32768 bytes, which graft could not unpack again; remove it or move it up',
  attributes:
    'has extended attributes that a layer cannot hold: more than 128, more than 512 KiB, or a name with = in it; remove ' +
    'some of them',
  redirect:
    'is a renamed directory whose content overlayfs left in a lower layer, since the container was mounted with ' +
    'redirect_dir=on; commit with --squash instead',
  metacopy:
    'has only its attributes in the upper directory, since the container was mounted with metacopy=on; commit with ' +
    '--squash instead',
};
