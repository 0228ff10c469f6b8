import { printable } from '../../../lib/base/text.ts';

/** A fault in a settings file, for `config check` and `doctor`. */
export interface SettingFinding {
  readonly file: string;
  /** Undefined for the file as a whole, or where the text does not show it. */
  readonly line: number | undefined;
  /** The dotted key; undefined for the file as a whole. */
  readonly key: string | undefined;
  /** `warning`: graft works, and perhaps not as the operator means it. */
  readonly verdict: 'problem' | 'warning';
  /** A part of a sentence that follows the key, or the file. */
  readonly detail: string;
}

/** `/etc/graft/graft.yml, line 3: log_level is "verbose"; it must be …`. */
export function placeInWords({ file, line, key, detail }: SettingFinding): string {
  const place = `${printable(file)}${line === undefined ? '' : `, line ${line}`}`;
  return key === undefined ? `${place}: ${detail}` : `${place}: ${key} ${detail}`;
}
