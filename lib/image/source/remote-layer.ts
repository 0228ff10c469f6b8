import { sha256Hex } from '../../base/digest.ts';
import { PluginError } from '../../base/errors/error.ts';
import type { Logger } from '../../base/log.ts';
import { oneLine, printable } from '../../base/text.ts';
import { type Answer, isFinal, isWeb, LayerHttp, lengthOf, type RemoteLayerSettings } from './layer-http.ts';
import { resumableBody } from './resumable-body.ts';
import type { ImageLayer, LayerBytes } from './source.ts';

/** Rounds through all URLs, as GrootFS. */
const ROUNDS = 3;

/** Layers of an `oci:` directory that are kept elsewhere: Diego's droplets and asset layers. */
export class RemoteLayers {
  readonly #http: LayerHttp;
  readonly #log: Logger;
  readonly #closed = new AbortController();
  /** The URL that gave a layer. */
  readonly #gave = new Map<ImageLayer, URL>();

  constructor(settings: RemoteLayerSettings, log: Logger) {
    this.#http = new LayerHttp(settings, log);
    this.#log = log;
  }

  serves(layer: ImageLayer): boolean {
    return webUrls(layer).length > 0;
  }

  /** The first URL that answers 200 gives the bytes. @throws IMAGE_URLS_FAILED, IMAGE_CERTIFICATES */
  async open(layer: ImageLayer, caller: AbortSignal): Promise<LayerBytes> {
    const signal = AbortSignal.any([caller, this.#closed.signal]);
    const reasons = new Map<string, string>();
    for (let round = 1; round <= ROUNDS; round += 1) {
      let transient = false;
      for (const url of webUrls(layer)) {
        const answer = await this.#ask(url, signal, reasons);
        if (answer === 'later') transient = true;
        else if (answer !== 'never') return this.#bytes(layer, url, answer, signal);
      }
      if (!transient) break;
      if (round < ROUNDS) await this.#http.backOff(round, signal);
    }
    throw failed(layer, [...reasons].map(([where, why]) => `${where}: ${why}`).join('; '));
  }

  /** The place that a layer came from, as grants name it; undefined where it did not come from a URL. */
  gave(layer: ImageLayer): string | undefined {
    const url = this.#gave.get(layer);
    return url && placeOf(url);
  }

  async close(): Promise<void> {
    this.#closed.abort(new Error('the image source is closed'));
  }

  async #ask(
    url: URL,
    signal: AbortSignal,
    reasons: Map<string, string>,
  ): Promise<Answer | 'later' | 'never'> {
    try {
      return await this.#http.get(url, {}, 200, signal);
    } catch (error) {
      if (error instanceof PluginError) throw error;
      signal.throwIfAborted();
      reasons.set(place(url), describe(error));
      this.#log.info('layer-url-failed', { url: place(url), reason: describe(error) });
      return isFinal(error) ? 'never' : 'later';
    }
  }

  #bytes(layer: ImageLayer, url: URL, first: Answer, signal: AbortSignal): LayerBytes {
    const size = lengthOf(first.response);
    this.#gave.set(layer, url);
    if (layer.validated && size !== undefined && layer.size !== undefined && size !== layer.size) {
      first.abort.abort();
      throw new PluginError('LAYER_SIZE_MISMATCH', { expected: layer.size, actual: size, when: 'reported' });
    }
    return { kind: 'stream', chunks: this.#stream(layer, url, first, signal), size };
  }

  async *#stream(
    layer: ImageLayer,
    url: URL,
    first: Answer,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const log = (at: number, reason: unknown) =>
      this.#log.info('layer-url-resumed', { url: place(url), at, reason: describe(reason) });
    try {
      yield* resumableBody({ http: this.#http, url, first, signal }, log);
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof PluginError ? error : failed(layer, `${place(url)}: ${describe(error)}`, error);
    }
  }
}

/**
 * The places of a layer that is kept behind URLs: whoever has the URL that gave it, with all that is secret in it, is
 * given it again. By its hash, as it may hold a signature or a password.
 */
export function placesOfUrls(layer: ImageLayer): string[] {
  return webUrls(layer).map(placeOf);
}

function placeOf(url: URL): string {
  return `url ${sha256Hex(url.href)}`;
}

function webUrls(layer: ImageLayer): readonly URL[] {
  return layer.urls
    .map((text) => URL.parse(text))
    .filter((url) => url !== null)
    .filter(isWeb);
}

/** A URL for people: userinfo and query (signatures of blob stores) are credentials. */
function place(url: URL): string {
  return printable(`${url.origin}${url.pathname}`);
}

function describe(error: unknown): string {
  return oneLine(error instanceof Error ? error.message : String(error), 200);
}

function failed(layer: ImageLayer, reasons: string, cause?: unknown): PluginError {
  return new PluginError('IMAGE_URLS_FAILED', { digest: layer.digest ?? 'unknown', reasons }, { cause });
}
