/** OCI layouts written by hand: whatever no tool would write, and what Garden and buildx do. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256Hex } from '../../../lib/base/digest.ts';
import { OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST } from '../../../lib/oci/media-types.ts';

/** Anything that goes into JSON; tests write wrong things too. */
export type Json = Readonly<Record<string, unknown>>;

export interface RawDescriptor extends Json {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export class LayoutBuilder {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
    mkdirSync(join(directory, 'blobs/sha256'), { recursive: true });
  }

  /** `oci:` reference. */
  url(ref?: string): string {
    return `oci://${this.directory}${ref === undefined ? '' : `:${ref}`}`;
  }

  blobPath(descriptor: { readonly digest: string }): string {
    return join(this.directory, 'blobs', descriptor.digest.replace(':', '/'));
  }

  blob(mediaType: string, content: string | Uint8Array, more: Json = {}): RawDescriptor {
    const bytes = Buffer.from(content);
    const descriptor = { mediaType, digest: `sha256:${sha256Hex(bytes)}`, size: bytes.length };
    writeFileSync(this.blobPath(descriptor), bytes);
    return { ...descriptor, ...more };
  }

  json(mediaType: string, document: Json, more: Json = {}): RawDescriptor {
    return this.blob(mediaType, JSON.stringify(document), more);
  }

  /** A plain layer, whose diffID is its digest. */
  layer(content: string | Uint8Array, more: Json = {}): RawDescriptor {
    return this.blob(OCI_LAYER, content, more);
  }

  config(diffIds: readonly string[], more: Json = {}): RawDescriptor {
    const rootfs = { type: 'layers', diff_ids: diffIds };
    return this.json(OCI_CONFIG, { architecture: 'amd64', os: 'linux', rootfs, ...more });
  }

  /** An image of plain layers. `more` goes into the manifest. */
  image(layers: readonly RawDescriptor[], more: Json = {}, descriptor: Json = {}): RawDescriptor {
    const config = this.config(layers.map(({ digest }) => digest));
    const document = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers, ...more };
    return this.json(OCI_MANIFEST, document, descriptor);
  }

  index(manifests: readonly RawDescriptor[], descriptor: Json = {}): RawDescriptor {
    return this.json(OCI_INDEX, { schemaVersion: 2, mediaType: OCI_INDEX, manifests }, descriptor);
  }

  /** Writes `index.json`. */
  write(manifests: readonly RawDescriptor[], more: Json = {}): this {
    this.writeIndex(JSON.stringify({ schemaVersion: 2, manifests, ...more }));
    writeFileSync(join(this.directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    return this;
  }

  writeIndex(text: string | Uint8Array): void {
    writeFileSync(join(this.directory, 'index.json'), text);
  }

  /** Puts a symbolic link where a blob should be. */
  link(digest: string, target: string): void {
    symlinkSync(target, this.blobPath({ digest }));
  }
}

export function named(ref: string): Json {
  return { annotations: { 'org.opencontainers.image.ref.name': ref } };
}

export function forPlatform(text: string): Json {
  const [os, architecture, variant] = text.split('/');
  return { platform: variant === undefined ? { os, architecture } : { os, architecture, variant } };
}
