import { PluginError } from '../base/errors/error.ts';
import { MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES } from '../base/limits.ts';
import { printable } from '../base/text.ts';
import { type Descriptor, type RawDescriptor, toDescriptor } from './descriptor.ts';
import { MANIFEST } from './document-shapes.ts';
import { isImageIndex, isImageManifest, type Validator } from './generated/validators.js';
import { asGoReads } from './go-json.ts';
import { JsonRefused, parseJson } from './json.ts';
import { isConfigType, manifestKind, normalType, OCI_INDEX, OCI_MANIFEST } from './media-types.ts';
import { originAnnotations } from './origin-annotations.ts';
import type { IndexEntry } from './platform.ts';
import { describeSchemaError } from './schema-error.ts';

/** A manifest of one image: OCI, or Docker's schema 2. */
export interface ImageManifest {
  readonly kind: 'image';
  readonly mediaType: string;
  readonly config: Descriptor;
  /** Bottom first. */
  readonly layers: readonly Descriptor[];
  /** Only those of lib/oci/origin-annotations.ts; undefined without any. */
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** An OCI index or a Docker manifest list. */
export interface ImageIndex {
  readonly kind: 'index';
  readonly mediaType: string;
  readonly entries: readonly IndexEntry[];
}

export type Manifest = ImageManifest | ImageIndex;

/** The documents as their schemas admit them. */
interface RawManifest {
  readonly config: RawDescriptor;
  readonly layers: readonly RawDescriptor[] | null;
}
/** An artifact, for instance a signature, in the form of a manifest of an image. */
export interface ArtifactManifest {
  /** The artifact's own type, else the type of its configuration. */
  readonly artifactType: string;
  readonly layers: readonly Descriptor[];
  readonly annotations: ReadonlyMap<string, string>;
}

interface RawIndex {
  readonly manifests: readonly RawEntry[] | null;
}
interface RawArtifact {
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>> | null;
}
interface RawEntry extends RawDescriptor {
  readonly artifactType?: string;
  readonly platform?: {
    readonly os?: string;
    readonly architecture?: string;
    readonly variant?: string;
    readonly 'os.features'?: readonly string[] | null;
  } | null;
}

/**
 * Parses a manifest. The caller checks the digest of the bytes (`verifyDigest`).
 * @param contentType the header or the descriptor's type; where it names a kind of manifest, the body must be one.
 * @param source names the image in errors.
 * @throws IMAGE_BAD_MANIFEST, IMAGE_SCHEMA1, IMAGE_UNSUPPORTED (an artifact), BAD_DIGEST
 */
export function parseManifest(bytes: Uint8Array, contentType: string | undefined, source: string): Manifest {
  const manifest = parseAnyManifest(bytes, contentType, source);
  if (manifest.kind === 'image' && !isConfigType(manifest.config.mediaType))
    throw artifact(manifest.config.mediaType, source);
  return manifest;
}

/**
 * Parses a manifest as `parseManifest` does, also that of an artifact, which has the same form: a push sends whatever an
 * index lists.
 */
export function parseAnyManifest(
  bytes: Uint8Array,
  contentType: string | undefined,
  source: string,
): Manifest {
  const document = readDocument(bytes, source);
  const bodyType = typeof document['mediaType'] === 'string' ? document['mediaType'] : undefined;
  const promised = contentType === undefined ? undefined : manifestKind(contentType);
  const declared = bodyType === undefined ? undefined : manifestKind(bodyType);
  if (promised === 'schema1' || declared === 'schema1' || document['schemaVersion'] === 1)
    throw new PluginError('IMAGE_SCHEMA1', { source });
  if (contentType !== undefined && bodyType !== undefined && promised !== undefined)
    requireSameType(contentType, bodyType, source);
  const kind = declared ?? promised ?? ('manifests' in document ? 'index' : 'image');
  if (kind === 'index') return toIndex(document, bodyType ?? contentType, source);
  return toImage(document, bodyType ?? contentType, source);
}

function readDocument(bytes: Uint8Array, source: string): Record<string, unknown> {
  try {
    const document = asGoReads(parseJson(bytes, MAX_MANIFEST_BYTES), MANIFEST);
    if (typeof document === 'object' && document !== null && !Array.isArray(document))
      return document as Record<string, unknown>;
  } catch (error) {
    if (error instanceof JsonRefused) throw bad(source, error.message);
    throw error;
  }
  throw bad(source, 'it is not a JSON object');
}

function bad(source: string, reason: string): PluginError {
  return new PluginError('IMAGE_BAD_MANIFEST', { source, reason });
}

/**
 * Parses the manifest of an artifact, whose configuration is no image's. The caller checks the digest of the bytes.
 * @throws IMAGE_BAD_MANIFEST, BAD_DIGEST
 */
export function parseArtifact(
  bytes: Uint8Array,
  contentType: string | undefined,
  source: string,
): ArtifactManifest {
  const document = readDocument(bytes, source);
  const { mediaType } = document;
  if (contentType !== undefined && typeof mediaType === 'string' && manifestKind(contentType) !== undefined)
    requireSameType(contentType, mediaType, source);
  validate(isImageManifest, document, source);
  const raw = document as unknown as RawManifest & RawArtifact;
  return {
    artifactType: normalType(raw.artifactType || raw.config.mediaType),
    layers: (raw.layers ?? []).map(toDescriptor),
    annotations: new Map(
      Object.entries(raw.annotations ?? {}).filter(([, text]) => typeof text === 'string'),
    ),
  };
}

/** Two readers must not see two images under the same digest (CVE-2021-41190). */
function requireSameType(contentType: string, bodyType: string, source: string): void {
  if (normalType(contentType) === normalType(bodyType)) return;
  throw bad(source, `it was served as ${printable(contentType)} and calls itself ${printable(bodyType)}`);
}

function validate(validator: Validator, document: unknown, source: string): void {
  if (validator(document)) return;
  throw bad(source, describeSchemaError(validator));
}

function toImage(document: unknown, mediaType: string | undefined, source: string): ImageManifest {
  validate(isImageManifest, document, source);
  const raw = document as RawManifest;
  const config = toDescriptor(raw.config);
  if (config.size > MAX_CONFIG_BYTES)
    throw bad(
      source,
      `its configuration has ${config.size} bytes, more than the ${MAX_CONFIG_BYTES} allowed`,
    );
  return {
    kind: 'image',
    mediaType:
      mediaType !== undefined && manifestKind(mediaType) === 'image' ? normalType(mediaType) : OCI_MANIFEST,
    config,
    layers: (raw.layers ?? []).map(toDescriptor),
    ...originOf((document as RawArtifact).annotations),
  };
}

function originOf(all: RawArtifact['annotations']): Pick<ImageManifest, 'annotations'> {
  const annotations = originAnnotations(all ?? {});
  return annotations === undefined ? {} : { annotations };
}

/** The error for an image manifest that holds no image but a chart, a signature, an attestation or a module. */
function artifact(configType: string, source: string): PluginError {
  return new PluginError('IMAGE_UNSUPPORTED', {
    source,
    mediaType: printable(configType),
    advice: 'this is an artifact kept in a registry, not a container image; check the reference',
  });
}

function toIndex(document: unknown, mediaType: string | undefined, source: string): ImageIndex {
  validate(isImageIndex, document, source);
  const raw = document as RawIndex;
  return {
    kind: 'index',
    mediaType:
      mediaType !== undefined && manifestKind(mediaType) === 'index' ? normalType(mediaType) : OCI_INDEX,
    entries: (raw.manifests ?? []).map(toEntry),
  };
}

function toEntry(raw: RawEntry): IndexEntry {
  const { platform } = raw;
  return {
    ...toDescriptor(raw),
    artifactType: raw.artifactType === '' ? undefined : raw.artifactType,
    // Go writes an empty platform where there is none.
    platform:
      platform === undefined || platform === null || (!platform.os && !platform.architecture)
        ? undefined
        : {
            os: platform.os ?? '',
            architecture: platform.architecture ?? '',
            variant: platform.variant === '' ? undefined : platform.variant,
            ...(platform['os.features']?.length ? { features: platform['os.features'] } : {}),
          },
  };
}
