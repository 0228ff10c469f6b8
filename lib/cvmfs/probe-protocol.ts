/**
 * The protocol of the probing child: a JSON request on its standard input, and one JSON line for each answer on its
 * standard output, in the order of the request and as early as each answer is known. Only the child touches a
 * repository (see `probe.ts`), so an answer has all facts that are needed later.
 */
import type { ByteName } from '../base/bytes.ts';
import type { RepositoryType } from './settings.ts';

export interface ProbeRequest {
  readonly repository: { readonly path: string; readonly type: RepositoryType; readonly name: string };
  /** Steps with paths relative to the repository. Each gets an answer. */
  readonly steps: readonly ProbeStep[];
}

export type ProbeStep =
  /** A layer's directory: `tree` is the name of the tree in it, `''` where the directory is the tree. */
  | { readonly step: 'layer'; readonly directory: string; readonly tree: string }
  /** Walks a layer's tree and looks for markers. `sizes` also sums up the files, with a request for each. */
  | {
      readonly step: 'walk';
      readonly directory: string;
      readonly tree: string;
      readonly sizes: boolean;
      /** The layer's digest where a companion lies beside its tree. Then the companion is read instead. */
      readonly companionOf: string | undefined;
      readonly made: MadeBy;
      /** Directories that have entries of their own in the layer's tar, whatever their attributes are. */
      readonly explicit: readonly ByteName[];
    }
  /** Resolves a path inside the repository and tells what is there. */
  | { readonly step: 'resolve'; readonly path: string; readonly links: LinkRules }
  /** Opens a directory by its path on the machine, as a mount of it as a lower directory does. */
  | { readonly step: 'reach'; readonly path: string }
  /** Looks at some layers of the repository and measures a read, for the verb `doctor`. */
  | { readonly step: 'random layers'; readonly layers: string; readonly count: number; readonly seed: number }
  /** Reads a small file. */
  | { readonly step: 'read'; readonly path: string; readonly links: LinkRules; readonly limit: number };

/**
 * The program that made a tree. `ingest`: the command of CernVM-FS, which loses attributes of directories. `unpack`: an
 * unpacker of the 2017 layout, which keeps them unless the tree shows traces of the command. `itself`: the tree is no
 * layer of an image, but a flat root filesystem for instance.
 */
export type MadeBy = 'ingest' | 'unpack' | 'itself';

/** The rules for links. No link leads out of the repository. */
export interface LinkRules {
  /** Prefixes of the repository's root in absolute links, which publishers up to DUCC 2.7 wrote. */
  readonly roots: readonly string[];
  /** Values of the client's variables in `$(NAME)` links, for copies of a repository, where no client expands them. */
  readonly variables: Readonly<Record<string, string>>;
}

export interface Stamp {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970 and nanoseconds. */
  readonly sec: number;
  readonly nsec: number;
}

/** A system call that failed, or the reason why its result is not usable. */
export interface Failure {
  readonly code: string;
  readonly what: string;
}

export type RepositoryAnswer =
  | {
      readonly ok: true;
      /** fstatfs(2) of the root. */
      readonly filesystem: string;
      /** The mount at the path that is no FUSE mount; undefined for a FUSE mount, and where nothing is mounted. */
      readonly mount: { readonly fsType: string; readonly source: string } | undefined;
      /** Magic extended attributes of the root, without `user.`; only those that answered. */
      readonly magic: Readonly<Record<string, string>>;
    }
  | { readonly ok: false; readonly failure: Failure };

export type LayerAnswer =
  /** ENOENT, and no other error, for the layer's directory. */
  | { readonly result: 'miss' }
  | { readonly result: 'failed'; readonly failure: Failure }
  /** The layer's directory exists and its tree does not. */
  | { readonly result: 'half'; readonly failure: Failure }
  | {
      readonly result: 'found';
      readonly root: Stamp;
      /** Owner of `.cvmfscatalog` in the tree, which the publishing client made: the publisher's own ids. */
      readonly publisher: { readonly uid: number; readonly gid: number } | undefined;
      /** The owners in the tree's top directory, `uid:gid`, at most 64, without directories that publishing made up. */
      readonly owners: readonly string[];
      /** The owners of all entries that one ingest made there, with made-up directories and the tree's root. */
      readonly allOwners: readonly string[];
      /** The owner of the directory around the tree, `uid:gid`; undefined where the directory is itself the tree. */
      readonly around: string | undefined;
      /** Changes when any entry of the tree's top directory does. */
      readonly fingerprint: string;
      /** The text of `.metadata/layers.json`; undefined where there is none. */
      readonly record: string | undefined;
      /**
       * True when `tmp` is writable for all users and not sticky: publishers of flat root filesystems lose such bits.
       */
      readonly stickyLost: boolean;
      /** Extended attributes that the tree's root lists. Magic attributes among them would be copied up. */
      readonly listed: readonly string[];
      /** True when a companion lies beside the tree. */
      readonly companion: boolean;
    };

/** A directory of a layer that matters for the stack. Names are relative, `''` is the tree's root. */
export interface LayerDirectory {
  readonly path: ByteName;
  readonly stamp: Stamp;
  readonly opaque: boolean;
  /** Names of lower layers that markers in this directory hide. */
  readonly whiteouts: readonly ByteName[];
  /** Literal marker names, catalog files and devices, which a container must not see. */
  readonly hidden: readonly ByteName[];
  /** True when the layer's directory has overlay whiteouts (character devices 0:0). */
  readonly native: boolean;
  /**
   * Set for an implied directory, as far as the tree shows it. `stamp` then has its attributes but for the owner, which
   * is the container's root. `own`: lower layers have no influence on it, since the layer deletes it there. `hollow`:
   * nothing in it shows.
   */
  readonly implied: { readonly own: boolean; readonly hollow: boolean } | undefined;
  /** Extended attributes for copies of this directory: names, and values in base64. */
  readonly xattrs: readonly (readonly [name: string, value: string])[];
}

export interface LayerWalk {
  readonly entries: number;
  /** Directories with markers, implied directories, and all directories above them, parents first. */
  readonly directories: readonly LayerDirectory[];
  readonly explicitRoot: boolean;
  /** False when only the attributes of a directory suggest that the tar implies it. */
  readonly vouched: boolean;
  /**
   * Directories among the implied ones that have entries of their own all the same, as far as this is known; `''` may
   * be one.
   */
  readonly late: readonly ByteName[];
  /** The owners of directories, `uid:gid`, at most two. */
  readonly owners: readonly string[];
  /** True when the publisher states that the owners are the image's. */
  readonly ownersKept: boolean;
  /** Bytes of the regular files together; undefined when they were not asked for. */
  readonly fileBytes: number | undefined;
  /** The reason why this tree cannot be a lower directory, such as a marker without a name. */
  readonly unusable: string | undefined;
}

export type WalkAnswer =
  | { readonly result: 'walked'; readonly walk: LayerWalk }
  | { readonly result: 'failed'; readonly failure: Failure };

export type ResolveAnswer =
  | { readonly result: 'found'; readonly path: string; readonly directory: boolean }
  | { readonly result: 'miss' }
  | { readonly result: 'failed'; readonly failure: Failure };

export type ReadAnswer =
  | { readonly result: 'found'; readonly path: string; readonly base64: string }
  | { readonly result: 'miss' }
  | { readonly result: 'failed'; readonly failure: Failure };

export type ReachAnswer =
  | { readonly result: 'reached' }
  | { readonly result: 'miss' }
  | { readonly result: 'failed'; readonly failure: Failure };

export type RandomLayersAnswer =
  | {
      readonly result: 'looked at';
      /** Directories of layers, relative to the repository, with the answers that a create would get. */
      readonly layers: readonly { readonly directory: string; readonly answer: LayerAnswer }[];
      /** The first read of a file of the first layer. */
      readonly read: { readonly bytes: number; readonly milliseconds: number } | undefined;
    }
  | { readonly result: 'failed'; readonly failure: Failure };

export type StepAnswer =
  | LayerAnswer
  | WalkAnswer
  | ResolveAnswer
  | ReadAnswer
  | ReachAnswer
  | RandomLayersAnswer;

/** A line of the child. `alive` says only that the work continues. */
export type ProbeLine =
  | { readonly line: 'repository'; readonly answer: RepositoryAnswer }
  | { readonly line: 'step'; readonly index: number; readonly answer: StepAnswer }
  | { readonly line: 'alive' };
