/**
 * CernVM-FS without CernVM-FS: a published tree in a squashfs image whose root carries the client's magic
 * attributes, served by squashfuse_ll as `cvmfs2` would serve it. What a consumer can ask is answered alike
 * (test/cvmfs/README.md says what was compared). Faults are the real ones: a stopped server hangs its callers,
 * a killed one leaves ENOTCONN, a cut image EIO.
 */
import { existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lsetxattr } from '../../../lib/sys/kernel/files.ts';
import { isMountRoot } from '../../../lib/sys/mounts/mountinfo.ts';
import { must, PROJECT } from '../shell.ts';
import { mountPointsBelow } from '../temp.ts';

/** How the probing child is started in unit tests, from source. The compiled program is `dist/graft __probe`. */
export const PROBE_COMMAND: readonly string[] = [
  process.execPath,
  join(PROJECT, 'test/support/cvmfs/probe-child.ts'),
];

export const ROOT_HASH = '0123456789abcdef0123456789abcdef01234567';

export interface Magic {
  readonly fqrn: string;
  readonly revision?: string;
  readonly root_hash?: string;
  readonly expires?: string;
  readonly nioerr?: string;
  readonly timestamp_last_ioerr?: string;
}

/** Sets the attributes that a client answers on the root of its mount; `undefined` in `magic` leaves one out. */
export function setMagic(tree: string, magic: Magic): void {
  const all = {
    revision: '42',
    root_hash: ROOT_HASH,
    version: '2.12.0.0',
    expires: '3',
    nioerr: '0',
    ...magic,
  };
  for (const [name, value] of Object.entries(all)) {
    if (value !== '') lsetxattr(tree, `user.${name}`, Buffer.from(value));
  }
}

/** A served repository. Dispose of it in the order opposite to mounting. */
export interface StandIn extends AsyncDisposable {
  readonly mount: string;
  readonly image: string;
  readonly pid: number;
  /** From now on every caller hangs. */
  stop(): void;
  /** Ends a hang. */
  resume(): void;
  /** ENOTCONN for everybody, the mount stays. */
  kill(): Promise<void>;
  /** Cuts the image: EIO for what lay behind. */
  truncate(bytes: number): void;
  /** Bytes the server has read from its image (its I/O counters). */
  bytesRead(): number;
}

/** Packs `tree` uncompressed: tests cut it at known places, and packing is quick. */
export async function packTree(tree: string, image: string): Promise<void> {
  const plain = ['-noI', '-noD', '-noF', '-noX', '-no-progress', '-quiet', '-xattrs', '-noappend'];
  await must('mksquashfs', [tree, image, ...plain]);
}

/** Serves an image at `mount`, which is made. */
export async function serveImage(image: string, mount: string): Promise<StandIn> {
  mkdirSync(mount, { recursive: true });
  const options = 'allow_other,ro,nodev,nosuid,fsname=cvmfs2';
  return serve(['squashfuse_ll', '-f', '-o', options, image, mount], image, mount);
}

/** A view of `source` as `cvmfs2` would serve it, whose content changes when the source's does. */
export async function serveDirectory(source: string, mount: string): Promise<StandIn> {
  mkdirSync(mount, { recursive: true });
  const options = 'allow_other,ro,nodev,nosuid,fsname=cvmfs2,attr_timeout=0,entry_timeout=0';
  return serve(['bindfs', '-f', '-o', options, source, mount], source, mount);
}

/**
 * The hang that no signal ends: a server whose image is a file on another FUSE mount, and that one's server is stopped.
 * The inner server then waits in the kernel for the outer one, and whoever asks the inner one waits for it in turn.
 */
export async function serveImageOnFuse(image: string, mount: string, work: string): Promise<StandIn> {
  const nest = join(work, 'nest');
  mkdirSync(nest, { recursive: true });
  await must('cp', ['--reflink=auto', image, join(nest, 'inner.sqfs')]);
  await packTree(nest, join(work, 'outer.sqfs'));
  const outer = await serveImage(join(work, 'outer.sqfs'), join(work, 'outer'));
  const inner = await serveImage(join(work, 'outer/inner.sqfs'), mount);
  return {
    ...inner,
    stop: () => {
      outer.stop();
      // What is cached is answered by the kernel: pages, names and attributes of both file systems.
      writeFileSync('/proc/sys/vm/drop_caches', '3');
    },
    resume: outer.resume,
    [Symbol.asyncDispose]: async () => {
      outer.resume();
      await inner[Symbol.asyncDispose]();
      await outer[Symbol.asyncDispose]();
    },
  };
}

const MOUNT_DEADLINE_MS = 120_000;

async function serve(command: string[], image: string, mount: string): Promise<StandIn> {
  const child = Bun.spawn(command, { stdin: 'ignore', stdout: 'ignore', stderr: 'pipe', detached: true });
  const deadline = performance.now() + MOUNT_DEADLINE_MS;
  while (!isMountRoot(mount)) {
    if (child.exitCode !== null || performance.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error(`${command.join(' ')} does not mount: ${await new Response(child.stderr).text()}`);
    }
    await Bun.sleep(5);
  }
  const end = async () => {
    child.kill('SIGCONT');
    child.kill('SIGKILL');
    await child.exited;
  };
  return {
    mount,
    image,
    pid: child.pid,
    stop: () => process.kill(child.pid, 'SIGSTOP'),
    resume: () => child.kill('SIGCONT'),
    kill: end,
    truncate: (bytes) => truncateSync(image, bytes),
    bytesRead: () => readBytesOf(child.pid),
    [Symbol.asyncDispose]: async () => {
      await end();
      if (mountPointsBelow(mount).length > 0) await must('umount', ['-l', mount]);
    },
  };
}

/** proc_pid_io(5): `rchar` counts what read(2) and the like returned, from the page cache or not. */
function readBytesOf(pid: number): number {
  return Number(/^rchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'latin1'))?.[1] ?? Number.NaN);
}

/** A layer's directory as DUCC lays it out, filled by `fill`; returns the path of its tree. */
export function layerDirectory(root: string, hex: string, fill: (layerfs: string) => void): string {
  const layer = join(root, '.layers', hex.slice(0, 2), hex);
  const layerfs = join(layer, 'layerfs');
  mkdirSync(layerfs, { recursive: true });
  mkdirSync(join(layer, '.metadata'), { recursive: true });
  writeFileSync(join(layerfs, '.cvmfscatalog'), '', { mode: 0o664 });
  fill(layerfs);
  if (!existsSync(layerfs)) throw new Error('the layer was filled away');
  return layerfs;
}
