import type { Logger } from '../../../../lib/base/log.ts';
import { silentLogger } from '../../../../lib/base/log.ts';
import { Secret } from '../../../../lib/base/secret.ts';
import { OciLayoutSource } from '../../../../lib/image/source/from-oci-layout.ts';
import type { ImageLayer } from '../../../../lib/image/source/image-layer.ts';
import { LayoutDirectory } from '../../../../lib/image/source/layout-files.ts';
import type { ImageSource, LayerBytes, ResolvedImage } from '../../../../lib/image/source/source.ts';
import { parseImageReference } from '../../../../lib/oci/reference.ts';

export const NEVER = new AbortController().signal;
const AMD64 = { os: 'linux', architecture: 'amd64', variant: undefined };

export interface LayoutSettings {
  readonly skipLayerValidation?: boolean;
  readonly certificates?: string;
  readonly idleSeconds?: number;
  readonly proxy?: string;
  readonly log?: Logger;
}

export function layoutSource(url: string, settings: LayoutSettings = {}): OciLayoutSource {
  const reference = parseImageReference(url);
  if (reference.kind !== 'oci') throw new Error(`${url} is no layout`);
  return new OciLayoutSource({
    place: { transport: 'oci', path: reference.directory, ref: reference.ref },
    files: new LayoutDirectory(reference.directory, settings.skipLayerValidation ? 'follow' : 'refuse'),
    platform: AMD64,
    skipLayerValidation: settings.skipLayerValidation ?? false,
    remote: {
      certificates: settings.certificates,
      proxies: {
        http: settings.proxy === undefined ? undefined : new Secret(settings.proxy),
        https: undefined,
        no: undefined,
      },
      roots: { file: undefined, directories: undefined },
      userAgent: 'graft/test',
      idleSeconds: settings.idleSeconds ?? 10,
      retryMilliseconds: 5,
    },
    log: settings.log ?? silentLogger,
  });
}

export async function resolveLayout(url: string, settings?: LayoutSettings): Promise<ResolvedImage> {
  const source = layoutSource(url, settings);
  try {
    return await source.resolve(NEVER);
  } finally {
    await source.close();
  }
}

export function layerAt(image: ResolvedImage, at: number): ImageLayer {
  const layer = image.layers[at];
  if (layer === undefined) throw new Error(`the image has ${image.layers.length} layers`);
  return layer;
}

/** All bytes of a layer. */
export async function bytesOf(source: ImageSource, layer: ImageLayer): Promise<Buffer> {
  return drain(await source.open(layer, NEVER));
}

export async function drain(bytes: LayerBytes): Promise<Buffer> {
  if (bytes.kind === 'file') return Buffer.from(await Bun.file(bytes.path).bytes());
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes.chunks) chunks.push(chunk.slice());
  return Buffer.concat(chunks);
}
