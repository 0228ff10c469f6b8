import type { ExportErrors } from '../../lib/base/errors/export.ts';

export const exportSentences: { [C in keyof ExportErrors]: (s: ExportErrors[C]) => string } = {
  EXPORT_TAKEN: (s) =>
    `${s.path} ${s.what}, and an export replaces nothing; give it another name, or remove it`,
  EXPORT_PLACE: (s) =>
    `${s.path} cannot be written: ${s.reason}; the result is made beside its final name, so name a path in an ` +
    'existing directory that you may write to',
  EXPORT_NO_SPACE: (s) =>
    `the disk or the quota of ${s.path} has no room left; nothing was left behind, free some space and export again`,
};
