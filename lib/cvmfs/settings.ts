import { PluginError } from '../base/errors/error.ts';
import { absolute, lastName } from '../sys/files/path.ts';

/** The reasons not to use a repository, or a layer in it, that is or may be there. */
export const DOUBTS = [
  'not_mounted',
  'not_cvmfs',
  'wrong_repository',
  'not_pinned',
  'io_error',
  'hang',
  'half_published',
  'wrong_record',
  'wrong_owner',
  'lost_metadata',
  'unusable_layer',
] as const;
export type Doubt = (typeof DOUBTS)[number];

export type Loss = 'owners' | 'directories' | 'root' | 'setuid' | 'capabilities';
export type LossPolicy = 'accept' | 'repair' | 'fall_back';
export type RepositoryType = 'cvmfs' | 'directory';
type RepositoryLayout = 'ducc' | 'graphdriver' | 'flat';

/** The `cvmfs:` part of the settings, as `settings.schema.json` allows it. */
export interface CvmfsFile {
  readonly repositories?: readonly RepositoryFile[];
}
export interface RepositoryFile {
  readonly path: string;
  readonly name?: string;
  readonly type?: RepositoryType;
  readonly layout?: RepositoryLayout;
  readonly subdirectory?: string;
  readonly registries?: readonly string[];
  readonly revision?: string;
  readonly probe_deadline_ms?: number;
  readonly retry_after_hang_s?: number;
  readonly walk_deadline_ms?: number;
  readonly io_error_window_s?: number;
  readonly fall_back_on?: readonly Doubt[];
  readonly mounts?: readonly { readonly store: string; readonly path: string }[];
  readonly lost_metadata?: {
    readonly owners?: LossPolicy;
    readonly directories?: LossPolicy;
    readonly root?: LossPolicy;
    readonly setuid?: Exclude<LossPolicy, 'repair'>;
    readonly capabilities?: LossPolicy;
  };
}

/** `follow`, `fixed`, or the root hash that the client must be pinned to. */
type Revision = 'follow' | 'fixed' | { readonly rootHash: string };

/** A repository as a store uses it. */
export interface Repository {
  readonly name: string;
  /** The path at which this store reads it: the mapped mount where the store has one. */
  readonly path: string;
  /**
   * All paths that references and links use for it: the main mount, this store's mount, and `/cvmfs/<name>`, its usual
   * path on any machine.
   */
  readonly knownAt: readonly string[];
  /** True when `path` is a mount of its own for this store's uid and gid mapping. */
  readonly mapped: boolean;
  readonly type: RepositoryType;
  readonly layout: RepositoryLayout;
  /** Relative, `''` for the repository's root. */
  readonly subdirectory: string;
  readonly registries: readonly string[];
  readonly revision: Revision;
  readonly probeDeadlineMs: number;
  readonly retryAfterHangSeconds: number;
  readonly walkDeadlineMs: number;
  readonly ioErrorWindowSeconds: number;
  readonly fallBackOn: ReadonlySet<Doubt>;
  readonly lostMetadata: Readonly<Record<Loss, LossPolicy>>;
}

/** The repositories of a configuration, in its order. */
export interface CvmfsSettings {
  readonly repositories: readonly Repository[];
}

/**
 * The settings as the store at `store` uses them. The schema has accepted `file`; `source` names the file in errors.
 * @throws CONFIG_INVALID for faults that a schema cannot find: `.` and `..`, a path twice, a layer lookup without
 * registries
 */
export function cvmfsSettings(file: CvmfsFile | undefined, source: string, store: string): CvmfsSettings {
  const seen = new Set<string>();
  const names = new Set<string>();
  const wrong = (index: number, text: string) =>
    new PluginError('CONFIG_INVALID', { path: source, reason: `cvmfs.repositories[${index}]: ${text}` });
  const once = (path: string, index: number) => {
    if (absolute(`/${path}`) !== path) throw wrong(index, `${path} is not a normal absolute path`);
    if (seen.has(path)) throw wrong(index, `${path} is named twice`);
    seen.add(path);
  };
  const repositories = (file?.repositories ?? []).map((entry, index) => {
    once(entry.path, index);
    if (names.has(nameOf(entry))) throw wrong(index, `there are two repositories ${nameOf(entry)}`);
    names.add(nameOf(entry));
    for (const mount of entry.mounts ?? []) once(mount.path, index);
    if (entry.subdirectory !== undefined) once(`${entry.path}/${entry.subdirectory}`, index);
    return repositoryFor(entry, store);
  });
  return { repositories };
}

function repositoryFor(entry: RepositoryFile, store: string): Repository {
  const mapped = entry.mounts?.find((mount) => mount.store === store)?.path;
  const name = nameOf(entry);
  return {
    name,
    path: mapped ?? entry.path,
    knownAt: [...new Set([entry.path, ...(mapped === undefined ? [] : [mapped]), `/cvmfs/${name}`])],
    mapped: mapped !== undefined,
    type: entry.type ?? 'cvmfs',
    layout: entry.layout ?? 'ducc',
    subdirectory: entry.subdirectory ?? '',
    registries: entry.registries ?? ['*'],
    revision: revisionOf(entry.revision ?? 'follow'),
    probeDeadlineMs: entry.probe_deadline_ms ?? 5000,
    retryAfterHangSeconds: entry.retry_after_hang_s ?? 30,
    walkDeadlineMs: entry.walk_deadline_ms ?? 60_000,
    ioErrorWindowSeconds: entry.io_error_window_s ?? 60,
    fallBackOn: new Set(entry.fall_back_on ?? DOUBTS),
    lostMetadata: {
      owners: entry.lost_metadata?.owners ?? 'fall_back',
      directories: entry.lost_metadata?.directories ?? 'fall_back',
      root: entry.lost_metadata?.root ?? 'accept',
      setuid: entry.lost_metadata?.setuid ?? 'accept',
      capabilities: entry.lost_metadata?.capabilities ?? 'accept',
    },
  };
}

function nameOf(entry: RepositoryFile): string {
  return entry.name ?? lastName(entry.path);
}

function revisionOf(text: string): Revision {
  return text === 'follow' || text === 'fixed' ? text : { rootHash: text };
}

/** The source of the image that a layer belongs to: a registry's repository, or a local OCI layout. */
export type LayerOrigin = { readonly registry: string; readonly repository: string } | 'oci';

/** True when layers of this origin are looked up in the repository. The first matching pattern decides. */
export function serves(repository: Repository, origin: LayerOrigin): boolean {
  const subjects = origin === 'oci' ? ['oci:'] : [origin.registry, `${origin.registry}/${origin.repository}`];
  for (const entry of repository.registries) {
    const no = entry.startsWith('!');
    const pattern = glob(no ? entry.slice(1) : entry);
    if (subjects.some((subject) => pattern.test(subject))) return !no;
  }
  return false;
}

function glob(pattern: string): RegExp {
  const escaped = pattern.split('*').map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'));
  return new RegExp(`^${escaped.join('.*')}$`);
}
