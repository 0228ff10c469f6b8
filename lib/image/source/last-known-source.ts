import { isPluginError } from '../../base/errors/error.ts';
import type { Grade } from '../../base/grade.ts';
import type { Logger } from '../../base/log.ts';
import type { LastKnownImages } from '../../store/records/last-known.ts';
import type { ImageGuard } from './guarded-source.ts';
import type { ImageLayer } from './image-layer.ts';
import { isFixed } from './remembering-source.ts';
import type { BlobOfPlace, ImageSource, LayerBytes, ResolvedImage } from './source.ts';
import { WrappedSource } from './wrapped-source.ts';

export interface LastKnownOptions {
  readonly images: LastKnownImages;
  /** The reference and the platform. */
  readonly name: string;
  readonly repository: string;
  /** The call's own user and password; undefined: it has none. */
  readonly credentials: string | undefined;
  readonly maxAgeMs: number;
  readonly guard: Pick<ImageGuard, 'accepted'> | undefined;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now?: (() => number) | undefined;
}

/**
 * An image of a registry that may start from what the registry said last (`registries.when_unreachable: last_known`). A
 * registry that refuses is obeyed; only one that cannot answer is done without. A private image needs credentials that
 * the repository accepted before, and a policy for signatures must have let the very digest through.
 */
export class LastKnownSource extends WrappedSource {
  readonly #options: LastKnownOptions;
  readonly #now: () => number;
  /** The registry's failure, once the image is one that it gave before. */
  #failure: unknown;

  constructor(inner: ImageSource, options: LastKnownOptions) {
    super(inner);
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** @throws as the source; its error where there is no image that may be used in its place */
  async resolve(signal: AbortSignal): Promise<ResolvedImage> {
    try {
      const image = await this.inner.resolve(signal);
      this.#remember(image);
      return image;
    } catch (error) {
      const known = isNoAnswer(error) ? this.#known() : undefined;
      if (known === undefined) throw error;
      this.#failure = error;
      const { name } = this.#options;
      const { code } = error as { code?: string };
      this.#options.log.info('image-last-known', { image: name, code, ...known.lastKnown });
      return known;
    }
  }

  override async open(layer: ImageLayer, signal: AbortSignal): Promise<LayerBytes> {
    if (this.#failure !== undefined) throw this.#failure;
    return super.open(layer, signal);
  }

  override async mayRead(blob: BlobOfPlace, signal: AbortSignal): Promise<Grade | undefined> {
    // The credentials were held against those that the repository accepted.
    if (this.#failure !== undefined) return 'asked';
    return super.mayRead(blob, signal);
  }

  #remember(image: ResolvedImage): void {
    const { images, name, repository, credentials } = this.#options;
    if (image.grade === undefined || image.unverified || !isFixed(image)) return;
    const at = this.#now();
    images.put(name, { at, image });
    if (image.grade === 'asked' && credentials !== undefined)
      images.rememberAccepted(repository, credentials, at);
  }

  #known(): ResolvedImage | undefined {
    const { images, name, repository, credentials, maxAgeMs, guard } = this.#options;
    const since = this.#now() - maxAgeMs;
    const known = images.get(name);
    if (known === undefined || known.at < since) return undefined;
    const image = known.image as unknown as ResolvedImage;
    const isPrivate = image.grade !== 'everybody' && image.grade !== 'cell';
    if (isPrivate && (credentials === undefined || !images.hasAccepted(repository, credentials, since)))
      return undefined;
    if (guard !== undefined && guard.accepted(image.manifestDigest) === undefined) return undefined;
    return { ...image, lastKnown: { resolved: new Date(known.at).toISOString() } };
  }
}

const NO_ANSWER = [
  'REGISTRY_UNREACHABLE',
  'REGISTRY_DEADLINE',
  'REGISTRY_PROXY',
  'REGISTRY_RATE_LIMITED',
] as const;

/** True where the registry said nothing about the image. 401, 403 and 404 are answers. */
function isNoAnswer(error: unknown): boolean {
  if (NO_ANSWER.some((code) => isPluginError(error, code))) return true;
  return isPluginError(error, 'REGISTRY_ERROR') && error.subject.status >= 500;
}
