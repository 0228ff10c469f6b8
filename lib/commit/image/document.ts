/** The configuration and the manifest of a committed image. */
import type { DiffId, Digest } from '../../base/digest.ts';
import { OCI_CONFIG, OCI_LAYER, OCI_MANIFEST } from '../../oci/media-types.ts';
import { applyChanges, type Change, type ContainerConfig } from './changes.ts';

/** A descriptor as it is written into a document. */
export interface WrittenDescriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The image that the container was made from, as far as its documents go on in the new image. */
export interface BaseDocuments {
  /** The parsed configuration, checked by its schema; `{}` for the tar of a root filesystem. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly diffIds: readonly DiffId[];
  readonly layers: readonly WrittenDescriptor[];
  /** The base in words, for the history. */
  readonly shown: string;
  /** The annotations of image-spec that name the base image. */
  readonly annotations: Readonly<Record<string, string>>;
}

export interface CommitFacts {
  /** The new layer, or the only one of a squashed image. */
  readonly layer: { readonly digest: Digest; readonly diffId: DiffId; readonly size: number };
  readonly squash: boolean;
  /** RFC 3339. */
  readonly created: string;
  readonly message: string | undefined;
  readonly author: string | undefined;
  readonly changes: readonly Change[];
  readonly platform: { readonly os: string; readonly architecture: string };
}

/** Keys of a configuration that the image specification has. Docker's others describe the machine of the build. */
const CONFIG_KEYS = ['os.version', 'os.features', 'variant'] as const;

/** The JSON text of the new configuration. @throws COMMIT_CHANGE */
export function newConfig(base: BaseDocuments, facts: CommitFacts): string {
  const { config: old } = base;
  const { squash, created, message, author, layer, platform } = facts;
  const history = squash ? [] : historyOf(old);
  const entry = {
    created,
    created_by: 'graft commit',
    ...(author === undefined ? {} : { author }),
    comment: message ?? (squash ? `squashed ${base.shown}` : `FROM ${base.shown}`),
  };
  const kept = Object.fromEntries(CONFIG_KEYS.flatMap((key) => (key in old ? [[key, old[key]]] : [])));
  const byOld = typeof old['author'] === 'string' ? { author: old['author'] } : {};
  return JSON.stringify({
    created,
    ...byOld,
    ...(author === undefined ? {} : { author }),
    architecture: textIn(old, 'architecture') ?? platform.architecture,
    os: textIn(old, 'os') ?? platform.os,
    ...kept,
    config: applyChanges(containerConfig(old), facts.changes),
    rootfs: { type: 'layers', diff_ids: [...(squash ? [] : base.diffIds), layer.diffId] },
    history: [...history, entry],
  });
}

/** The JSON text of the new manifest. */
export function newManifest(
  base: BaseDocuments,
  { layer, squash }: Pick<CommitFacts, 'layer' | 'squash'>,
  config: { readonly digest: Digest; readonly size: number },
): string {
  const own = { mediaType: `${OCI_LAYER}+gzip`, digest: layer.digest, size: layer.size };
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { mediaType: OCI_CONFIG, digest: config.digest, size: config.size },
    layers: [...(squash ? [] : base.layers), own],
    ...(squash || Object.keys(base.annotations).length === 0 ? {} : { annotations: base.annotations }),
  });
}

function textIn(document: Readonly<Record<string, unknown>>, key: string): string | undefined {
  const value = document[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function historyOf(config: Readonly<Record<string, unknown>>): readonly unknown[] {
  return Array.isArray(config['history']) ? config['history'] : [];
}

function containerConfig(config: Readonly<Record<string, unknown>>): ContainerConfig {
  const value = config['config'];
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as ContainerConfig)
    : {};
}
