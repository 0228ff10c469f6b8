import type { CvmfsErrors } from '../../lib/base/errors/cvmfs.ts';

export const cvmfsSentences: { [C in keyof CvmfsErrors]: (s: CvmfsErrors[C]) => string } = {
  CVMFS_NOT_ALLOWED: (s) =>
    `${s.path} cannot be used: ${s.reason}; CVMFS repositories that may be used: ` +
    `${s.repositories || 'none'} (cvmfs.repositories in the extra settings)`,
  CVMFS_UNHEALTHY: (s) =>
    `${s.what} in the CVMFS repository ${s.repository} cannot be used: ${s.reason} (${s.doubt}); ` +
    `look at the repository with 'graft doctor'`,
  CVMFS_NOT_PUBLISHED: (s) =>
    `nothing is published as ${s.path} in the CVMFS repository ${s.repository}; a new publication shows once the ` +
    `client has its revision, which 'cvmfs_talk -i ${s.repository} remount sync' asks for`,
  CVMFS_BAD_RECORD: (s) =>
    `the record ${s.path} on CVMFS cannot be used: ${s.reason}; publish the image again`,
  CVMFS_THIN_LAYER_MISSING: (s) =>
    `the thin image ${s.image} names the layer ${s.url}, and ${s.reason}; publish the image again, or use the ` +
    'image that it was made from',
};
