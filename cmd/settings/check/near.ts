/** The known name that comes closest to a misspelt one. */

/** Edits after which a word is another one, by its length: `gc` is not `rm`, and `with_claen` is `with_clean`. */
function tolerance(word: string): number {
  return Math.min(3, Math.floor(word.length / 3));
}

/** Undefined where no name is close. */
export function nearest(word: string, names: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = tolerance(word) + 1;
  for (const name of names) {
    const edits = distance(word, name);
    if (edits < least) [best, least] = [name, edits];
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours that make one word of another. */
function distance(from: string, to: string): number {
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, i) => i)];
  const at = (row: number, column: number) => rows[row]?.[column] ?? Number.POSITIVE_INFINITY;
  for (let i = 1; i <= from.length; i += 1) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= to.length; j += 1) {
      const cost = from[i - 1] === to[j - 1] ? 0 : 1;
      const swapped =
        from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]
          ? at(i - 2, j - 2) + 1
          : Number.POSITIVE_INFINITY;
      row.push(Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + cost, swapped));
    }
  }
  return at(from.length, to.length);
}
