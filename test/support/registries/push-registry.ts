/** A registry of the test's own that takes images, right in everything but what the test changes about it. */
import { sha256Hex } from '../../../lib/base/digest.ts';
import { errorAnswer, type Override } from './fake-registry.ts';
import { head, type RawAnswer, type RawRequest, type RawServer, rawServer, whole } from './raw-server.ts';

export interface PushRegistryOptions {
  readonly override?: Override;
  readonly early?: (request: RawRequest, answer: RawAnswer) => boolean;
  /** More headers of the answer that begins an upload. */
  readonly begins?: Readonly<Record<string, string>>;
  readonly tls?: { readonly cert: string; readonly key: string };
}

export interface PushRegistry extends RawServer {
  readonly blobs: Map<string, Buffer>;
  readonly manifests: Map<string, { readonly type: string; readonly bytes: Buffer }>;
  /** The bytes of uploads that were begun and neither completed nor dropped. */
  readonly uploads: Map<string, Buffer>;
  /** `METHOD kind` of all requests, the kind being blobs, uploads or manifests. */
  done(): string[];
}

/** Repositories share their blobs, as where everything can be mounted. */
export function pushRegistry(options: PushRegistryOptions = {}): PushRegistry {
  const blobs: PushRegistry['blobs'] = new Map();
  const manifests: PushRegistry['manifests'] = new Map();
  const uploads: PushRegistry['uploads'] = new Map();
  const server = rawServer(async (request, answer) => {
    if (await options.override?.(request, answer)) return;
    await answer.write(await answerTo(request, { blobs, manifests, uploads }, options.begins ?? {}));
  }, options);
  const done = () =>
    server.requests
      .filter(({ target }) => target !== '/v2/')
      .map(
        ({ method, target }) =>
          `${method} ${/uploads|blobs|manifests/.exec(target.replace('blobs/uploads', 'uploads'))?.[0]}`,
      );
  return { ...server, blobs, manifests, uploads, done };
}

type Kept = Pick<PushRegistry, 'blobs' | 'manifests' | 'uploads'>;

function answerTo(
  request: RawRequest,
  kept: Kept,
  begins: Readonly<Record<string, string>>,
): Uint8Array | string {
  const url = new URL(request.target, 'http://registry.test');
  const [, kind = '', name = ''] =
    /^\/v2\/.+?\/(blobs\/uploads|blobs|manifests)\/([^/]*)$/.exec(url.pathname) ?? [];
  if (url.pathname === '/v2/') return whole(200, '{}');
  if (kind === 'blobs') return found(kept.blobs.get(name), name);
  if (kind === 'manifests') return manifest(request, kept, name);
  if (kind !== 'blobs/uploads') return errorAnswer(404, 'NAME_UNKNOWN');
  if (request.method === 'POST') {
    const mount = url.searchParams.get('mount') ?? '';
    if (kept.blobs.has(mount)) return whole(201, '', { 'docker-content-digest': mount });
    const id = String(kept.uploads.size + 1 + kept.blobs.size);
    kept.uploads.set(id, Buffer.alloc(0));
    return whole(202, '', { location: `${url.pathname}${id}?state=1`, ...begins });
  }
  return upload(request, url, kept, name);
}

function upload(request: RawRequest, url: URL, { uploads, blobs }: Kept, id: string): Uint8Array {
  const before = uploads.get(id);
  if (before === undefined) return errorAnswer(404, 'BLOB_UPLOAD_UNKNOWN');
  const range = { location: `${url.pathname}?state=2`, range: `0-${Math.max(0, before.length - 1)}` };
  if (request.method === 'GET') return whole(204, '', range);
  if (request.method === 'DELETE') {
    uploads.delete(id);
    return whole(204);
  }
  const from = /^(\d+)-/.exec(request.headers.get('content-range') ?? '')?.[1];
  if (from !== undefined && Number(from) !== before.length) return whole(416, '', range);
  const bytes = Buffer.concat([before, Buffer.from(request.body, 'latin1')]);
  uploads.set(id, bytes);
  if (request.method === 'PATCH')
    return whole(202, '', { ...range, range: `0-${Math.max(0, bytes.length - 1)}` });
  const digest = url.searchParams.get('digest') ?? '';
  uploads.delete(id);
  if (digest !== `sha256:${sha256Hex(bytes)}`) return errorAnswer(400, 'DIGEST_INVALID');
  blobs.set(digest, bytes);
  return whole(201, '', { 'docker-content-digest': digest });
}

function manifest(request: RawRequest, { manifests }: Kept, name: string): Uint8Array | string {
  if (request.method !== 'PUT') return found(manifests.get(name)?.bytes, undefined);
  const bytes = Buffer.from(request.body, 'latin1');
  const digest = `sha256:${sha256Hex(bytes)}`;
  const entry = { type: request.headers.get('content-type') ?? '', bytes };
  manifests.set(name, entry);
  manifests.set(digest, entry);
  return whole(201, '', { 'docker-content-digest': digest });
}

/** An answer to HEAD. */
function found(bytes: Uint8Array | undefined, digest: string | undefined): string {
  if (bytes === undefined) return head(404, { 'content-length': 0 });
  const named = digest ?? `sha256:${sha256Hex(bytes)}`;
  return head(200, { 'content-length': bytes.length, 'docker-content-digest': named });
}
