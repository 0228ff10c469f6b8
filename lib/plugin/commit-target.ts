/** The places that a container can be committed to. */
import type { Digest } from '../base/digest.ts';
import type { BaseReader } from '../commit/base/base-reader.ts';
import type { BaseDocuments } from '../commit/image/document.ts';
import type { PackedLayer } from '../commit/layer/pack.ts';
import type { StagedBlob } from '../commit/target/layout-writer.ts';

/** The digest and the number of bytes of a document. */
interface DocumentFacts {
  readonly digest: Digest;
  readonly size: number;
}

/** A place for one image. No process finds the image there before `publish` has ended. */
export interface CommitTarget extends Disposable {
  /** Makes sure that `publish` can name the layers of the image that the container was made from. @throws COMMIT_BASE */
  layersBelow(reader: BaseReader, documents: BaseDocuments, signal: AbortSignal): Promise<void>;
  /** The room for the bytes of the new layer, which are written once. */
  stage(): StagedBlob;
  /**
   * Gives the image its name, after all that it consists of.
   * @param config the text of the configuration
   * @param manifestOf makes the text of the manifest
   * @returns the digest of the manifest
   */
  publish(
    layer: PackedLayer,
    config: string,
    manifestOf: (config: DocumentFacts) => string,
    signal: AbortSignal,
  ): Promise<Digest>;
}
