/** What the stand-ins of the publishing tools share: their options, what they report, and how they give up. */
import type { ByteName } from '../../../lib/base/bytes.ts';
import { printable } from '../../../lib/base/text.ts';
import type { TarSink } from '../../../lib/layer/tar/reader.ts';
import type { Timespec } from '../../../lib/sys/kernel/files.ts';

export interface Ids {
  readonly uid: number;
  readonly gid: number;
}

interface Publisher extends Ids {
  /** The time of publication. */
  readonly time: Timespec;
}

export interface IngestOptions {
  /** Who runs the command. */
  readonly publisher: Publisher;
  /** `ingest --keep-ownership`, and servers up to 2.11. Without it every file belongs to `user`. */
  readonly keepOwners: boolean;
  /** `ingest -u USER -g GROUP`; the publisher's own ids without it. */
  readonly user?: Ids | undefined;
  /** 2.11 keeps owners always, and its dummies belong to the publisher. Without it: 2.12. */
  readonly server?: '2.11' | '2.12' | undefined;
  /** `unpack`: see `unpack-published.ts`. Without it: `ingest`. */
  readonly tool?: 'ingest' | 'unpack' | undefined;
  /**
   * The target is a repository with content, and `-b` its root: a name that is there is replaced, a directory that is there
   * keeps its attributes until its own entry comes, and only `.cvmfscatalog` members make catalogs. Seen on the real one: eight
   * layers and their records in one archive, and the same archive again without a difference.
   */
  readonly intoRepository?: boolean | undefined;
}

export interface Ingested {
  readonly entries: number;
  /** Sum of the regular files. */
  readonly fileBytes: number;
  /** Directories without attributes of their own, with the time of the first entry in them. */
  readonly implied: ReadonlyMap<ByteName, Timespec>;
  /** Those of them, and the root, whose own entries came too late. */
  readonly late: ReadonlySet<ByteName>;
  readonly explicitRoot: boolean;
}

/** Takes a tar's entries and makes of them what is published. */
export interface Publication extends TarSink {
  finish(): Ingested;
  abandon(): void;
}

/** The command ends without having published anything. */
export class IngestAborted extends Error {
  readonly reason: 'name_twice' | 'below_other' | 'bad_link' | 'whiteout_and_name' | 'bad_catalog';

  constructor(reason: IngestAborted['reason'], name: string) {
    super(`${reason}: ${printable(Buffer.from(name, 'latin1'))}`);
    this.reason = reason;
  }
}

/** What a client shows for -1. */
const NOBODY: Ids = { uid: 65534, gid: 65534 };
/** Ids of the directories that a publication makes up. */
export function dummyIds({ publisher, keepOwners, user, server, tool }: IngestOptions): Ids {
  if (tool === 'unpack' || (keepOwners && server === '2.11')) return publisher;
  return keepOwners ? NOBODY : (user ?? publisher);
}
