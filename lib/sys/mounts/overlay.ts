import { hasCode, SysError } from '../kernel/errno.ts';
import { fchdir, openAt } from '../kernel/files.ts';
import { AT_FDCWD, libc, O } from '../kernel/libc.ts';
import { readText } from '../kernel/read.ts';
import { MAX_FSCONFIG_STRING, MOUNT_ATTR, mountByContext } from './fs-context.ts';
import { MAX_MOUNT_DATA, MS, mount } from './mount.ts';

/**
 * Options of every overlay that graft mounts. Layers come from strangers. `redirect_dir` and `metacopy` would let a
 * forged `trusted.overlay.*` attribute show files from elsewhere (kernel documentation, overlayfs.rst, "never with
 * untrusted layers"), and the kernel's own default follows redirects. `index`, `nfs_export` and `xino` are off,
 * whatever default the distribution chose, so that a store means the same on every kernel. Only a stack on several
 * filesystems has `xino=auto`: else each of them shows as a device of its own, and `du -x` leaves files out. Inode numbers
 * are then longer than 32 bits.
 */
const SAFE: readonly (readonly [string, string])[] = [
  ['redirect_dir', 'nofollow'],
  ['metacopy', 'off'],
  ['index', 'off'],
  ['nfs_export', 'off'],
];

function safe({ severalFilesystems }: { readonly severalFilesystems?: boolean }): typeof SAFE {
  return [...SAFE, ['xino', severalFilesystems === true ? 'auto' : 'off']];
}

export interface OverlayRequest {
  /**
   * Absolute paths, topmost first, 1 to 500 of them (MAX_LOWER_DIRS). No path may repeat: the kernel refuses that with
   * ELOOP.
   */
  readonly lowers: readonly string[];
  /**
   * Absolute paths, both on one filesystem; the work directory is empty. Without `upper` and `work` the mount is
   * read-only, and the kernel requires at least two lowers.
   */
  readonly upper?: string;
  readonly work?: string;
  readonly target: string;
  readonly flags?: { readonly nosuid?: boolean; readonly nodev?: boolean };
  /** Lower directories lie on other filesystems than `upper`, and the stack should show as one. */
  readonly severalFilesystems?: boolean;
  /** Further options, added after graft's own. */
  readonly options?: Readonly<Record<string, string>>;
  /**
   * Other names for the same lowers, relative to `cwd`. 500 short names fit into the page of mount(2), and
   * /proc/self/mountinfo stays short for every process that reads it.
   */
  readonly shortLinks?: { readonly cwd: string; readonly names: readonly string[] };
}

/**
 * How an overlay is mounted: by the newer calls (`context`), or by mount(2) with short names, full paths or
 * descriptors.
 */
export type OverlayWay = 'context' | 'short-links' | 'paths' | 'descriptors';

/**
 * The ways in their order of preference; all of them give the same mount. mount(2) is one call and 0.3 ms cheaper than
 * the newer ones (12 lowers, a fresh process). The newer calls come next: they have no limit on the sum of names, and
 * describe an error in words.
 */
const WAYS: readonly OverlayWay[] = ['short-links', 'paths', 'context', 'descriptors'];

/**
 * The ways that a kernel of this release (uname(2)) supports. `lowerdir+` is known since 6.8. Older kernels accept the
 * option and then refuse the mount with a line in their log, on every create, so `context` is left out there.
 */
export function overlayWays(kernelRelease: string): readonly OverlayWay[] {
  return knowsLowerdirPlus(kernelRelease) ? WAYS : WAYS.filter((way) => way !== 'context');
}

function knowsLowerdirPlus(kernelRelease: string): boolean {
  const [major = 0, minor = 0] = kernelRelease.split('.').map(Number.parseFloat);
  return major > 6 || (major === 6 && minor >= 8);
}

/**
 * Mounts an overlay and returns the way that succeeded. The working directory of the process changes while the kernel
 * resolves the names, and is restored.
 * @throws SysError with the kernel's words where there are any
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
 * Returns true for errors after which another way may succeed. ENOSYS, EPERM: the newer calls are missing, or a seccomp
 * filter knows only mount(2). EINVAL: this kernel does not know an option or refuses a value; mount(2) reports which
 * one only in the kernel log.
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

/** `lowerdir+` takes one lower at a time, with its name unescaped (Linux 6.8). */
function mountContext(request: OverlayRequest, names: readonly string[]): void {
  const flags = request.flags ?? {};
  mountByContext({
    fsType: 'overlay',
    parameters: [
      ['source', 'overlay'],
      ...names.map((name) => ['lowerdir+', name] as const),
      ...directories(request),
      ...safe(request),
      ...Object.entries(request.options ?? {}),
    ],
    attributes: (flags.nosuid ? MOUNT_ATTR.NOSUID : 0) | (flags.nodev ? MOUNT_ATTR.NODEV : 0),
    target: request.target,
  });
}

/**
 * Mounts with the descriptor of every directory as its name, relative to /proc/self/fd. Such a name has at most four
 * bytes, and no character that option parsers treat differently from release to release (6.5 lost `\,`).
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
  mount('overlay', request.target, 'overlay', flags, joined(lowers, own, request));
}

/**
 * Returns false for names with characters at which option parsers split: how they are escaped differs from release to
 * release. Also returns false for names that are too long for mount(2).
 */
function fits(request: OverlayRequest, lowers: readonly string[]): boolean {
  if (![...lowers, ...places(request)].every(isPlain)) return false;
  return isWithin(joined(lowers, directories(request), request), MAX_MOUNT_DATA);
}

type Directories = readonly (readonly [option: string, path: string])[];

/** The upper and work directories as mount options. */
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
  request: Pick<OverlayRequest, 'severalFilesystems' | 'options'>,
): string {
  const options = Object.entries(request.options ?? {});
  const rest = [...directories, ...safe(request), ...options].map(([key, value]) => `${key}=${value}`);
  return [`lowerdir=${lowers.join(':')}`, ...rest].join(',');
}

/**
 * The option string for a caller that mounts the overlay itself (`--without-mount`): one string, lowers topmost first.
 * Blanks need no escape. `\`, `:` and `,` are escaped in the way that overlayfs's parser undoes.
 */
export function describeOverlayOptions(request: {
  readonly lowers: readonly string[];
  readonly upper: string;
  readonly work: string;
  readonly severalFilesystems?: boolean;
  readonly options?: Readonly<Record<string, string>>;
}): string {
  const own = [
    ['upperdir', escaped(request.upper)],
    ['workdir', escaped(request.work)],
  ] as const;
  return joined(request.lowers.map(escaped), own, request);
}

function escaped(path: string): string {
  return path.replace(/[\\:,]/g, '\\$&');
}

function isPlain(path: string): boolean {
  // Not a regular expression: compiling it costs a fresh process more than these three calls.
  return !path.includes(':') && !path.includes(',') && !path.includes('\\');
}

/** Returns true when the text has at most this many bytes in UTF-8. A unit of a string has at most three. */
function isWithin(text: string, bytes: number): boolean {
  return text.length * 3 <= bytes || new TextEncoder().encode(text).length <= bytes;
}

function isShort(value: string): boolean {
  return isWithin(value, MAX_FSCONFIG_STRING - 1);
}

/** Runs `work` in another working directory. The way back goes by descriptor, so a rename cannot mislead it. */
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
