/** Errors of images that are written out of graft: as a directory, a tar file or a layout. */
export interface ExportErrors {
  /** The name of the result is taken by something that an export must not replace. */
  EXPORT_TAKEN: { path: string; what: string };
  /** Nothing can be made beside the result, so that it cannot appear in one step. */
  EXPORT_PLACE: { path: string; reason: string };
  EXPORT_NO_SPACE: { path: string };
}
