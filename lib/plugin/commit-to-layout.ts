import { copyLayers } from '../commit/base/copy-layers.ts';
import { LayoutWriter } from '../commit/target/layout-writer.ts';
import { OCI_MANIFEST } from '../oci/media-types.ts';
import type { LayoutReference } from '../oci/reference.ts';
import type { CommitTarget } from './commit-target.ts';

/** An image of an OCI layout, which also gets the layers of the base image. @throws COMMIT_TARGET, COMMIT_TARGET_FULL */
export function toLayout({ directory, ref }: LayoutReference & { readonly ref: string }): CommitTarget {
  const writer = new LayoutWriter(directory);
  return {
    layersBelow: (reader, documents, signal) => copyLayers(reader, documents, writer, signal),
    stage: () => writer.stage(),
    publish: async (_layer, text, manifestOf) => {
      const manifest = writer.put(manifestOf(writer.put(text)));
      writer.publish(ref, { mediaType: OCI_MANIFEST, ...manifest });
      return manifest.digest;
    },
    [Symbol.dispose]() {},
  };
}
