/** One layer on its way: bytes read from its source so far. */
export interface LayerProgress {
  advance(bytes: number): void;
  /** The layer is in the store, or failed; safe to call twice. */
  done(): void;
}

/**
 * What a person in front of a terminal sees while graft works. Silent everywhere else: programs read the log.
 * Like the logger, it must never fail and never slow the work it reports.
 */
export interface Progress {
  /** @param name what is shown, a short digest say. @param total bytes, undefined where nothing is declared. */
  layer(name: string, total: number | undefined): LayerProgress;
  /** One sentence for the person, without a final full stop or newline. */
  note(text: string): void;
}

const silentLayer: LayerProgress = { advance() {}, done() {} };

export const silentProgress: Progress = { layer: () => silentLayer, note() {} };
