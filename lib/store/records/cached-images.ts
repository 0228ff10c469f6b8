/**
 * The images that the store was asked for, by name and digest: `meta/cached/<hash>`. The time of the file is that of the
 * last create or pull. A name ends in `.kept` where `pull --keep` asked for that. The directory is made with the first
 * record: a store of an earlier graft has none, and nothing but this file needs one.
 */
import { sha256Hex } from '../../base/digest.ts';
import type { Logger } from '../../base/log.ts';
import { hasCode, SysError } from '../../sys/kernel/errno.ts';
import { mkdirAt, utimesAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';
import { listNames } from '../../sys/kernel/look.ts';
import { statIfThere } from '../../sys/kernel/stat.ts';
import type { Layout } from '../layout/layout.ts';
import { isOptional, isRecord, isStrings, isText } from '../layout/own-json.ts';
import { removeName } from '../layout/staging.ts';
import { recall, remember } from './records.ts';

/** An image as it was asked for. */
export interface AskedImage {
  /** The reference without credentials. */
  readonly name: string;
  readonly digest: string | undefined;
  /** The keys of all that its stack needs, as in an image record. */
  readonly uses: readonly string[];
}

export interface CachedImage extends AskedImage {
  /** `pull --keep` asked for the image. */
  readonly kept: boolean;
  /** The last create or pull, in milliseconds since 1970. */
  readonly usedMs: number;
  /** The name of its file below meta/cached. */
  readonly file: string;
}

const KEPT = '.kept';

/** Notes that an image is used now. A failure is only logged: the image is there, and the note is for cleans and people. */
export function noteUse(layout: Layout, image: AskedImage, log: Logger): void {
  const file = `${layout.cached}/${fileOf(image)}`;
  try {
    // A known image costs a single system call, since warm creates note it too.
    if (!touch(file) && !touch(file + KEPT)) write(layout, file, image);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    log.error('use-not-noted', error, { image: image.name });
  }
}

/** Notes the use, and that no clean may delete the layers until `dropCached`. @throws SysError */
export function keepImage(layout: Layout, image: AskedImage): void {
  const file = `${layout.cached}/${fileOf(image)}`;
  write(layout, file + KEPT, image);
  removeName(layout, file);
}

export function dropCached(layout: Layout, { file }: CachedImage): void {
  removeName(layout, `${layout.cached}/${file}`);
}

/** All images that can be read; a damaged record counts as none. */
export function cachedImages(layout: Layout): CachedImage[] {
  return filesOf(layout).flatMap((file) => read(layout, file) ?? []);
}

/** The names that kept images need. Reads the records of those alone. */
export function keptUses(layout: Layout): string[] {
  return filesOf(layout)
    .filter(isKeptFile)
    .flatMap((file) => read(layout, file)?.uses ?? []);
}

export function isKeptFile(file: string): boolean {
  return file.endsWith(KEPT);
}

function filesOf(layout: Layout): string[] {
  try {
    return listNames(layout.cached);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
}

function read(layout: Layout, file: string): CachedImage | undefined {
  const path = `${layout.cached}/${file}`;
  const image = recall(path, isAsked);
  const stat = image && statIfThere(AT_FDCWD, path);
  if (image === undefined || stat === undefined) return undefined;
  const { name, digest, uses } = image;
  return { name, digest, uses, kept: isKeptFile(file), usedMs: stat.mtime.sec * 1000, file };
}

function fileOf({ name, digest }: AskedImage): string {
  return sha256Hex(`${name} ${digest ?? ''}`);
}

/** False when there is no such file. */
function touch(path: string): boolean {
  const now = Date.now();
  try {
    utimesAt(AT_FDCWD, path, { sec: Math.floor(now / 1000), nsec: (now % 1000) * 1_000_000 });
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw error;
  }
}

function write(layout: Layout, path: string, { name, digest, uses }: AskedImage): void {
  const value = { name, digest, uses };
  try {
    remember(layout, path, value);
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
    makeDirectory(layout);
    remember(layout, path, value);
  }
}

function makeDirectory(layout: Layout): void {
  try {
    mkdirAt(AT_FDCWD, layout.cached, 0o700);
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
  }
}

function isAsked(value: unknown): value is AskedImage {
  return (
    isRecord(value) &&
    isText(value['name']) &&
    isOptional(value['digest'], isText) &&
    isStrings(value['uses'])
  );
}
