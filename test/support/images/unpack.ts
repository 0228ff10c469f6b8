/** Layers unpacked in the test's own thread, and what is around them watched. */
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  type Stats,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { PluginError } from '../../../lib/base/errors/error.ts';
import type { LayerBudget, Unpacked, UnpackRequest } from '../../../lib/layer/tree/types.ts';
import type { ChunkSource } from '../../../lib/layer/unpack/blob.ts';
import { unpackInto } from '../../../lib/layer/unpack/unpack-into.ts';

export const ROOMY: LayerBudget = {
  tarBytes: 2 ** 36,
  entries: 1_000_000,
  ratio: 200,
  ratioFloor: 2 ** 30,
  stallSeconds: 30,
};

/** A request for `<directory>/target`, which is made. */
export function requestIn(directory: string, changes: Partial<UnpackRequest> = {}): UnpackRequest {
  const target = join(directory, 'target');
  mkdirSync(target, { recursive: true });
  return {
    target,
    manifestPath: join(directory, 'manifest'),
    compression: 'auto',
    expected: { digest: undefined, diffId: undefined, size: undefined },
    mappings: { uids: [], gids: [] },
    budget: ROOMY,
    quotaBytes: undefined,
    base: undefined,
    lowers: undefined,
    ...changes,
  };
}

export async function unpack(request: UnpackRequest, blob: Uint8Array, chunk = 65536): Promise<Unpacked> {
  return unpackInto(request, chunksOf(blob, chunk), {
    checkpoint() {},
    largeWindow: () => Promise.resolve(),
  });
}

/** A blob in pieces. */
export function chunksOf(blob: Uint8Array, size: number): ChunkSource {
  let at = 0;
  return {
    next() {
      const piece = blob.slice(at, at + size);
      at += piece.length;
      return Promise.resolve(piece.length === 0 ? undefined : piece);
    },
  };
}

/** The code an unpacking fails with; fails itself when it succeeds or fails without a code. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  return (await failureOf(work)).code;
}

export async function failureOf(work: Promise<unknown>): Promise<PluginError> {
  try {
    await work;
  } catch (error) {
    if (typeof (error as { code?: unknown }).code === 'string') return error as PluginError;
    throw error;
  }
  throw new Error('the layer was unpacked');
}

/** What this process has open in or below a directory. */
export function openBelow(directory: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(`${directory}/`) ? [path] : [];
    } catch {
      return [];
    }
  });
}

export function sha256(data: Uint8Array): string {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`;
}

/** Every name below `root`, with what it is: `f 644 0:0 content`, `d 755 0:0`, `l -> target`, `c 0:0`, `p 600`. */
export function listTree(root: string): Record<string, string> {
  const names: Record<string, string> = {};
  const visit = (path: Buffer, name: string): void => {
    const stat = lstatSync(path);
    names[name] = describe(path, stat);
    if (!stat.isDirectory()) return;
    const children = readdirSync(path, { encoding: 'buffer' }).sort(Buffer.compare);
    for (const child of children) {
      visit(Buffer.concat([path, SLASH, child]), name === '/' ? `${child}` : `${name}/${child}`);
    }
  };
  visit(Buffer.from(root), '/');
  return names;
}
const SLASH = Buffer.from('/');

function describe(path: Buffer, stat: Stats): string {
  const mode = (stat.mode & 0o7777).toString(8);
  const owner = `${stat.uid}:${stat.gid}`;
  if (stat.isSymbolicLink()) return `l -> ${readlinkSync(path)}`;
  if (stat.isFile()) return `f ${mode} ${owner} ${shortContent(path)}`;
  if (stat.isFIFO()) return `p ${mode} ${owner}`;
  if (stat.isCharacterDevice()) return `c ${stat.rdev}`;
  if (stat.isBlockDevice()) return `b ${stat.rdev}`;
  return `d ${mode} ${owner}`;
}

function shortContent(path: Buffer): string {
  const content = readFileSync(path);
  return content.length <= 64 ? content.toString() : `${content.length} bytes`;
}

/** A tree outside the target that no layer may touch: contents, inodes, modes, owners, times and link counts. */
export class Canary {
  readonly path: string;
  readonly #before: string;

  constructor(directory: string) {
    this.path = join(directory, 'canary');
    mkdirSync(join(this.path, 'dir'), { recursive: true, mode: 0o700 });
    writeFileSync(join(this.path, 'secret'), 'the secret of the host\n', { mode: 0o600 });
    writeFileSync(join(this.path, 'dir', 'inner'), 'inner\n');
    this.#before = this.#look();
  }

  get secret(): string {
    return join(this.path, 'secret');
  }

  /** What changed, as text; empty when nothing did. */
  changes(): string {
    const now = existsSync(this.path) ? this.#look() : 'it is gone';
    return now === this.#before ? '' : `before:\n${this.#before}\nnow:\n${now}`;
  }

  #look(): string {
    const lines: string[] = [];
    const visit = (path: string): void => {
      const { ino, mode, uid, gid, nlink, mtimeNs, ctimeNs, size } = lstatSync(path, { bigint: true });
      const content = lstatSync(path).isFile() ? readFileSync(path, 'latin1') : '';
      lines.push([path, ino, mode, uid, gid, nlink, mtimeNs, ctimeNs, size, content].join(' '));
      if (lstatSync(path).isDirectory()) for (const name of readdirSync(path).sort()) visit(join(path, name));
    };
    visit(this.path);
    return lines.join('\n');
  }
}
