import type { SettingFinding } from './finding.ts';
import { grootFindings } from './groot-findings.ts';
import { type OwnFiles, ownFindings } from './own-findings.ts';

export { placeInWords } from './finding.ts';

export interface CheckedSettings {
  /** The files that graft reads, in their order. */
  readonly files: readonly string[];
  readonly findings: readonly SettingFinding[];
}

/**
 * Reads every setting of both files, as a call with these options would, and finds all faults at once.
 * @param path directories with programs, colon-separated
 * @param explain the sentence of an error
 */
export function checkSettings(
  files: OwnFiles,
  path: string,
  explain: (error: unknown) => string,
): CheckedSettings {
  const groot = files.config === undefined ? [] : grootFindings(files.config, explain);
  const own = ownFindings(files, path, explain);
  return {
    files: [...(files.config === undefined ? [] : [files.config]), ...own.files],
    findings: [...groot, ...own.findings],
  };
}
