/** The progress of a layer: bytes read from its source so far. */
export interface LayerProgress {
  advance(bytes: number): void;
  /** The layer is in the store, or failed; safe to call twice. */
  done(): void;
}

/**
 * The progress display of a terminal. Without a terminal it is silent, since programs read the log.
 * Like the logger, it must never fail and never slow the work that it reports.
 */
export interface Progress {
  /** @param name is shown: a short digest, say. @param total bytes; undefined where no size is declared. */
  layer(name: string, total: number | undefined): LayerProgress;
  /** The layers that are to come, told before the first one. @param bytes undefined where not every size is declared */
  expect?(layers: number, bytes: number | undefined): void;
  /** The process waits for another process, which fetches this number of layers of the same image. */
  waiting?(layers: number): void;
  /** Shows a sentence, which has no final full stop or newline. */
  note(text: string): void;
}

const silentLayer: LayerProgress = { advance() {}, done() {} };

export const silentProgress: Progress = { layer: () => silentLayer, note() {} };
