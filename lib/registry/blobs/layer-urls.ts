import { sha256Hex } from '../../base/digest.ts';
import { PluginError } from '../../base/errors/error.ts';
import type { Logger } from '../../base/log.ts';
import { printable } from '../../base/text.ts';
import { Failure } from '../../http/failure.ts';
import type { Answer } from '../../http/transport.ts';
import { urlBody } from './url-body.ts';
import { describe, isWeb, type LayerUrlSettings, lengthOf, UrlClient } from './url-client.ts';

/** Rounds through all URLs, as in GrootFS. */
const ROUNDS = 3;

/** A layer that a layout keeps behind URLs. */
export interface UrlLayer {
  readonly urls: readonly string[];
  /** The declared bytes, where a server that has another number is refused. */
  readonly size: number | undefined;
  /** The layer's digest or name, for errors. */
  readonly name: string;
}

export interface OpenedUrl {
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly size: number | undefined;
  /** The place of the URL that gives the bytes, as grants name it. */
  readonly place: string;
}

/** Fetches layers of an `oci:` directory that are kept behind URLs: Diego's droplets and asset layers. */
export class LayerUrls {
  readonly #client: UrlClient;
  readonly #log: Logger;
  readonly #closed = new AbortController();

  constructor(settings: LayerUrlSettings, log: Logger) {
    this.#client = new UrlClient(settings, log);
    this.#log = log;
  }

  /**
   * Opens a layer at the first URL that answers 200.
   * @throws IMAGE_URLS_FAILED, IMAGE_CERTIFICATES, LAYER_SIZE_MISMATCH
   */
  async open(layer: UrlLayer, caller: AbortSignal): Promise<OpenedUrl> {
    const signal = AbortSignal.any([caller, this.#closed.signal]);
    const reasons = new Map<string, string>();
    for (let round = 1; round <= ROUNDS; round += 1) {
      let transient = false;
      for (const url of webUrls(layer.urls)) {
        const answer = await this.#ask(url, signal, reasons);
        if (answer === 'later') transient = true;
        else if (answer !== 'never') return this.#opened(layer, url, answer, signal);
      }
      if (!transient) break;
      if (round < ROUNDS) await this.#client.backOff(round, signal);
    }
    throw failed(layer, [...reasons].map(([where, why]) => `${where}: ${why}`).join('; '));
  }

  close(): void {
    this.#closed.abort(new Error('the image source is closed'));
  }

  async #ask(
    url: URL,
    signal: AbortSignal,
    reasons: Map<string, string>,
  ): Promise<Answer | 'later' | 'never'> {
    try {
      return await this.#client.get(url, {}, 200, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof Failure)) throw error;
      reasons.set(shown(url), describe(error));
      this.#log.info('layer-url-failed', { url: shown(url), reason: describe(error) });
      return error.kind === 'final' ? 'never' : 'later';
    }
  }

  async #opened(layer: UrlLayer, url: URL, first: Answer, signal: AbortSignal): Promise<OpenedUrl> {
    const size = lengthOf(first);
    if (size !== undefined && layer.size !== undefined && size !== layer.size) {
      await first.body.discard();
      throw new PluginError('LAYER_SIZE_MISMATCH', { expected: layer.size, actual: size, when: 'reported' });
    }
    return { chunks: this.#chunks(layer, url, first, signal), size, place: placeOf(url) };
  }

  async *#chunks(
    layer: UrlLayer,
    url: URL,
    first: Answer,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const onResume = (at: number, reason: string) =>
      this.#log.info('layer-url-resumed', { url: shown(url), at, reason });
    try {
      yield* urlBody({ client: this.#client, url, first, signal }, onResume);
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof PluginError ? error : failed(layer, `${shown(url)}: ${describe(error)}`, error);
    }
  }
}

/**
 * The places of a layer that is kept behind URLs. A caller with the URL that gave the layer, with all secrets in it, gets
 * the layer again. A place has the hash of the URL, since the URL may have a signature or a password.
 */
export function placesOfUrls(urls: readonly string[]): string[] {
  return webUrls(urls).map(placeOf);
}

function placeOf(url: URL): string {
  return `url ${sha256Hex(url.href)}`;
}

function webUrls(urls: readonly string[]): readonly URL[] {
  return urls
    .map((text) => URL.parse(text))
    .filter((url) => url !== null)
    .filter(isWeb);
}

/** A URL for people: userinfo and query (signatures of blob stores) are credentials. */
function shown(url: URL): string {
  return printable(`${url.origin}${url.pathname}`);
}

function failed(layer: UrlLayer, reasons: string, cause?: unknown): PluginError {
  return new PluginError('IMAGE_URLS_FAILED', { digest: layer.name, reasons }, { cause });
}
