/** Resolves a thin image: from the descriptor in its only layer to the layers that the descriptor names. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { digestOf } from '../../base/digest.ts';
import { PluginError } from '../../base/errors/error.ts';
import type { Grade } from '../../base/grade.ts';
import { MiB } from '../../base/limits.ts';
import { thinAddress } from '../../cvmfs/address.ts';
import { parseThinImage, type ThinImage } from '../../cvmfs/records.ts';
import { thinDescriptor } from '../../cvmfs/thin.ts';
import { layerKey } from '../../store/layout/layer-key.ts';
import type { Grant } from '../../store/records/grants.ts';
import type { Store } from '../../store/store.ts';
import { Admission } from './admission.ts';
import { registryReference } from './cvmfs-names.ts';
import {
  type BlobFacts,
  blobOfLayer,
  compressionOfLayer,
  type DirectoryLayer,
  digestOfLayer,
  type ImageLayer,
  type NamedOnCvmfs,
  namedOnCvmfs,
} from './image-layer.ts';
import { chunksOf } from './layer-chunks.ts';
import type { BlobOfPlace, ImageSource, LayerBytes, ResolvedImage } from './source.ts';
import { MAX_THIN_BLOB, type ThinOptions } from './thin-options.ts';

export interface ResolvedThin {
  readonly image: ResolvedImage;
  readonly origin: ThinOrigin | undefined;
}

/**
 * The image that a thin image was made of, for layers that its repository lacks. No request is sent before such a layer
 * is opened.
 */
export class ThinOrigin {
  readonly #source: ImageSource;
  #image: Promise<ResolvedImage> | undefined;
  /** The layers of the thin image, with those of the origin's manifest. */
  readonly #found = new Map<ImageLayer, ImageLayer>();

  constructor(source: ImageSource) {
    this.#source = source;
  }

  get place(): string | undefined {
    return this.#source.place;
  }

  async mayRead(blob: BlobOfPlace, signal: AbortSignal): Promise<Grade | undefined> {
    return this.#source.mayRead?.(blob, signal);
  }

  delivered(layer: ImageLayer): Grant {
    const found = this.#found.get(layer);
    if (found === undefined) throw new Error('nothing has been opened');
    return this.#source.delivered(found);
  }

  hosts(layer: ImageLayer): readonly string[] | undefined {
    const found = this.#found.get(layer);
    return found && this.#source.hosts?.(found);
  }

  /** @throws CVMFS_THIN_LAYER_MISSING when the image has other layers by now */
  async open(layer: ImageLayer, signal: AbortSignal): Promise<LayerBytes> {
    this.#image ??= this.#source.resolve(signal);
    const image = await this.#image;
    const wanted = digestOfLayer(layer);
    // The origin's layer has a size, and that of a thin image has none.
    const found = image.layers.find((one) => wanted !== undefined && digestOfLayer(one) === wanted);
    if (found !== undefined) {
      this.#found.set(layer, found);
      return this.#source.open(found, signal);
    }
    throw new PluginError('CVMFS_THIN_LAYER_MISSING', {
      image: namedOnCvmfs(layer)?.thinImage ?? image.name,
      url: namedOnCvmfs(layer)?.shown ?? '',
      reason: `neither its repository nor ${image.name} has it`,
    });
  }

  close(): Promise<void> {
    return this.#source.close();
  }
}

/** Resolves the thin image; undefined for an ordinary image. @throws CVMFS_NOT_ALLOWED, CVMFS_BAD_RECORD */
export async function resolveThin(
  image: ResolvedImage,
  layer: ImageLayer,
  source: ImageSource,
  options: ThinOptions,
  signal: AbortSignal,
): Promise<ResolvedThin | undefined> {
  const descriptor = await descriptorOf(image, layer, source, options.store, signal);
  if (descriptor === undefined) return undefined;
  const thin = parseThinImage(descriptor, `thin.json of ${image.name}`);
  const settings = await options.settings();
  const addresses = thin.layers.map(({ url }) => thinAddress(settings, url));
  const reference = originOf(thin);
  const origin = reference === undefined ? undefined : await options.anonymous(reference);
  const layers = thin.layers.flatMap(({ url, digest }, index): DirectoryLayer[] => {
    const address = addresses[index];
    if (address === undefined) return [];
    const elsewhere = origin !== undefined && digest !== undefined;
    const onCvmfs: NamedOnCvmfs = { address, shown: url, elsewhere, thinImage: image.name };
    const blob = digest === undefined ? undefined : { ...NOTHING_DECLARED, digest };
    return [{ kind: 'directory', blob, onCvmfs }];
  });
  options.log.info('thin-image', { image: image.name, origin: thin.origin, layers: layers.length });
  // The layers come from the origin's place, not from that of the thin image.
  const place = origin?.place;
  return {
    image: { ...image, layers, origin: undefined, place },
    origin: origin && new ThinOrigin(origin),
  };
}

/** The error for a layer whose repository answered and then could not be used. */
export function nowhereElse(onCvmfs: NamedOnCvmfs): PluginError {
  return new PluginError('CVMFS_UNHEALTHY', {
    repository: onCvmfs.address.repository.name,
    what: onCvmfs.shown,
    doubt: 'io_error',
    reason: 'it answered and could not be mounted, and no other source has it',
  });
}

const NOTHING_DECLARED: Omit<BlobFacts, 'digest'> = {
  diffId: undefined,
  size: undefined,
  mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  compression: 'auto',
  baseDirectory: undefined,
  urls: [],
};

/** Reads the descriptor. A fetched one is kept beside manifests, under the digest of its blob. */
async function descriptorOf(
  image: ResolvedImage,
  layer: ImageLayer,
  source: ImageSource,
  store: Store | undefined,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const unpacked = store && (await unpackedDescriptor(image, layer, source, store, signal));
  if (store !== undefined && unpacked !== 'not unpacked') return unpacked;
  const digest = digestOfLayer(layer);
  const kept = digest && image.place && store?.blobs.get(digest, image.place);
  let blob = kept && kept.grade !== 'asked' ? kept.bytes : undefined;
  if (blob === undefined) {
    blob = await collect(await source.open(layer, signal));
    if (blob === undefined || (digest !== undefined && digestOf(blob) !== digest)) return undefined;
    const { to } = source.delivered(layer);
    // For whoever has to be asked it is fetched again: that costs no more.
    if (digest !== undefined && image.place !== undefined && to !== 'asked')
      store?.blobs.put(digest, { bytes: blob, grade: to }, image.place);
  }
  const tar = await inflate(blob, layer);
  return tar && thinDescriptor(tar);
}

/**
 * Reads the descriptor from the unpacked layer, which then need not be fetched, if the caller may have the layer. Any
 * other caller does not learn whether the store has it.
 */
async function unpackedDescriptor(
  image: ResolvedImage,
  layer: ImageLayer,
  source: ImageSource,
  store: Store,
  signal: AbortSignal,
): Promise<Uint8Array | undefined | 'not unpacked'> {
  const diffId = blobOfLayer(layer)?.diffId;
  if (diffId === undefined) return 'not unpacked';
  const key = layerKey({ content: diffId, validated: layer.kind !== 'unvalidated' });
  const tree = store.layout.tree(key);
  // An image is not mounted for so small a layer, which a registry gives again.
  if (!existsSync(tree) || existsSync(store.layout.layerImage(key))) return 'not unpacked';
  const admission = new Admission({ store, source, signal }, image);
  if (!(await admission.ask([key]))) return 'not unpacked';
  const names = readdirSync(tree);
  const [name] = names;
  if (names.length !== 1 || (name !== 'thin.json' && name !== '.thin')) return undefined;
  return readFileSync(`${tree}/${name}`);
}

async function collect(bytes: LayerBytes): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunksOf(bytes)) {
    length += chunk.length;
    if (length > MAX_THIN_BLOB) return undefined;
    chunks.push(chunk.slice());
  }
  return Buffer.concat(chunks);
}

/** The largest descriptor with the blocks around it. */
const MAX_TAR = 2 * MiB;

async function inflate(blob: Uint8Array, layer: ImageLayer): Promise<Uint8Array | undefined> {
  const compression = compressionOfLayer(layer);
  if (compression === 'none') return blob;
  const { gunzipSync, zstdDecompressSync } = await import('node:zlib');
  try {
    const options = { maxOutputLength: MAX_TAR };
    return compression === 'zstd' ? zstdDecompressSync(blob, options) : gunzipSync(blob, options);
  } catch {
    return undefined;
  }
}

/**
 * The reference of the origin. DUCC writes the URL of the image; the tools of 2017 wrote text that is no URL and names
 * no registry.
 */
function originOf(thin: ThinImage): string | undefined {
  const match = /^https:\/\/(.+)$/.exec(thin.origin ?? '');
  return match === null ? undefined : registryReference(`docker://${match[1]}`);
}
