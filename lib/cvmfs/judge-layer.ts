/**
 * Judges a layer that a repository has: whether it is the right one, complete, and usable for the store's containers.
 */

import { isPluginError } from '../base/errors/error.ts';
import { type IdMappings, toHostId } from '../base/id-mapping.ts';
import { errnoMeaning } from '../sys/kernel/errno.ts';
import type { FoundLayer, LayerPaths, Owners, RepositoryDoubt, SoughtLayer } from './found-layer.ts';
import type { LayerAnswer, MadeBy } from './probe-protocol.ts';
import { type LayerRecord, parseLayerRecord } from './records.ts';
import { type Doubtful, doubtful, type RepositoryState } from './repository.ts';
import type { Repository } from './settings.ts';
import { isNobody } from './synthetic.ts';

type Found = Extract<LayerAnswer, { result: 'found' }>;

export interface JudgeRequest {
  readonly repository: Repository;
  readonly state: RepositoryState;
  readonly paths: LayerPaths;
  readonly layer: SoughtLayer;
  readonly answer: LayerAnswer;
  readonly mappings: IdMappings;
}

export function judgeLayer(
  request: JudgeRequest,
): { layer: FoundLayer } | { miss: Repository } | RepositoryDoubt {
  const { repository, answer } = request;
  const doubt = (found: Doubtful) => ({ repository, doubt: found.doubt, reason: found.reason });
  switch (answer.result) {
    case 'miss':
      return { miss: repository };
    case 'failed':
      return doubt(doubtful('io_error', `${errnoMeaning(answer.failure.code)} (${answer.failure.code})`));
    case 'half':
      return doubt(
        doubtful('half_published', `the layer's directory is there without its tree ${request.paths.tree}`),
      );
    case 'found':
      return judgeFound(request, answer, doubt);
  }
}

function judgeFound(
  request: JudgeRequest,
  answer: Found,
  doubt: (found: Doubtful) => RepositoryDoubt,
): { layer: FoundLayer } | RepositoryDoubt {
  const { repository, state, paths, layer, mappings } = request;
  const record = judgeRecord(request, answer);
  if (record !== undefined && 'ok' in record) return doubt(record);
  // The 2017 layout has neither record nor catalog, so an empty tree is a valid layer there.
  const isBare = record === undefined && answer.owners.length === 0 && answer.publisher === undefined;
  if (isBare && !(repository.layout === 'graphdriver' && paths.tree === '')) {
    return doubt(doubtful('half_published', 'its tree is empty and has neither a record nor a catalog'));
  }
  const magic = repository.type === 'cvmfs' && answer.listed.find((name) => name === 'user.fqrn');
  if (magic) {
    const reason =
      'the client lists its magic attributes everywhere, and every copied-up file would get them all';
    return doubt(doubtful('unusable_layer', `${reason}: set CVMFS_MAGIC_XATTRS_VISIBILITY=rootonly`));
  }
  if (paths.tree === '' && answer.stickyLost && repository.lostMetadata.setuid === 'fall_back') {
    const reason =
      'it was published without its set-id and sticky bits: /tmp is writable for all and not sticky';
    return doubt(doubtful('lost_metadata', reason));
  }
  const needsIdmap = repository.type === 'directory' && !repository.mapped && mappings.uids.length > 0;
  const owners = judgeOwners(request, answer, needsIdmap ? NO_MAPPINGS : mappings);
  if (typeof owners === 'object') return doubt(owners);
  return {
    layer: {
      repository,
      state,
      directory: paths.directory,
      tree: paths.tree,
      path: [repository.path, paths.directory, paths.tree].filter((part) => part !== '').join('/'),
      root: answer.root,
      fingerprint: answer.fingerprint,
      tarBytes: record?.tarBytes,
      recordedDigest: layer.digest ?? record?.digest,
      companion: answer.companion && (layer.digest ?? record?.digest) !== undefined,
      needsIdmap,
      made: madeBy(request),
      owners,
    },
  };
}
const NO_MAPPINGS: IdMappings = { uids: [], gids: [] };

/**
 * Compares the publisher's record with the image. Publishers do not verify: DUCC compares no digest, and accepts a
 * download that was cut at the end of an entry. Its record has the digests of the stream that it really published.
 */
function judgeRecord({ layer, paths }: JudgeRequest, answer: Found): LayerRecord | Doubtful | undefined {
  if (answer.record === undefined) return undefined;
  const path = `${paths.directory}/.metadata/layers.json`;
  let record: LayerRecord;
  try {
    record = parseLayerRecord(answer.record, path);
  } catch (error) {
    if (!isPluginError(error, 'CVMFS_BAD_RECORD')) throw error;
    return doubtful('wrong_record', `its record ${path} cannot be read: ${error.subject.reason}`);
  }
  if (layer.digest !== undefined && record.digest !== layer.digest) {
    return doubtful('wrong_record', `its record says that it is ${record.digest}`);
  }
  if (layer.diffId !== undefined && record.diffId !== layer.diffId) {
    return doubtful(
      'wrong_record',
      `its record says diffID ${record.diffId}, the image says ${layer.diffId}`,
    );
  }
  return record;
}

/**
 * Judges whether the tree shows the ids that the store needs, and whether they are the image's ids.
 * A publication without `--keep-ownership` gives all files to one user. So does a client that claims all files
 * (CVMFS_CLAIM_OWNERSHIP=yes, its default). Therefore a second owner proves that owners were kept. The directory around
 * the tree is a proof too, since the same command makes it: it belongs to -1 where owners are kept, and to the one user
 * otherwise (servers up to 2.11 always keep owners, and give the directory to the publisher). Files of root alone prove
 * nothing: root may have published them.
 */
function judgeOwners(request: JudgeRequest, answer: Found, mappings: IdMappings): Owners | Doubtful {
  const { repository } = request;
  const root = toHostId(mappings.uids, 0) ?? 0;
  const uids = new Set(answer.owners.map(uidOf));
  if (uids.size === 0) return 'kept';
  if (uids.has(0) && root !== 0) {
    const need = `root of this store's containers is ${root}`;
    const advice = 'give the store a mount with CVMFS_UID_MAP and CVMFS_GID_MAP and name it under mounts';
    return doubtful('wrong_owner', `its files belong to 0, and ${need}: ${advice}`);
  }
  const isUsable = [...uids].some((uid) => uid === root || isMapped(mappings, uid));
  if (isUsable && provesOwners(repository, answer)) return 'kept';
  if (uids.has(root)) return mayBePublishersRoot(request, answer) ? 'unproven' : 'kept';
  if (repository.lostMetadata.owners !== 'fall_back') return 'lost';
  return doubtful(
    'lost_metadata',
    `all its files belong to ${[...uids].join(', ')}: they were published without their owners, or the client claims them (CVMFS_CLAIM_OWNERSHIP)`,
  );
}

function provesOwners({ type }: Repository, { allOwners, owners, around }: Found): boolean {
  // The directory around the tree proves something only if one command made both, which is unknown for a plain
  // directory.
  if ((type === 'directory' ? owners : allOwners).length > 1) return true;
  return around !== undefined && isNobodys(around) && !owners.every(isNobodys);
}

/**
 * True when all files may belong to root because root published them. A flat root filesystem is no layer of an image.
 * An unpacker that runs as root, as in the 2017 layout, keeps owners.
 */
function mayBePublishersRoot(request: JudgeRequest, { publisher }: Found): boolean {
  const made = madeBy(request);
  return made === 'ingest' || (made === 'unpack' && publisher !== undefined);
}

function isNobodys(owner: string): boolean {
  const [uid = Number.NaN, gid = Number.NaN] = owner.split(':').map(Number);
  return isNobody({ uid, gid });
}

function uidOf(owner: string): number {
  return Number(owner.split(':')[0]);
}

function madeBy({ repository, paths }: JudgeRequest): MadeBy {
  if (paths.tree !== '') return 'ingest';
  return repository.layout === 'graphdriver' ? 'unpack' : 'itself';
}

function isMapped(mappings: IdMappings, host: number): boolean {
  if (mappings.uids.length === 0) return true;
  return mappings.uids.some((range) => host >= range.host && host - range.host < range.size);
}
