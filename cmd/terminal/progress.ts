/**
 * Progress for a person: a single line at the bottom of the terminal, redrawn at most ten times a second. A bar for each
 * layer would need to move the cursor over several rows, and narrow windows, resizing or lines of other programs would
 * break that.
 */
import type { LayerProgress, Progress } from '../../lib/base/progress.ts';
import { printable, visible } from '../../lib/base/text.ts';
import { shortBytes } from '../sentences/words.ts';

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
  readonly total: number | undefined;
  read: number;
}

export class TerminalProgress implements Progress {
  readonly #terminal: Terminal;
  readonly #clock: () => number;
  readonly #active = new Map<string, Layer>();
  #layers = 0;
  #finished = 0;
  #bytes = 0;
  #expected = 0;
  #drawn = false;
  #drawnAt = Number.NEGATIVE_INFINITY;

  constructor(terminal: Terminal, clock: () => number = () => performance.now()) {
    this.#terminal = terminal;
    this.#clock = clock;
  }

  /** @param label a path, say; escaped, since control characters in it would move the cursor */
  layer(label: string, total: number | undefined): LayerProgress {
    const name = printable(label);
    const layer: Layer = { total, read: 0 };
    this.#layers += 1;
    this.#expected += total ?? 0;
    this.#active.set(name, layer);
    this.#draw();
    return {
      advance: (bytes) => {
        layer.read += bytes;
        this.#bytes += bytes;
        this.#draw();
      },
      done: () => {
        if (this.#active.get(name) !== layer) return;
        this.#active.delete(name);
        this.#finished += 1;
        if (this.#terminal.redraws) this.#draw();
        else this.#terminal.write(`${name}: ${shortBytes(layer.read)}\n`);
        if (this.#active.size === 0) this.clear();
      },
    };
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

  #draw(): void {
    if (!this.#terminal.redraws) return;
    const now = this.#clock();
    if (now - this.#drawnAt < REDRAW_MS) return;
    this.#drawnAt = now;
    this.#drawn = true;
    this.#terminal.write(
      `${ERASE_LINE}${visible(this.#line()).slice(0, Math.max(10, this.#terminal.columns() - 1))}`,
    );
  }

  #line(): string {
    const layers = `layers ${this.#finished}/${this.#layers}`;
    const names = [...this.#active.keys()].join(' ');
    if (this.#expected === 0) return `${layers}  ${shortBytes(this.#bytes)}  ${names}`;
    const share = Math.min(1, this.#bytes / this.#expected);
    const cells = Math.round(share * BAR_CELLS);
    const bar = `[${'#'.repeat(cells)}${'.'.repeat(BAR_CELLS - cells)}]`;
    return `${layers}  ${bar} ${shortBytes(this.#bytes)} of ${shortBytes(this.#expected)}  ${names}`;
  }
}
