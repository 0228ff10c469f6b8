/** Tables and bars for people. */

const BAR_WIDTH = 24;

/** `part` of `whole` as a bar of fixed width. */
export function bar(part: number, whole: number): string {
  const filled = whole <= 0 ? 0 : Math.min(BAR_WIDTH, Math.round((part / whole) * BAR_WIDTH));
  return `[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}]`;
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
