/** A registry of the test's own, right in everything but what the test changes about it. */
import { sha256Hex } from '../../../lib/base/digest.ts';
import { OCI_CONFIG, OCI_LAYER, OCI_MANIFEST } from '../../../lib/oci/media-types.ts';
import { type RawAnswer, type RawRequest, type RawServer, rawServer, whole } from './raw-server.ts';

export interface Blob {
  readonly digest: string;
  readonly bytes: Uint8Array;
  readonly mediaType: string;
}

export interface FakeImage {
  readonly manifest: Blob;
  readonly config: Blob;
  readonly layers: readonly Blob[];
}

/** Bytes that look like nothing in particular, the same for the same seed. */
export function noise(size: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(size);
  let state = (seed * 2654435761) >>> 0 || 1;
  for (let i = 0; i < size; i += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

export function blobOf(bytes: Uint8Array | string, mediaType: string): Blob {
  const content = Buffer.from(bytes);
  return { digest: `sha256:${sha256Hex(content)}`, bytes: content, mediaType };
}

/** An image whose layers are these bytes, as plain layers. `manifest` changes the manifest before it is named. */
export function fakeImage(
  layers: readonly Uint8Array[],
  manifest: (document: Record<string, unknown>) => Record<string, unknown> = (document) => document,
): FakeImage {
  const blobs = layers.map((bytes) => blobOf(bytes, OCI_LAYER));
  const diffIds = blobs.map(({ digest }) => digest);
  const config = blobOf(
    JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: diffIds } }),
    OCI_CONFIG,
  );
  const document = manifest({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: descriptor(config),
    layers: blobs.map(descriptor),
  });
  return { manifest: blobOf(JSON.stringify(document), OCI_MANIFEST), config, layers: blobs };
}

export function descriptor({ digest, bytes, mediaType }: Blob) {
  return { mediaType, digest, size: bytes.length };
}

/** True: the test has answered. */
export type Override = (request: RawRequest, answer: RawAnswer) => boolean | Promise<boolean>;

export interface FakeRegistryOptions {
  readonly override?: Override;
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly hostname?: string;
  /** Answers every blob with an entity tag. */
  readonly etag?: string;
}

export interface FakeRegistry extends RawServer {
  /** `docker://host/app` with this tag or digest behind it. */
  image(suffix: string): string;
  /** Requests for this digest or tag. */
  asked(reference: string): readonly RawRequest[];
}

/** Serves `image` as `app:latest`. */
export function fakeRegistry(image: FakeImage, options: FakeRegistryOptions = {}): FakeRegistry {
  const blobs = new Map([image.config, ...image.layers].map((blob) => [blob.digest, blob]));
  const manifests = new Map([
    ['latest', image.manifest],
    [image.manifest.digest, image.manifest],
  ]);
  const server = rawServer(async (request, answer) => {
    if (await options.override?.(request, answer)) return;
    const [, kind, reference = ''] = /^\/v2\/app\/(manifests|blobs)\/([^?]+)/.exec(request.target) ?? [];
    const blob = (kind === 'manifests' ? manifests : blobs).get(reference);
    if (request.target === '/v2/') await answer.write(whole(200, '{}'));
    else if (blob === undefined)
      await answer.write(errorAnswer(404, kind === 'blobs' ? 'BLOB_UNKNOWN' : 'MANIFEST_UNKNOWN'));
    else await answer.write(contentAnswer(request, blob, options.etag));
  }, options);
  return {
    ...server,
    image: (suffix) => `docker://${server.host}/app${suffix}`,
    asked: (reference) => server.requests.filter(({ target }) => target.endsWith(`/${reference}`)),
  };
}

/** What a registry answers that has no faults. Ranges are honoured, `If-Range` too. */
export function contentAnswer(request: RawRequest, blob: Blob, etag: string | undefined): Uint8Array {
  const headers = {
    'content-type': blob.mediaType,
    'docker-content-digest': blob.digest,
    ...(etag !== undefined && { etag }),
  };
  if (request.method === 'HEAD') {
    const answer = whole(200, blob.bytes, headers);
    return answer.subarray(0, answer.length - blob.bytes.length);
  }
  const [, first = '0', last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.get('range') ?? '') ?? [];
  const condition = request.headers.get('if-range');
  const changed = condition !== null && condition !== etag;
  if (request.headers.get('range') === null || changed) return whole(200, blob.bytes, headers);
  const [start, end] = [Number(first), last ? Number(last) + 1 : blob.bytes.length];
  const range = `bytes ${start}-${end - 1}/${blob.bytes.length}`;
  return whole(206, blob.bytes.subarray(start, end), { ...headers, 'content-range': range });
}

export function errorAnswer(
  status: number,
  code: string,
  message = code.toLowerCase().replaceAll('_', ' '),
  headers: Readonly<Record<string, string | number>> = {},
): Uint8Array {
  const body = JSON.stringify({ errors: [{ code, message }] });
  return whole(status, body, { 'content-type': 'application/json', ...headers });
}
