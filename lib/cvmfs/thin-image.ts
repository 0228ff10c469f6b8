/**
 * Makes thin images: one small layer that names the layers of an image in a repository. DUCC calls its only file
 * `thin.json`; the Docker graph driver of 2017 called it `.thin` first, and both read URLs that start with `cvmfs://`.
 */
import { gzipSync } from 'node:zlib';
import type { ByteName } from '../base/bytes.ts';
import { type DiffId, type Digest, digestOf } from '../base/digest.ts';
import { END_OF_ARCHIVE, paddingOf, tarHeader } from '../layer/tar/write-header.ts';
import { OCI_CONFIG, OCI_LAYER, OCI_MANIFEST } from '../oci/media-types.ts';
import { bytesOfText } from '../sys/kernel/utf8.ts';
import { formatThinImage } from './records.ts';

/** The consumers that a thin image is made for. */
export type ThinForm = 'ducc' | 'graphdriver';

const MEMBER: Readonly<Record<ThinForm, string>> = { ducc: 'thin.json', graphdriver: '.thin' };
/** DUCC and the graph driver put it into the environment of every thin image. */
const MARK = 'CVMFS_IMAGE=true';

export interface ThinLayer {
  readonly bytes: Uint8Array;
  readonly digest: Digest;
  readonly diffId: DiffId;
  /** Bytes of the blob. */
  readonly size: number;
  readonly tarBytes: number;
}

/**
 * The only layer of a thin image. The same layers give the same bytes.
 * @param origin the URL of the image that is made thin
 * @param layers bottom first, with URLs `cvmfs://REPOSITORY/PATH`
 */
export function thinLayer(
  form: ThinForm,
  origin: string,
  layers: readonly { readonly digest: Digest; readonly url: string }[],
): ThinLayer {
  const text = bytesOfText(formatThinImage(origin, layers));
  const header = tarHeader({
    path: MEMBER[form] as ByteName,
    kind: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime: { sec: 0, nsec: 0 },
    xattrs: [],
    size: text.length,
    target: '' as ByteName,
  });
  const tar = Buffer.concat([header, text, Buffer.alloc(paddingOf(text.length)), END_OF_ARCHIVE]);
  const bytes = gzipSync(tar, { level: 9 });
  return {
    bytes,
    digest: digestOf(bytes),
    diffId: digestOf(tar) as unknown as DiffId,
    size: bytes.length,
    tarBytes: tar.length,
  };
}

/**
 * The configuration of the thin image: the image's own, so that user, command and environment stay, with the layer of the
 * thin image. DUCC loses all but environment and command.
 * @param image the parsed configuration of the image, checked by its schema
 */
export function thinConfig(
  image: Readonly<Record<string, unknown>>,
  layer: ThinLayer,
  origin: string,
): string {
  const { history: _, ...rest } = image;
  const config = (rest['config'] ?? {}) as { readonly Env?: readonly string[] | null };
  const env = (config.Env ?? []).filter((entry) => !entry.startsWith('CVMFS_IMAGE='));
  const created = typeof image['created'] === 'string' ? { created: image['created'] } : {};
  return JSON.stringify({
    ...rest,
    config: { ...config, Env: [...env, MARK] },
    rootfs: { type: 'layers', diff_ids: [layer.diffId] },
    history: [{ ...created, created_by: 'graft thin', comment: `thin image of ${origin}` }],
  });
}

/** The manifest of the thin image. */
export function thinManifest(
  layer: ThinLayer,
  config: { readonly digest: Digest; readonly size: number },
): string {
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { mediaType: OCI_CONFIG, digest: config.digest, size: config.size },
    layers: [{ mediaType: `${OCI_LAYER}+gzip`, digest: layer.digest, size: layer.size }],
  });
}
