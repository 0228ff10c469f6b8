/** Whether a layer that is there is the right one, whole, and fit for the store's containers. */

import { isPluginError } from '../base/errors/error.ts';
import { type IdMappings, toHostId } from '../base/id-mapping.ts';
import { errnoMeaning } from '../sys/kernel/errno.ts';
import type { Place, PublishedLayer, RepositoryDoubt, SoughtLayer } from './locate.ts';
import type { LayerAnswer } from './probe-protocol.ts';
import { type LayerRecord, parseLayerRecord } from './records.ts';
import { type Doubtful, doubtful, type RepositoryState } from './repository.ts';
import type { Repository } from './settings.ts';

type Found = Extract<LayerAnswer, { result: 'found' }>;

export interface JudgeRequest {
  readonly repository: Repository;
  readonly state: RepositoryState;
  readonly place: Place;
  readonly layer: SoughtLayer;
  readonly answer: LayerAnswer;
  readonly mappings: IdMappings;
}

export function judgeLayer(
  request: JudgeRequest,
): { layer: PublishedLayer } | { miss: Repository } | RepositoryDoubt {
  const { repository, answer } = request;
  const doubt = (found: Doubtful) => ({ repository, doubt: found.doubt, reason: found.reason });
  switch (answer.result) {
    case 'miss':
      return { miss: repository };
    case 'failed':
      return doubt(doubtful('io_error', `${errnoMeaning(answer.failure.code)} (${answer.failure.code})`));
    case 'half':
      return doubt(
        doubtful('half_published', `the layer's directory is there without its tree ${request.place.tree}`),
      );
    case 'found':
      return judgeFound(request, answer, doubt);
  }
}

function judgeFound(
  request: JudgeRequest,
  answer: Found,
  doubt: (found: Doubtful) => RepositoryDoubt,
): { layer: PublishedLayer } | RepositoryDoubt {
  const { repository, state, place, layer, mappings } = request;
  const record = judgeRecord(request, answer);
  if (record !== undefined && 'ok' in record) return doubt(record);
  if (record === undefined && answer.owners.length === 0 && answer.publisher === undefined) {
    return doubt(doubtful('half_published', 'its tree is empty and has neither a record nor a catalog'));
  }
  const magic = repository.type === 'cvmfs' && answer.listed.find((name) => name === 'user.fqrn');
  if (magic) {
    const reason =
      'the client lists its magic attributes everywhere, and every copied-up file would get them all';
    return doubt(doubtful('unusable_layer', `${reason}: set CVMFS_MAGIC_XATTRS_VISIBILITY=rootonly`));
  }
  if (place.tree === '' && answer.stickyLost && repository.lostMetadata.setuid === 'fall_back') {
    const reason =
      'it was published without its set-id and sticky bits: /tmp is writable for all and not sticky';
    return doubt(doubtful('lost_metadata', reason));
  }
  const needsIdmap = repository.type === 'directory' && !repository.mapped && mappings.uids.length > 0;
  const owners = judgeOwners(repository, answer, needsIdmap ? NO_MAPPINGS : mappings);
  if (owners !== 'kept' && owners !== 'lost') return doubt(owners);
  return {
    layer: {
      repository,
      state,
      directory: place.directory,
      tree: place.tree,
      path: [repository.path, place.directory, place.tree].filter((part) => part !== '').join('/'),
      root: answer.root,
      fingerprint: answer.fingerprint,
      tarBytes: record?.tarBytes,
      recordedDigest: layer.digest ?? record?.digest,
      companion: answer.companion && (layer.digest ?? record?.digest) !== undefined,
      needsIdmap,
      ownersLost: owners === 'lost',
    },
  };
}
const NO_MAPPINGS: IdMappings = { uids: [], gids: [] };

/**
 * Publishers do not verify what they publish: DUCC compares no digest, and accepts a download that was cut at the
 * end of an entry. What it records of the stream it piped is therefore held against what the image promises.
 */
function judgeRecord({ layer, place }: JudgeRequest, answer: Found): LayerRecord | Doubtful | undefined {
  if (answer.record === undefined) return undefined;
  const path = `${place.directory}/.metadata/layers.json`;
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
 * Who owns the tree's top directory tells whether ids arrive as the store needs them. One entry of the container's
 * root is proof; so are owners other than the publisher's, since a client that claims all files for one user
 * (CVMFS_CLAIM_OWNERSHIP=yes, its default) and an ingest without --keep-ownership leave one owner only.
 */
function judgeOwners(
  repository: Repository,
  answer: Found,
  mappings: IdMappings,
): 'kept' | 'lost' | Doubtful {
  const root = toHostId(mappings.uids, 0) ?? 0;
  const uids = new Set(answer.owners.map((owner) => Number(owner.split(':')[0])));
  if (uids.size === 0 || uids.has(root)) return 'kept';
  if (uids.has(0)) {
    const need = `root of this store's containers is ${root}`;
    const advice = 'give the store a mount with CVMFS_UID_MAP and CVMFS_GID_MAP and name it under mounts';
    return doubtful('wrong_owner', `its files belong to 0, and ${need}: ${advice}`);
  }
  const publisher = answer.publisher?.uid;
  const mapped = [...uids].filter((uid) => uid !== publisher && isMapped(mappings, uid));
  if (mapped.length > (publisher === undefined ? 1 : 0)) return 'kept';
  const policy = repository.lostMetadata.owners;
  if (policy !== 'fall_back') return 'lost';
  return doubtful(
    'lost_metadata',
    `all its files belong to ${[...uids].join(', ')}: they were published without their owners, or the client claims them (CVMFS_CLAIM_OWNERSHIP)`,
  );
}

function isMapped(mappings: IdMappings, host: number): boolean {
  if (mappings.uids.length === 0) return true;
  return mappings.uids.some((range) => host >= range.host && host - range.host < range.size);
}
