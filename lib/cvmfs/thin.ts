/**
 * Recognises thin images: registry images whose only layer has one small file, which names the layers in a repository.
 * DUCC writes `thin.json`. So did the Docker graph driver of 2017, which first wrote `.thin`.
 */
import type { LayerEntry } from '../layer/tar/entry.ts';
import { TarReader, type TarSink } from '../layer/tar/reader.ts';
import { MAX_THIN_BYTES } from './records.ts';

const NAMES = ['thin.json', '.thin'];

/** The descriptor's bytes, when the tar holds it and nothing else but the root directory; else undefined. */
export function thinDescriptor(tar: Uint8Array): Uint8Array | undefined {
  const sink = new DescriptorSink();
  const reader = new TarReader(sink, MAX_THIN_BYTES);
  try {
    reader.push(tar);
    reader.end();
  } catch {
    // A tar with a fault is reported when the layer is unpacked.
    return undefined;
  }
  return sink.found;
}

class DescriptorSink implements TarSink {
  readonly #chunks: Uint8Array[] = [];
  #reading = false;
  #descriptors = 0;
  #others = 0;

  entry(entry: LayerEntry): void {
    const name = entry.name.replace(/^(\.?\/)+/, '').replace(/\/+$/, '');
    const isRoot = entry.kind === 'directory' && (name === '' || name === '.');
    this.#reading = entry.kind === 'file' && NAMES.includes(name);
    if (this.#reading) this.#descriptors += 1;
    else if (!isRoot) this.#others += 1;
  }

  content(bytes: Uint8Array): void {
    // The bytes lie in the reader's buffer and are valid during this call only.
    if (this.#reading) this.#chunks.push(bytes.slice());
  }

  endOfContent(): void {
    this.#reading = false;
  }

  get found(): Uint8Array | undefined {
    return this.#descriptors === 1 && this.#others === 0 ? Buffer.concat(this.#chunks) : undefined;
  }
}
