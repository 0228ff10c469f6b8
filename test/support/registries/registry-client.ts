/** The registry client as tests use it: quick deadlines, a log to look into, everything else as shipped. */

import { sha256Hex } from '../../../lib/base/digest.ts';
import type { LogData, Logger } from '../../../lib/base/log.ts';
import { Secret } from '../../../lib/base/secret.ts';
import type { Lookup } from '../../../lib/http/route.ts';
import { RegistrySource, type SeenNames } from '../../../lib/image/source/from-registry.ts';
import { digestOfLayer, type ImageLayer } from '../../../lib/image/source/image-layer.ts';
import type { ImageSource } from '../../../lib/image/source/source.ts';
import { platformOf } from '../../../lib/oci/machine.ts';
import { parseImageReference, type RegistryReference } from '../../../lib/oci/reference.ts';
import type { GivenCredentials } from '../../../lib/registry/auth/credentials.ts';
import type { PartialBlobs } from '../../../lib/registry/blobs/partial.ts';
import type { FoundBlob, ManifestCache } from '../../../lib/registry/manifests.ts';
import { defaultPolicy, type RegistryPolicy } from '../../../lib/registry/policy/policy.ts';

export const NEVER = new AbortController().signal;

export interface LogLine {
  readonly level: 'debug' | 'info' | 'error';
  readonly event: string;
  readonly data: LogData;
}

/** Keeps what is logged. */
export class RecordingLog implements Logger {
  readonly lines: LogLine[] = [];

  debug(event: string, data: LogData = {}): void {
    this.lines.push({ level: 'debug', event, data });
  }
  info(event: string, data: LogData = {}): void {
    this.lines.push({ level: 'info', event, data });
  }
  error(event: string, error: unknown, data: LogData = {}): void {
    this.lines.push({ level: 'error', event, data: { ...data, error } });
  }
  of(event: string): LogData[] {
    return this.lines.filter((line) => line.event === event).map(({ data }) => data);
  }
  /** All of it as it would be written. */
  text(): string {
    return this.lines.map((line) => JSON.stringify(line)).join('\n');
  }
}

/** As if every name had been resolved before. */
export const everSeen: SeenNames = { has: () => true, add: () => {} };

/** A store's cache, in memory. */
export class MemoryCache implements ManifestCache {
  readonly kept = new Map<string, FoundBlob>();

  get(digest: string): FoundBlob | undefined {
    return this.kept.get(digest);
  }
  put(digest: string, blob: FoundBlob): void {
    this.kept.set(digest, blob);
  }
}

/** Retries without waiting, deadlines of a second or two, nothing of this machine's own configuration. */
export function testPolicy(more: Partial<RegistryPolicy> = {}): RegistryPolicy {
  return {
    ...defaultPolicy,
    userAgent: 'graft/test',
    certsDirs: [],
    retry: { attempts: 3, baseMs: 1, maxMs: 4, random: () => 0.5 },
    deadlines: {
      connectMs: 2000,
      answerMs: 4000,
      idleMs: 2000,
      slowWindowMs: 4000,
      slowBytesPerSecond: 16,
      totalMs: undefined,
    },
    ...more,
  };
}

export interface TestSourceOptions {
  readonly policy?: Partial<RegistryPolicy>;
  readonly credentials?: GivenCredentials;
  readonly cache?: ManifestCache;
  readonly partials?: PartialBlobs;
  readonly log?: Logger;
  readonly lookup?: Lookup;
  readonly seen?: SeenNames;
}

export function registrySource(image: string, options: TestSourceOptions = {}): RegistrySource {
  return new RegistrySource({
    reference: registryReference(image),
    platform: platformOf('x64'),
    credentials: options.credentials,
    policy: testPolicy(options.policy),
    cache: options.cache ?? new MemoryCache(),
    partials: options.partials,
    log: options.log ?? new RecordingLog(),
    ...(options.lookup && { lookup: options.lookup }),
    ...(options.seen && { seen: options.seen }),
  });
}

export function registryReference(image: string): RegistryReference {
  const reference = parseImageReference(image);
  if (reference.kind !== 'registry') throw new Error(`${image} is not in a registry`);
  return reference;
}

export function login(username: string, password: string): GivenCredentials {
  return { username, password: new Secret(password) };
}

/** All bytes of a layer; the digest is checked, as the unpacker does. */
export async function readLayer(
  source: ImageSource,
  layer: ImageLayer,
  signal = NEVER,
  onBytes: (bytes: number) => void = () => {},
): Promise<Uint8Array> {
  const bytes = await source.open(layer, signal);
  if (bytes.kind !== 'stream') throw new Error('a registry streams');
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes.chunks) {
    chunks.push(chunk.slice());
    onBytes(chunk.length);
  }
  const all = Buffer.concat(chunks);
  const digest = `sha256:${sha256Hex(all)}`;
  const wanted = digestOfLayer(layer);
  if (digest !== wanted) throw new Error(`the layer ${wanted} came as ${digest}, ${all.length} bytes`);
  return all;
}

/** Resolves and reads a whole image, closes, and returns the digests of its layers. */
export async function readImage(image: string, options: TestSourceOptions = {}): Promise<string[]> {
  const source = registrySource(image, options);
  try {
    const { layers } = await source.resolve(NEVER);
    await Promise.all(layers.map((layer) => readLayer(source, layer)));
    return layers.map((layer) => digestOfLayer(layer) ?? '');
  } finally {
    await source.close();
  }
}

/** What a promise rejects with. */
export async function rejection(
  promise: Promise<unknown>,
): Promise<{ code: string; subject: Record<string, unknown> }> {
  try {
    await promise;
  } catch (error) {
    return error as { code: string; subject: Record<string, unknown> };
  }
  throw new Error('it did not fail');
}
