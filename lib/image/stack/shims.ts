import { lstatSync } from 'node:fs';
import { type ByteName, bytesOf } from '../../base/bytes.ts';
import type { Steps } from '../../base/turns.ts';
import type { VolumeName } from '../../store/layout/layer-key.ts';
import { discardStaged, stageDirectory } from '../../store/layout/staging.ts';
import type { DirectoryAttributes } from '../../store/records/stacks.ts';
import type { Store } from '../../store/store.ts';
import { lgetxattr, llistxattr, mkdirAt, mknodAt, type Timespec } from '../../sys/kernel/files.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';
import { S } from '../../sys/kernel/stat.ts';
import { applyAttributes } from './attributes.ts';

export interface ShimDirectory {
  readonly name: ByteName;
  readonly attributes: () => DirectoryAttributes;
}

/**
 * Makes a shim of directories and of whiteouts in them, and renames it into place. In `directories`, parents come
 * first.
 */
export function* buildShim(
  store: Store,
  volume: VolumeName,
  directories: readonly ShimDirectory[],
  hidden: readonly ByteName[] = [],
): Steps<void> {
  const stage = stageDirectory(store.layout, 'shim');
  try {
    mkdirAt(AT_FDCWD, `${stage}/fs`, 0o755);
    for (const { name } of directories) {
      mkdirAt(AT_FDCWD, inTree(stage, name), 0o755);
      yield;
    }
    for (const name of hidden) {
      mknodAt(AT_FDCWD, inTree(stage, name), S.IFCHR);
      yield;
    }
    // The deepest directory comes first, since a new child changes its parent's time.
    for (const { name, attributes } of [...directories].reverse()) {
      applyAttributes(inTree(stage, name), attributes());
      yield;
    }
    store.layers.publishShim(stage, volume);
  } catch (error) {
    discardStaged(stage);
    throw error;
  }
}

function inTree(stage: string, name: ByteName): Uint8Array {
  return Buffer.concat([Buffer.from(`${stage}/fs/`), bytesOf(name)]);
}

/** Attributes of overlayfs describe how layers relate, not a directory. */
const OVERLAY = /^(trusted|user)\.overlay\./;

export function attributesOf(path: Uint8Array): DirectoryAttributes {
  const stat = lstatSync(path as Buffer, { bigint: true });
  const xattrs = llistxattr(path)
    .map((name) => Buffer.from(name).toString('latin1'))
    .filter((name) => !OVERLAY.test(name))
    .map((name): [string, string] => [name, Buffer.from(lgetxattr(path, name) ?? []).toString('base64')]);
  return {
    mode: Number(stat.mode) & 0o7777,
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    mtime: timespec(stat.mtimeNs),
    xattrs,
  };
}

function timespec(ns: bigint): Timespec {
  const billion = 1_000_000_000n;
  const nsec = ((ns % billion) + billion) % billion;
  return { sec: Number((ns - nsec) / billion), nsec: Number(nsec) };
}
