import { type DiffId, type Digest, parseDiffId, sha256Hex } from '../../base/digest.ts';
import { exists, listNames } from '../../sys/kernel/look.ts';
import type { LayerKey } from '../layout/layer-key.ts';
import type { Layout } from '../layout/layout.ts';
import { isCount, isOptional, isRecord, isStrings, isText } from '../layout/own-json.ts';
import { isTexts, isTrustRecord, type TrustRecord } from './image-record.ts';
import { recall, remember } from './records.ts';

/** The part of a resolved image that remembering needs: blobs with diffIDs, by which the store names the layers. */
export interface Resolved {
  readonly name: string;
  readonly manifestDigest: Digest | undefined;
  readonly layers: readonly { readonly kind: 'blob' | 'unvalidated'; readonly diffId: DiffId }[];
}

/** Facts about images from earlier creates: the diffID of a local tar, and the image behind a pinned reference. */
export class Sources {
  readonly #layout: Layout;
  /** Facts of this process: a clean may delete the file of a fact before the fact's layer is published. */
  readonly #needLower = new Set<LayerKey>();

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  diffId(identity: string): DiffId | undefined {
    const found = recall(this.#path(identity), isSource);
    return found && parseDiffId(found.diffId);
  }

  remember(identity: string, diffId: DiffId): void {
    remember(this.#layout, this.#path(identity), { identity, diffId });
  }

  /** True for a layer that is known to need the layers below it, so that it is not fetched alone again. */
  needsLower(key: LayerKey): boolean {
    return this.#needLower.has(key) || exists(this.#path(`needs-lower ${key}`));
  }

  rememberNeedsLower(key: LayerKey): void {
    this.#needLower.add(key);
    remember(this.#layout, this.#path(`needs-lower ${key}`), { needsLower: key });
  }

  /**
   * The image of a name that always means the same image. The fact is kept as long as the store has all the image's
   * layers.
   */
  resolved(name: string): Resolved | undefined {
    return recall(this.#path(`resolved ${name}`), isResolved)?.resolved;
  }

  /** The images that are remembered by a name that always means the same image. */
  resolvedImages(): { readonly image: string; readonly digest: string | undefined }[] {
    const { sources } = this.#layout;
    return listNames(sources).flatMap((name) => {
      const found = recall(`${sources}/${name}`, isResolved)?.resolved;
      return found === undefined ? [] : [{ image: found.name, digest: found.manifestDigest }];
    });
  }

  rememberResolved(name: string, resolved: Resolved): void {
    remember(this.#layout, this.#path(`resolved ${name}`), { resolved });
  }

  /** True when a name with a tag was resolved before. */
  hasSeen(name: string): boolean {
    return exists(this.#path(`seen ${name}`));
  }

  /**
   * Remembers that a name was resolved. The fact is kept as long as the topmost layer: if only lower ones are gone,
   * most of the image is still here, so that asking the registry about it is worth the time.
   */
  rememberSeen(name: string, topmost: DiffId): void {
    if (this.hasSeen(name)) return;
    remember(this.#layout, this.#path(`seen ${name}`), { identity: `seen ${name}`, diffId: topmost });
  }

  /** The verdict on an image by its key (lib/trust/guard.ts). */
  verdict(key: string): TrustRecord | undefined {
    return recall(this.#path(key), isVerdict)?.trusted;
  }

  rememberVerdict(key: string, trusted: TrustRecord): void {
    remember(this.#layout, this.#path(key), { trusted });
  }

  #path(identity: string): string {
    return `${this.#layout.sources}/${sha256Hex(identity)}`;
  }
}

function isSource(value: unknown): value is { diffId: string } {
  return isRecord(value) && isDigest(value['diffId']);
}

function isVerdict(value: unknown): value is { trusted: TrustRecord } {
  return isRecord(value) && isTrustRecord(value['trusted']);
}

/** Checks a value of `ImageSource.resolve`; JSON leaves out fields that are undefined. */
function isResolved(value: unknown): value is { resolved: Resolved } {
  const image = isRecord(value) ? value['resolved'] : undefined;
  // An image that needed a caller's own credentials is not remembered: the registry is asked each time.
  return isKeptImage(image) && (image['grade'] === 'everybody' || image['grade'] === 'cell');
}

/** Checks an image that was kept, of any grade. */
export function isKeptImage(image: unknown): image is Resolved & Readonly<Record<string, unknown>> {
  return (
    isRecord(image) &&
    isText(image['name']) &&
    isOptional(image['manifestDigest'], isDigest) &&
    isOptional(image['index'], isDigest) &&
    isOptional(image['annotations'], isTexts) &&
    isOptional(image['config'], isConfig) &&
    isOptional(image['origin'], isOrigin) &&
    isOptional(image['place'], isText) &&
    Array.isArray(image['layers']) &&
    image['layers'].every(isLayer)
  );
}

function isLayer(value: unknown): boolean {
  return (
    isRecord(value) &&
    (value['kind'] === 'blob' || value['kind'] === 'unvalidated') &&
    isDigest(value['digest']) &&
    isDigest(value['diffId']) &&
    isOptional(value['size'], isCount) &&
    [value['mediaType'], value['compression']].every(isText) &&
    isOptional(value['baseDirectory'], isText) &&
    isStrings(value['urls'])
  );
}

function isConfig(value: unknown): value is object {
  return (
    isRecord(value) &&
    [value['architecture'], value['os'], value['user'], value['workingDir']].every(isText) &&
    [value['env'], value['entrypoint'], value['cmd'], value['diffIds']].every(isStrings)
  );
}

function isOrigin(value: unknown): value is object {
  return value === 'oci' || (isRecord(value) && [value['registry'], value['repository']].every(isText));
}

function isDigest(value: unknown): value is string {
  return typeof value === 'string' && /^sha256:[0-9a-f]{64}$/.test(value);
}

/**
 * The hex of the diffIDs of all layers that a remembered fact needs: without one of them the fact is useless.
 * Undefined for a fact that cannot be read.
 */
export function neededFor(fact: unknown): string[] | undefined {
  if (isResolved(fact)) return fact.resolved.layers.map(({ diffId }) => hexIn(diffId));
  if (isSource(fact)) return [hexIn(fact.diffId)];
  // A verdict comes before the first layer. Its age and its size are bounded like those of all facts.
  if (isVerdict(fact)) return [];
  const key = isRecord(fact) ? fact['needsLower'] : undefined;
  return isText(key) ? [key.slice(0, 64)] : undefined;
}

function hexIn(diffId: string | undefined): string {
  return (diffId ?? '').replace('sha256:', '');
}
