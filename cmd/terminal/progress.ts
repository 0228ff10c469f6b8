/**
 * Progress for a person: a single line at the bottom of the terminal, redrawn at most ten times a second. A bar for each
 * layer would need to move the cursor over several rows, and narrow windows, resizing or lines of other programs would
 * break that.
 */
import type { LayerProgress, Progress } from '../../lib/base/progress.ts';
import { printable, visible } from '../../lib/base/text.ts';
import { counted, shortBytes } from '../sentences/words.ts';

const REDRAW_MS = 100;
const ERASE_LINE = '\r\x1b[K';
const BAR_CELLS = 24;

export interface Terminal {
  /** Writes text unchanged, so the caller passes text from outside through `visible` first. */
  readonly write: (text: string) => void;
  readonly columns: () => number;
  /** False for TERM=dumb, or without TERM: then only notes and finished layers are written, a line each. */
  readonly redraws: boolean;
}

interface Layer {
  readonly name: string;
  readonly total: number | undefined;
  read: number;
}

/** The sums of a transfer, for any display. */
class Transfer {
  readonly #clock: () => number;
  readonly active = new Set<Layer>();
  #since: number | undefined;
  #layers = 0;
  #finished = 0;
  #bytes = 0;
  #declared = 0;
  #expected: { readonly layers: number; readonly bytes: number | undefined } | undefined;

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  expect(layers: number, bytes: number | undefined): void {
    this.#expected = { layers, bytes };
  }

  add(name: string, total: number | undefined): Layer {
    const layer = { name, total, read: 0 };
    this.#since ??= this.#clock();
    this.#layers += 1;
    this.#declared += total ?? 0;
    this.active.add(layer);
    return layer;
  }

  advance(layer: Layer, bytes: number): void {
    layer.read += bytes;
    this.#bytes += bytes;
  }

  /** False for a layer that had ended already. */
  end(layer: Layer): boolean {
    if (!this.active.delete(layer)) return false;
    this.#finished += 1;
    return true;
  }

  get layers(): string {
    return `${this.#finished}/${Math.max(this.#layers, this.#expected?.layers ?? 0)}`;
  }

  /** Undefined where no size is declared. */
  get share(): number | undefined {
    return this.#total === 0 ? undefined : Math.min(1, this.#bytes / this.#total);
  }

  /** `12 MiB of 40 MiB, 3.1 MiB/s, 9 s left`. */
  get words(): string {
    const seconds = (this.#clock() - (this.#since ?? this.#clock())) / 1000;
    const rate = seconds < RATE_AFTER_S ? 0 : this.#bytes / seconds;
    const left = this.#total - this.#bytes;
    return [
      this.#total === 0
        ? shortBytes(this.#bytes)
        : `${shortBytes(this.#bytes)} of ${shortBytes(this.#total)}`,
      ...(rate === 0 ? [] : [`${shortBytes(Math.round(rate))}/s`]),
      ...(rate === 0 || left <= 0 ? [] : [`${shortTime(left / rate)} left`]),
    ].join(', ');
  }

  get #total(): number {
    return Math.max(this.#declared, this.#expected?.bytes ?? 0);
  }
}

/** Seconds after which a rate says something. */
const RATE_AFTER_S = 1;

/** `45 s`, `3 min`, `2 h`. */
function shortTime(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

/** A display of a transfer. Each kind decides when it writes, and how. */
abstract class TransferProgress implements Progress {
  protected readonly clock: () => number;
  protected readonly transfer: Transfer;

  constructor(clock: () => number) {
    this.clock = clock;
    this.transfer = new Transfer(clock);
  }

  abstract note(text: string): void;
  /** Called after each change of the transfer but the end of a layer. */
  protected abstract moved(): void;
  protected abstract ended(layer: Layer): void;

  expect(layers: number, bytes: number | undefined): void {
    this.transfer.expect(layers, bytes);
  }

  waiting(layers: number): void {
    this.note(`waiting for another process, which fetches ${counted(layers, 'layer')} of this image`);
  }

  /** @param label a path, say; escaped, since control characters in it would move the cursor */
  layer(label: string, total: number | undefined): LayerProgress {
    const layer = this.transfer.add(printable(label), total);
    this.moved();
    return {
      advance: (bytes) => {
        this.transfer.advance(layer, bytes);
        this.moved();
      },
      done: () => {
        if (this.transfer.end(layer)) this.ended(layer);
      },
    };
  }
}

export class TerminalProgress extends TransferProgress {
  readonly #terminal: Terminal;
  #drawn = false;
  #drawnAt = Number.NEGATIVE_INFINITY;

  constructor(terminal: Terminal, clock: () => number = () => performance.now()) {
    super(clock);
    this.#terminal = terminal;
  }

  note(text: string): void {
    this.clear();
    this.#terminal.write(`${visible(text)}\n`);
  }

  /** Erases the line: before other text is written, and at the end. */
  clear(): void {
    if (this.#drawn) this.#terminal.write(ERASE_LINE);
    this.#drawn = false;
    this.#drawnAt = Number.NEGATIVE_INFINITY;
  }

  protected ended(layer: Layer): void {
    if (this.#terminal.redraws) this.moved();
    else this.#terminal.write(`${layer.name}: ${shortBytes(layer.read)}\n`);
    if (this.transfer.active.size === 0) this.clear();
  }

  protected moved(): void {
    if (!this.#terminal.redraws) return;
    const now = this.clock();
    if (now - this.#drawnAt < REDRAW_MS) return;
    this.#drawnAt = now;
    this.#drawn = true;
    this.#terminal.write(
      `${ERASE_LINE}${visible(this.#line()).slice(0, Math.max(10, this.#terminal.columns() - 1))}`,
    );
  }

  #line(): string {
    const { layers, share, words, active } = this.transfer;
    const names = [...active].map(({ name, total }) => (total === undefined ? name : shortBytes(total)));
    const cells = Math.round((share ?? 0) * BAR_CELLS);
    const bar = share === undefined ? '' : `[${'#'.repeat(cells)}${'.'.repeat(BAR_CELLS - cells)}] `;
    return `layers ${layers}  ${bar}${words}  ${names.join(' ')}`;
  }
}

/** Milliseconds between two lines of a display that cannot be redrawn. */
const LINE_EVERY_MS = 10_000;

/** Progress for a pipe or a file: one plain line every ten seconds while something is transferred. */
export class PlainProgress extends TransferProgress {
  readonly #write: (line: string) => void;
  #saidAt: number;

  constructor(write: (line: string) => void, clock: () => number = () => performance.now()) {
    super(clock);
    this.#write = write;
    this.#saidAt = clock();
  }

  note(text: string): void {
    this.#write(`${visible(text)}\n`);
  }

  protected ended(): void {}

  protected moved(): void {
    if (this.clock() - this.#saidAt < LINE_EVERY_MS) return;
    this.#saidAt = this.clock();
    this.#write(`layers ${this.transfer.layers}: ${this.transfer.words}\n`);
  }
}
