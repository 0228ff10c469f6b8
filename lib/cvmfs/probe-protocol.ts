/**
 * What the probing child is asked and what it answers: one JSON request on its standard input, one JSON line
 * per answer on its standard output, in the order of the request and as early as each is known. Everything
 * that touches a repository happens there (docs of `probe.ts`), so the answers carry all that is needed later.
 */
import type { ByteName } from '../base/bytes.ts';
import type { RepositoryType } from './settings.ts';

export interface ProbeRequest {
  readonly repository: { readonly path: string; readonly type: RepositoryType; readonly name: string };
  /** Paths relative to the repository; answered one by one. */
  readonly steps: readonly ProbeStep[];
}

export type ProbeStep =
  /** A layer's directory: `tree` is the name of the tree in it, `''` where the directory is the tree. */
  | { readonly step: 'layer'; readonly directory: string; readonly tree: string }
  /** Searches a layer's tree for markers; `sizes` sums up the files too, at one request for each of them. */
  | {
      readonly step: 'walk';
      readonly directory: string;
      readonly tree: string;
      readonly sizes: boolean;
      /** The layer's digest where `whiteouts/` stands beside its tree: then that is read instead. */
      readonly companionOf: string | undefined;
      readonly made: MadeBy;
      /** Directories that have entries of their own in the layer's tar, whatever they look like. */
      readonly explicit: readonly ByteName[];
    }
  /** Where a path leads inside the repository, and what is there. */
  | { readonly step: 'resolve'; readonly path: string; readonly links: LinkRules }
  /** Some layers of the repository, and how long reading from one takes: for the doctor. */
  | { readonly step: 'random layers'; readonly layers: string; readonly count: number; readonly seed: number }
  /** A small file's bytes. */
  | { readonly step: 'read'; readonly path: string; readonly links: LinkRules; readonly limit: number };

/**
 * How a tree came to be: by the ingest command, which loses attributes of directories; in the 2017 layout, by an unpacker
 * that does not, unless the tree shows traces of the command; or it is nobody's layer but itself, such as a flat root.
 */
export type MadeBy = 'ingest' | 'unpack' | 'itself';

/** How links are followed: never out of the repository. */
export interface LinkRules {
  /** Prefixes that absolute links to the repository's root may have (publishers up to DUCC 2.7 wrote such). */
  readonly roots: readonly string[];
  /** Values of the client's variables in `$(NAME)` links, for copies that no client expands. */
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

/** A system call that failed, or why what it gave is not usable. */
export interface Failure {
  readonly code: string;
  readonly what: string;
}

export type RepositoryAnswer =
  | {
      readonly ok: true;
      /** fstatfs(2) of the root. */
      readonly filesystem: string;
      /** What is mounted there that is no FUSE; undefined for a FUSE mount, and where nothing is. */
      readonly mount: { readonly fsType: string; readonly source: string } | undefined;
      /** Magic extended attributes of the root, without `user.`; only those that answered. */
      readonly magic: Readonly<Record<string, string>>;
    }
  | { readonly ok: false; readonly failure: Failure };

export type LayerAnswer =
  /** ENOENT, and nothing but ENOENT, on the layer's directory. */
  | { readonly result: 'miss' }
  | { readonly result: 'failed'; readonly failure: Failure }
  /** The layer's directory is there and its tree is not. */
  | { readonly result: 'half'; readonly failure: Failure }
  | {
      readonly result: 'found';
      readonly root: Stamp;
      /** Owner of `.cvmfscatalog` in the tree, which the publishing client made: the publisher's own ids. */
      readonly publisher: { readonly uid: number; readonly gid: number } | undefined;
      /** Different owners in the tree's top directory, `uid:gid`, at most 64; without directories that publishing made. */
      readonly owners: readonly string[];
      /** Of everything that one ingest made there: the same with made-up directories and the tree's root. */
      readonly allOwners: readonly string[];
      /** Owner of the directory around the tree, `uid:gid`; undefined where the layer is the directory. */
      readonly around: string | undefined;
      /** Changes when anything in the tree's top directory does. */
      readonly fingerprint: string;
      /** Text of `.metadata/layers.json`, where there is one. */
      readonly record: string | undefined;
      /** `tmp` is writable for all and not sticky, as publishers of flat roots leave it that lose such bits. */
      readonly stickyLost: boolean;
      /** Names of extended attributes that the tree's root lists: magic ones here would be copied up. */
      readonly listed: readonly string[];
      /** A `whiteouts/` directory stands beside the tree. */
      readonly companion: boolean;
    };

/** A directory of a layer that matters for the stack. Names are relative, `''` is the tree's root. */
export interface LayerDirectory {
  readonly path: ByteName;
  readonly stamp: Stamp;
  readonly opaque: boolean;
  /** Names in the layers below that markers in this directory hide. */
  readonly whiteouts: readonly ByteName[];
  /** Literal marker names, catalog files and devices: what must not be seen in a container. */
  readonly hidden: readonly ByteName[];
  /** The layer's own directory holds overlay whiteouts (character devices 0:0). */
  readonly native: boolean;
  /**
   * The directory exists only because something lies below it, as far as that shows; `stamp` has what it should then
   * look like but for its owner, which is the container's root. `own`: lower layers have nothing to say about it, since
   * the layer deletes them there. `hollow`: nothing in it shows, it is on the way to markers only.
   */
  readonly implied: { readonly own: boolean; readonly hollow: boolean } | undefined;
  /** Extended attributes to keep on copies of this directory: names, and values in base64. */
  readonly xattrs: readonly (readonly [name: string, value: string])[];
}

export interface LayerWalk {
  readonly entries: number;
  /** Directories with markers or only implied ones, and all their ancestors; parents first. */
  readonly directories: readonly LayerDirectory[];
  readonly explicitRoot: boolean;
  /** False where no more than the look of a directory says that the tar only implies it. */
  readonly vouched: boolean;
  /** Where that is known: directories among the implied ones that have entries of their own all the same, `''` too. */
  readonly late: readonly ByteName[];
  /** Different owners of directories, `uid:gid`, two at most. */
  readonly owners: readonly string[];
  /** The publisher says that owners are the image's. */
  readonly ownersKept: boolean;
  /** Sum of the regular files; undefined when it was not asked for. */
  readonly fileBytes: number | undefined;
  /** Why no container can be made from this tree: a marker without a name, for one. */
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

export type RandomLayersAnswer =
  | {
      readonly result: 'looked at';
      /** Directories of layers, relative to the repository, with what a create would be told of them. */
      readonly layers: readonly { readonly directory: string; readonly answer: LayerAnswer }[];
      /** The first read of some file of the first layer. */
      readonly read: { readonly bytes: number; readonly milliseconds: number } | undefined;
    }
  | { readonly result: 'failed'; readonly failure: Failure };

export type StepAnswer = LayerAnswer | WalkAnswer | ResolveAnswer | ReadAnswer | RandomLayersAnswer;

/** A line of the child. `alive` says only that work goes on. */
export type ProbeLine =
  | { readonly line: 'repository'; readonly answer: RepositoryAnswer }
  | { readonly line: 'step'; readonly index: number; readonly answer: StepAnswer }
  | { readonly line: 'alive' };
