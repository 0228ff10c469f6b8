import { hasCode, SysError } from '../kernel/errno.ts';
import { fchdir, openAt } from '../kernel/files.ts';
import { AT_FDCWD, libc, O } from '../kernel/libc.ts';
import { readText } from '../kernel/read.ts';
import { MAX_FSCONFIG_STRING, MOUNT_ATTR, mountByContext } from './fs-context.ts';
import { MAX_MOUNT_DATA, MS, mount } from './mount.ts';

/**
 * Options every overlay of ours has. Layers come from strangers: `redirect_dir` and `metacopy` would let a
 * forged `trusted.overlay.*` attribute show files from elsewhere (kernel documentation, overlayfs.rst, "never
 * with untrusted layers"), and the kernel's own default follows redirects. `index`, `nfs_export` and `xino` are
 * off whatever the distribution built in, so that one store means the same on every kernel.
 */
const SAFE: readonly (readonly [string, string])[] = [
  ['redirect_dir', 'nofollow'],
  ['metacopy', 'off'],
  ['index', 'off'],
  ['nfs_export', 'off'],
  ['xino', 'off'],
];

export interface OverlayRequest {
  /** Absolute paths, topmost first, 1 to 500 (MAX_LOWER_DIRS), none twice: the kernel says ELOOP to that. */
  readonly lowers: readonly string[];
  /**
   * Absolute; both on one filesystem, the work directory empty. Without them nothing can be written, and the kernel
   * wants at least two lowers.
   */
  readonly upper?: string;
  readonly work?: string;
  readonly target: string;
  readonly flags?: { readonly nosuid?: boolean; readonly nodev?: boolean };
  /** Further options, after ours. */
  readonly options?: Readonly<Record<string, string>>;
  /**
   * Other names for the same lowers, relative to `cwd`: 500 of them fit into the page of mount(2), and
   * every reader of /proc/self/mountinfo on the machine has less to read.
   */
  readonly shortLinks?: { readonly cwd: string; readonly names: readonly string[] };
}

/** How it was mounted: by the new calls, or by mount(2) with short names, full paths or descriptors. */
export type OverlayWay = 'context' | 'short-links' | 'paths' | 'descriptors';

/**
 * Best first; all of them give the same mount. mount(2) is one call and 0.3 ms cheaper than the new ones (12 lowers, a
 * fresh process). Those come next: they have no limit on the sum of names, and say in words what is wrong.
 */
const WAYS: readonly OverlayWay[] = ['short-links', 'paths', 'context', 'descriptors'];

/**
 * The ways of a kernel of this release (uname(2)). `lowerdir+` is known since 6.8; older kernels accept it and
 * then refuse the mount with a line in their log, on every create, so they are not asked.
 */
export function overlayWays(kernelRelease: string): readonly OverlayWay[] {
  return knowsLowerdirPlus(kernelRelease) ? WAYS : WAYS.filter((way) => way !== 'context');
}

function knowsLowerdirPlus(kernelRelease: string): boolean {
  const [major = 0, minor = 0] = kernelRelease.split('.').map(Number.parseFloat);
  return major > 6 || (major === 6 && minor >= 8);
}

/**
 * Mounts an overlay and says which way did it.
 * The working directory of the process changes while the kernel resolves the names, and is restored.
 * @throws SysError with the kernel's words where it has any
 */
export function mountOverlay(request: OverlayRequest, ways: readonly OverlayWay[] = WAYS): OverlayWay {
  let refused: SysError | undefined;
  for (const way of ways) {
    if (!isPossible(way, request)) continue;
    try {
      mountBy(way, request);
      return way;
    } catch (error) {
      if (!(error instanceof SysError) || !isAboutTheWay(error)) throw error;
      refused = new SysError(error.errno, 'mount', request.target, error.detail || (refused?.detail ?? ''));
    }
  }
  throw refused ?? new SysError(E2BIG, 'mount', request.target);
}
const E2BIG = 7;

/**
 * ENOSYS, EPERM: the new calls are missing, or behind a seccomp filter that knows mount(2) only. EINVAL: an
 * option this kernel does not know, or a value it does not like; mount(2) tells which to the kernel log only.
 */
function isAboutTheWay(error: SysError): boolean {
  if (error.syscall === 'fsopen') return hasCode(error, 'ENOSYS', 'EPERM');
  return hasCode(error, 'EINVAL', 'EOPNOTSUPP');
}

function isPossible(way: OverlayWay, request: OverlayRequest): boolean {
  const { lowers, shortLinks } = request;
  switch (way) {
    case 'context':
      if (!knowsLowerdirPlus(readText('/proc/sys/kernel/osrelease', 4096))) return false;
      return [...(shortLinks?.names ?? lowers), ...places(request)].every(
        (path) => isPlain(path) && isShort(path),
      );
    case 'short-links':
      return shortLinks !== undefined && fits(request, shortLinks.names);
    case 'paths':
      return fits(request, lowers);
    case 'descriptors':
      return true;
  }
}

function mountBy(way: OverlayWay, request: OverlayRequest): void {
  const { lowers, shortLinks } = request;
  const own = directories(request);
  const names = shortLinks?.names ?? lowers;
  switch (way) {
    case 'context':
      within(shortLinks?.cwd, () => mountContext(request, names));
      break;
    case 'short-links':
      within(shortLinks?.cwd, () => mountNames(request, names, own));
      break;
    case 'paths':
      mountNames(request, lowers, own);
      break;
    case 'descriptors':
      mountDescriptors(request);
      break;
  }
}

/** `lowerdir+` takes one lower at a time (Linux 6.8), and its name as it is. */
function mountContext(request: OverlayRequest, names: readonly string[]): void {
  const flags = request.flags ?? {};
  mountByContext({
    fsType: 'overlay',
    parameters: [
      ['source', 'overlay'],
      ...names.map((name) => ['lowerdir+', name] as const),
      ...directories(request),
      ...SAFE,
      ...Object.entries(request.options ?? {}),
    ],
    attributes: (flags.nosuid ? MOUNT_ATTR.NOSUID : 0) | (flags.nodev ? MOUNT_ATTR.NODEV : 0),
    target: request.target,
  });
}

/**
 * Every directory is opened, and its descriptor's number is its name in /proc/self/fd: at most four bytes
 * each, and no character that option parsers treat differently from release to release (6.5 lost `\,`).
 */
function mountDescriptors(request: OverlayRequest): void {
  const open: number[] = [];
  const number = (path: string) => {
    const fd = openAt(AT_FDCWD, path, O.PATH | O.DIRECTORY);
    open.push(fd);
    return String(fd);
  };
  try {
    const lowers = request.lowers.map(number);
    const own = directories(request).map(([key, path]) => [key, number(path)] as const);
    within('/proc/self/fd', () => mountNames(request, lowers, own));
  } finally {
    for (const fd of open) libc.close(fd);
  }
}

function mountNames(request: OverlayRequest, lowers: readonly string[], own: Directories): void {
  const flags = (request.flags?.nosuid ? MS.NOSUID : 0) | (request.flags?.nodev ? MS.NODEV : 0);
  mount('overlay', request.target, 'overlay', flags, joined(lowers, own, request.options));
}

/** Option parsers split at these, and how they are escaped differs from release to release. */
function fits(request: OverlayRequest, lowers: readonly string[]): boolean {
  if (![...lowers, ...places(request)].every(isPlain)) return false;
  return isWithin(joined(lowers, directories(request), request.options), MAX_MOUNT_DATA);
}

type Directories = readonly (readonly [option: string, path: string])[];

/** Where it keeps what is written to it, as options of a mount. */
function directories({ upper, work }: OverlayRequest): Directories {
  if (upper === undefined || work === undefined) return [];
  return [
    ['upperdir', upper],
    ['workdir', work],
  ];
}

function places(request: OverlayRequest): readonly string[] {
  return directories(request).map(([, path]) => path);
}

function joined(
  lowers: readonly string[],
  directories: Directories,
  options: Readonly<Record<string, string>> = {},
): string {
  const rest = [...directories, ...SAFE, ...Object.entries(options)].map(([key, value]) => `${key}=${value}`);
  return [`lowerdir=${lowers.join(':')}`, ...rest].join(',');
}

/**
 * The option string for whoever mounts in our place (`--without-mount`): one string, lowers topmost first.
 * Blanks and the like need nothing; `\`, `:` and `,` are escaped as overlayfs's own parser undoes it.
 */
export function describeOverlayOptions(request: {
  readonly lowers: readonly string[];
  readonly upper: string;
  readonly work: string;
  readonly options?: Readonly<Record<string, string>>;
}): string {
  const own = [
    ['upperdir', escaped(request.upper)],
    ['workdir', escaped(request.work)],
  ] as const;
  return joined(request.lowers.map(escaped), own, request.options);
}

function escaped(path: string): string {
  return path.replace(/[\\:,]/g, '\\$&');
}

function isPlain(path: string): boolean {
  // Not a regular expression: compiling one costs a fresh process more than all of these.
  return !path.includes(':') && !path.includes(',') && !path.includes('\\');
}

/** In bytes of UTF-8, at most three for each unit of a string. */
function isWithin(text: string, bytes: number): boolean {
  return text.length * 3 <= bytes || new TextEncoder().encode(text).length <= bytes;
}

function isShort(value: string): boolean {
  return isWithin(value, MAX_FSCONFIG_STRING - 1);
}

/** Runs `work` in another working directory; back to the old one by descriptor, which a rename cannot mislead. */
function within(cwd: string | undefined, work: () => void): void {
  if (cwd === undefined) {
    work();
    return;
  }
  const before = openAt(AT_FDCWD, '.', O.PATH | O.DIRECTORY);
  try {
    const fd = openAt(AT_FDCWD, cwd, O.PATH | O.DIRECTORY);
    try {
      fchdir(fd, cwd);
    } finally {
      libc.close(fd);
    }
    try {
      work();
    } finally {
      fchdir(before, '.');
    }
  } finally {
    libc.close(before);
  }
}
