/** The records beside a layer's tree. */
import type { Digest } from '../../base/digest.ts';
import { formatLayerRecord, formatOverlayRecord } from '../../cvmfs/records.ts';
import type { UnpackResult } from '../../layer/tree/types.ts';
import type { MarkedTree } from './marker-files.ts';

/** A verified layer that is unpacked and not published. */
export interface StagedLayer {
  readonly digest: Digest;
  /** Holds the tree `layerfs` in the form of overlayfs, and the tree's manifest as the file `manifest`. */
  readonly directory: string;
  readonly facts: UnpackResult;
}

/** The files of the layer's directory `.metadata` by name. */
export function layerRecords(
  { digest, facts }: StagedLayer,
  { hidden, implied }: MarkedTree,
  publication: { readonly ownersKept: boolean; readonly at: Date },
): { readonly 'layers.json': string; readonly 'overlay.json': string } {
  const { diffId, tarBytes, explicitRoot, fileBytes, entries, opaqueDirs } = facts;
  return {
    'layers.json': formatLayerRecord({ digest, diffId, tarBytes }, publication.at.toISOString()),
    'overlay.json': formatOverlayRecord({
      layer: digest,
      opaque: opaqueDirs,
      implied,
      // Each directory of the tree has the attributes of its own entry, wherever the archive had it.
      late: [],
      ownersKept: publication.ownersKept,
      explicitRoot,
      hidden,
      fileBytes,
      entries,
    }),
  };
}
