import { type DiffId, digestOf, parseDigest } from '../../base/digest.ts';
import { PluginError } from '../../base/errors/error.ts';
import type { Logger } from '../../base/log.ts';
import type { AciManifest } from '../../oci/aci-manifest.ts';
import { parseConfig } from '../../oci/config.ts';
import type { Machine } from '../../oci/machine.ts';
import { OCI_LAYER } from '../../oci/media-types.ts';
import { requirePlatform } from '../../oci/platform.ts';
import { type AciReference, formatReference } from '../../oci/reference.ts';
import { type Grant, LOCAL } from '../../store/records/grants.ts';
import { AciLayer } from './aci-layer.ts';
import type { ArchiveFile } from './archive-file.ts';
import type { BlobLayer } from './image-layer.ts';
import { madeManifest } from './made-manifest.ts';
import type { ImageSource, LayerBytes, ResolvedImage } from './source.ts';

export interface AciOptions {
  readonly reference: AciReference;
  readonly file: ArchiveFile;
  readonly platform: Machine;
  /** The most bytes of a file in it. */
  readonly maxFileBytes: number;
  readonly log: Logger;
  /** Takes the bytes of the manifest and the configuration, for a caller that keeps them. */
  readonly onDocument?: ((bytes: Uint8Array) => void) | undefined;
}

/**
 * An App Container Image (`.aci`). Its root filesystem becomes one layer (`AciLayer`), whose digest and configuration are
 * made here: the same file gives the same image each time.
 */
export class AciSource implements ImageSource {
  readonly #options: AciOptions;
  readonly #name: string;
  #manifest: AciManifest | undefined;

  constructor(options: AciOptions) {
    this.#options = options;
    this.#name = formatReference(options.reference);
  }

  /**
   * Reads the file once, or twice where its manifest comes late and decides on files.
   * @throws IMAGE_SOURCE_MISSING, IMAGE_SOURCE_UNREADABLE, IMAGE_BAD_ARCHIVE, IMAGE_ACI_DEPENDS, IMAGE_ACI_OTHER_ID,
   *   IMAGE_BAD_MANIFEST, IMAGE_NO_PLATFORM, and LAYER_* for a file that is no tar
   */
  async resolve(signal: AbortSignal): Promise<ResolvedImage> {
    const { file, platform, log } = this.#options;
    file.begin();
    let read = await this.#read(undefined, signal);
    if (read.aci.isTooEarly) read = await this.#read(read.aci.manifest, signal);
    this.#manifest = read.aci.manifest;
    const { name, app } = read.aci.manifest;
    const config = configOf(read.aci, read.diffId, this.#name);
    const parsed = parseConfig(config, this.#name, log);
    requirePlatform(parsed, platform, this.#name, log);
    log.info('aci-read', { image: this.#name, name, hasApp: app !== undefined });
    const layer = layerOf(read);
    const manifest = madeManifest(config, [layer]);
    for (const bytes of [config, manifest]) this.#options.onDocument?.(bytes);
    const manifestDigest = digestOf(manifest);
    return { name: this.#name, manifestDigest, config: parsed, layers: [layer], place: LOCAL, grade: 'cell' };
  }

  async open(_layer: unknown, signal: AbortSignal): Promise<LayerBytes> {
    signal.throwIfAborted();
    this.#options.file.verifyUnchanged();
    const aci = new AciLayer(this.#options.file.path, this.#options.maxFileBytes, this.#manifest);
    return { kind: 'stream', chunks: this.#chunks(aci, signal), size: undefined };
  }

  async verifyUnchanged(): Promise<void> {
    this.#options.file.verifyUnchanged();
  }

  delivered(): Grant {
    return { to: 'cell', place: LOCAL };
  }

  close(): Promise<void> {
    return this.#options.file.close();
  }

  async #read(known: AciManifest | undefined, signal: AbortSignal): Promise<Read> {
    const { file, maxFileBytes, reference } = this.#options;
    const aci = new AciLayer(file.path, maxFileBytes, known);
    const layer = new Bun.CryptoHasher('sha256');
    const whole = reference.id === undefined ? undefined : new Bun.CryptoHasher('sha512');
    let size = 0;
    for await (const chunk of this.#chunks(aci, signal, (bytes) => whole?.update(bytes))) {
      layer.update(chunk);
      size += chunk.length;
    }
    const id = whole && `sha512-${whole.digest('hex')}`;
    if (id !== undefined && !id.startsWith(reference.id ?? ''))
      throw new PluginError('IMAGE_ACI_OTHER_ID', {
        path: file.path,
        expected: reference.id ?? '',
        actual: id,
      });
    return { aci, size, diffId: parseDigest(`sha256:${layer.digest('hex')}`) as DiffId };
  }

  async *#chunks(
    aci: AciLayer,
    signal: AbortSignal,
    passing?: (bytes: Uint8Array) => void,
  ): AsyncGenerator<Uint8Array> {
    for await (const bytes of this.#options.file.tar()) {
      signal.throwIfAborted();
      passing?.(bytes);
      yield* aci.push(bytes);
    }
    yield* aci.end();
  }
}

interface Read {
  readonly aci: AciLayer;
  readonly size: number;
  readonly diffId: DiffId;
}

function layerOf({ size, diffId }: Read): BlobLayer {
  const blob = { digest: diffId, diffId, size, mediaType: OCI_LAYER };
  return { kind: 'blob', ...blob, compression: 'none', baseDirectory: undefined, urls: [] };
}

/** The process of `app` as an image configuration. @throws IMAGE_USER */
function configOf(aci: AciLayer, diffId: DiffId, source: string): Uint8Array {
  const { os, architecture, app } = aci.manifest;
  const config = {
    architecture,
    os: os === '' ? 'linux' : os,
    ...(app === undefined
      ? {}
      : {
          config: {
            User: userOf(aci, app, source),
            WorkingDir: app.workingDirectory,
            Env: app.environment,
            Cmd: app.exec,
          },
        }),
    rootfs: { type: 'layers', diff_ids: [diffId] },
  };
  return Buffer.from(JSON.stringify(config));
}

function userOf(aci: AciLayer, { user, group }: { user: string; group: string }, source: string): string {
  const idOf = (name: string, kind: 'uid' | 'gid'): string => {
    if (!name.startsWith('/')) return name;
    const owner = aci.ownerOf(name);
    if (owner !== undefined) return String(owner[kind]);
    throw new PluginError('IMAGE_BAD_MANIFEST', {
      source,
      reason: 'its app names a file for the user or the group that it has not',
    });
  };
  return `${idOf(user, 'uid')}:${idOf(group, 'gid')}`;
}
