/** Tables and bars for people. */

const BAR_WIDTH = 24;
/** A terminal of fewer columns gets bars of half the width, so that the words beside them fit. */
const ROOMY = 100;

/** `part` of `whole` as a bar. @param width of the terminal; undefined: there is none */
export function bar(part: number, whole: number, width: number | undefined): string {
  const cells = width === undefined || width >= ROOMY ? BAR_WIDTH : BAR_WIDTH / 2;
  const filled = whole <= 0 ? 0 : Math.min(cells, Math.round((part / whole) * cells));
  return `[${'#'.repeat(filled)}${'.'.repeat(cells - filled)}]`;
}

/** Rows as lines with aligned columns, two blanks apart, without blanks at the end. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, Bun.stringWidth(cell));
    });
  return rows.map((row) =>
    row
      .map((cell, i) => cell + ' '.repeat((widths[i] ?? 0) - Bun.stringWidth(cell)))
      .join('  ')
      .trimEnd(),
  );
}

/** A text as lines of at most `width` columns, broken between words. A word that is longer has a line of its own. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && Bun.stringWidth(longer) > width) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line];
}

/** How a table is made to fit. */
export interface Fit {
  /** The most columns of a line; undefined: nothing is shortened. */
  readonly width: number | undefined;
  /** The columns of the table that may be shortened, the first one first. */
  readonly shrink: readonly number[];
}

/** The fewest characters to which a cell is shortened. */
const LEAST = 8;

/** The lines of `columns`, with cells shortened in the middle where a line would be too long. */
export function fitted(rows: readonly (readonly string[])[], { width, shrink }: Fit): string[] {
  let fitting = rows;
  for (const column of shrink) {
    const over = widest(columns(fitting)) - (width ?? Number.POSITIVE_INFINITY);
    if (over <= 0) break;
    const wide = Math.max(...fitting.map((row) => Bun.stringWidth(row[column] ?? '')));
    const most = Math.max(LEAST, wide - over);
    fitting = fitting.map((row) => row.map((cell, at) => (at === column ? shortened(cell, most) : cell)));
  }
  return columns(fitting);
}

function widest(lines: readonly string[]): number {
  return Math.max(0, ...lines.map((line) => Bun.stringWidth(line)));
}

/** The beginning and the end of a text, which tell most names apart. */
function shortened(text: string, most: number): string {
  if (Bun.stringWidth(text) <= most) return text;
  const letters = [...text];
  const tail = Math.floor((most - 1) / 2);
  return `${letters.slice(0, most - 1 - tail).join('')}…${tail === 0 ? '' : letters.slice(-tail).join('')}`;
}
