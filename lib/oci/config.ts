import { type DiffId, parseDiffId } from '../base/digest.ts';
import { isPluginError, PluginError } from '../base/errors/error.ts';
import { MAX_CONFIG_BYTES } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { printable } from '../base/text.ts';
import { CONFIG } from './document-shapes.ts';
import { isImageConfig } from './generated/validators.js';
import { asGoReads } from './go-json.ts';
import { JsonRefused, parseJson } from './json.ts';
import { describeSchemaError } from './schema-error.ts';

/** The part of an image configuration (image-spec, config.md) that graft uses; the rest is checked and dropped. */
export interface ImageConfig {
  readonly architecture: string;
  readonly os: string;
  /** Absent: the baseline of the architecture. */
  readonly variant?: string;
  /** Features that the image requires of the operating system; absent: none. */
  readonly osFeatures?: readonly string[];
  readonly diffIds: readonly DiffId[];
  /** `NAME=value`, in order; malformed entries (no `=`, NUL) are dropped with a log line. */
  readonly env: readonly string[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  /** `user`, `uid`, `user:group`, `uid:gid` …, unresolved. */
  readonly user: string;
  readonly workingDir: string;
}

/** The document as its schema admits it. */
interface RawConfig {
  readonly architecture?: string | null;
  readonly os?: string | null;
  readonly variant?: string | null;
  readonly 'os.features'?: readonly string[] | null;
  readonly rootfs: { readonly diff_ids?: readonly string[] | null };
  readonly config?: {
    readonly User?: string | null;
    readonly WorkingDir?: string | null;
    readonly Env?: readonly string[] | null;
    readonly Entrypoint?: readonly string[] | null;
    readonly Cmd?: readonly string[] | null;
  } | null;
}

/** Parses an image configuration. @throws IMAGE_BAD_CONFIG */
export function parseConfig(bytes: Uint8Array, source: string, log: Logger): ImageConfig {
  const raw = readConfig(bytes, source);
  const config = raw.config ?? {};
  return {
    architecture: raw.architecture ?? '',
    os: raw.os ?? '',
    ...(raw.variant ? { variant: raw.variant } : {}),
    ...(raw['os.features']?.length ? { osFeatures: raw['os.features'] } : {}),
    diffIds: (raw.rootfs.diff_ids ?? []).map((text) => toDiffId(text, source)),
    env: (config.Env ?? []).filter((entry) => isEnv(entry, log)),
    entrypoint: withoutNul('Entrypoint', config.Entrypoint ?? [], log),
    cmd: withoutNul('Cmd', config.Cmd ?? [], log),
    user: userOf(config.User ?? '', source),
    workingDir: withoutNul('WorkingDir', [config.WorkingDir ?? ''], log)[0] ?? '',
  };
}

function readConfig(bytes: Uint8Array, source: string): RawConfig {
  try {
    const document = asGoReads(parseJson(bytes, MAX_CONFIG_BYTES), CONFIG);
    if (isImageConfig(document)) return document as RawConfig;
  } catch (error) {
    if (error instanceof JsonRefused) throw bad(source, error.message);
    throw error;
  }
  throw bad(source, describeSchemaError(isImageConfig));
}

function bad(source: string, reason: string): PluginError {
  return new PluginError('IMAGE_BAD_CONFIG', { source, reason });
}

function toDiffId(text: string, source: string): DiffId {
  try {
    return parseDiffId(text);
  } catch (error) {
    if (isPluginError(error, 'BAD_DIGEST'))
      throw bad(source, `the diffID "${printable(text)}" is not sha256: and 64 lower-case hex digits`);
    throw error;
  }
}

/** True for `NAME=value` without NUL: execve(2) takes NUL-terminated strings. */
function isEnv(entry: string, log: Logger): boolean {
  if (entry.indexOf('=') > 0 && !entry.includes('\0')) return true;
  // The log gets the name alone, since values are often secrets.
  log.info('image-env-dropped', { name: printable(entry.split('=', 1)[0] ?? '') });
  return false;
}

/** Refuses a user with a NUL in it. If it were dropped, the process would run as root. */
function userOf(user: string, source: string): string {
  if (user.includes('\0')) throw bad(source, 'its User holds a NUL');
  return user;
}

/** Drops a whole list that execve(2) cannot take. A list without one of its arguments would have another meaning. */
function withoutNul(field: string, values: readonly string[], log: Logger): readonly string[] {
  if (!values.some((value) => value.includes('\0'))) return values;
  log.info('image-config-field-dropped', { field, reason: 'it holds a NUL' });
  return [];
}
