/**
 * The archives of the corpus that umoci does not read as this program does, each with the reason. Every archive that
 * is not here must come out as umoci unpacks it, or be refused by both.
 */

export interface Expectation {
  /** The code of the refusal; `undefined` where the archive is unpacked. */
  readonly code?: string;
  /** Who the tree is compared with instead of umoci; nobody where the archive is refused. */
  readonly referee?: 'umoci' | 'tar' | 'bsdtar';
  /** Entries that are cut out of the archive before it is read, since they are refused for a reason of their own. */
  readonly without?: readonly string[];
  readonly because: string;
}

const TWICE =
  'two extended headers of one kind for one entry: Go takes the last, Python the first, so it is refused';
const OLD_SPARSE = 'umoci knows no entries of type S; GNU tar and bsdtar unpack them';

export const EXPECTATIONS: Readonly<Record<string, Expectation>> = {
  'gnu-multi-hdrs.tar': { code: 'LAYER_BAD_HEADER', because: TWICE },
  'pax-multi-hdrs.tar': { code: 'LAYER_BAD_HEADER', because: TWICE },
  'pax-path-hdr.tar': {
    code: 'LAYER_TRUNCATED',
    because:
      'the archive ends after an extended header: Go sees its end, bsdtar and this program an archive that is cut',
  },
  'gnu-nil-sparse-data.tar': { referee: 'tar', because: OLD_SPARSE },
  'gnu-nil-sparse-hole.tar': { referee: 'tar', because: OLD_SPARSE },
  'sparse-formats.tar': {
    referee: 'bsdtar',
    because: 'umoci knows no entries of type S, and GNU tar loses its place in this one; bsdtar unpacks it',
  },
  'gnu-sparse-big.tar': {
    code: 'LAYER_TOO_LARGE',
    because:
      'holes of 60 GB, more than the 4 GiB that a layer may have; umoci is not asked, since it would write them',
  },
  'pax-sparse-big.tar': {
    code: 'LAYER_TOO_LARGE',
    because:
      'holes of 60 GB, more than the 4 GiB that a layer may have; umoci is not asked, since it would write them',
  },
  'testtar.tar': {
    referee: 'tar',
    without: [
      'gnu/regtype-gnu-uid',
      'misc/regtype-suntar',
      '/tmp/GlobalHead.26030.1',
      '/tmp/GlobalHead.23988.1',
      '/tmp/GlobalHead.23988.1',
    ],
    because:
      'umoci knows no contiguous files. Left out: a user id of 4294967295, which means "no change" to chown(2); a ' +
      "header of Solaris's type X; global headers with names of owners, which Go ignores and GNU tar applies",
  },
};
