import type { PublishErrors } from '../../lib/base/errors/publish.ts';

export const publishSentences: { [C in keyof PublishErrors]: (s: PublishErrors[C]) => string } = {
  PUBLISH_BAD_TARGET: (s) => `${s.target} cannot be a target: ${s.reason}`,
  PUBLISH_BUSY: (s) =>
    `another graft${s.pid === undefined ? '' : ` (process ${s.pid})`} is publishing to ${s.target}; try again when it has ended`,
  PUBLISH_NEEDS_NAME: (s) =>
    `${s.image} has no name in a repository; give one with --name REGISTRY/REPOSITORY:TAG`,
  PUBLISH_BAD_NAME: (s) =>
    `${s.name} is no name for a published image; write REGISTRY/REPOSITORY:TAG, without a dot at the start of a part`,
  PUBLISH_WISH_LIST: (s) => `the wish list ${s.path} cannot be used: ${s.reason}`,
  PUBLISH_WISH: (s) => `the wish ${s.wish} cannot be done: ${s.reason}`,
  PUBLISH_SOURCE: (s) => `the image ${s.image} cannot be published: ${s.reason}`,
  PUBLISH_LAYER_DEPENDS: (s) =>
    `the layer ${s.digest} cannot be published: its entry ${s.entry} is a hard link to ${s.target} of a lower layer; ` +
    'build the image again with a copy in place of the link',
  THIN_UNPUBLISHED: (s) =>
    `a thin image of ${s.image} cannot be made from ${s.target}: ${s.reason}; graft publish puts the image there`,
  PUBLISH_CATALOG_NAME: (s) =>
    `the image cannot be published: it has a ${s.name} that is no file, and CernVM-FS keeps its own ` +
    'catalog under that name',
  PUBLISH_TOO_DEEP: (s) => `the image cannot be published: ${s.path} lies too deep in it`,
  PUBLISH_SERVER: (s) => `'${s.command}' failed (${s.status}): ${s.says || 'it says nothing'}`,
  PUBLISH_TRANSACTION: (s) =>
    `a transaction is open on ${s.repository}, and it is not graft's; when nobody is at work there, ` +
    `'cvmfs_server abort -f ${s.repository}' ends it`,
};
