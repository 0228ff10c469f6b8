/** Where `run` and `spec` read the configuration of a container's image: by what the container's record says. */
import type { Digest } from '../../lib/base/digest.ts';
import { isPluginError, PluginError } from '../../lib/base/errors/error.ts';
import { readBase } from '../../lib/commit/base/base-image.ts';
import { type ImageConfig, parseConfig } from '../../lib/oci/config.ts';
import { parseImageReference } from '../../lib/oci/reference.ts';
import type { ImageRecord } from '../../lib/store/records/image-record.ts';
import type { Store } from '../../lib/store/store.ts';
import { commitBase } from './commit-base.ts';
import type { SourceContext } from './context.ts';
import { openSource } from './source.ts';

/**
 * The whole configuration of an image of a registry, a layout or an archive, by the digest of its manifest. Undefined for other images,
 * and where it cannot be had.
 */
export async function wholeConfig(
  context: SourceContext,
  store: Store,
  { image, manifestDigest }: Pick<ImageRecord, 'image' | 'manifestDigest'>,
  signal: AbortSignal,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const { kind } = parseImageReference(image);
  if (kind === 'tar' || kind === 'cvmfs' || manifestDigest === undefined) return undefined;
  const base = await commitBase(context, store, { image } as ImageRecord);
  try {
    const from = { image, manifestDigest: manifestDigest as Digest, layers: [], registryName: undefined };
    return base && (await readBase(base.reader, from, 'configuration', signal)).config;
  } catch (error) {
    signal.throwIfAborted();
    if (!isPluginError(error)) throw error;
    context.log.info('configuration-not-shown', { image, code: error.code });
    return undefined;
  } finally {
    base?.reader.close();
  }
}

/** Undefined for a tar, which has no configuration. @throws RUN_CONFIG, and REGISTRY_* of a registry that may answer later */
export async function containerConfig(
  context: SourceContext,
  store: Store,
  { id, record }: { id: string; record: ImageRecord },
  signal: AbortSignal,
): Promise<ImageConfig | undefined> {
  const { kind } = parseImageReference(record.image);
  if (kind === 'tar') return undefined;
  if (kind === 'cvmfs') return publishedConfig(context, store, record, signal);
  const base = await commitBase(context, store, record);
  try {
    if (base === undefined) return undefined;
    const { image, layers } = record;
    const from = {
      image,
      manifestDigest: record.manifestDigest as Digest | undefined,
      layers,
      registryName: undefined,
    };
    const { config } = await readBase(base.reader, from, 'configuration', signal);
    return parseConfig(Buffer.from(JSON.stringify(config)), image, context.log);
  } catch (error) {
    if (!isPluginError(error, 'COMMIT_BASE')) throw error;
    const { image, reason } = error.subject;
    throw new PluginError('RUN_CONFIG', { id, image, reason }, { cause: error });
  } finally {
    base?.reader.close();
  }
}

async function publishedConfig(
  context: SourceContext,
  store: Store,
  { image }: ImageRecord,
  signal: AbortSignal,
): Promise<ImageConfig | undefined> {
  const source = await openSource(context, image, store, false, 'tell');
  try {
    return (await source.resolve(signal)).config;
  } finally {
    await source.close();
  }
}
