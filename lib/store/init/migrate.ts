import { close, openDir, syncfs } from '../../sys/kernel/files.ts';
import type { StoreFormat } from '../layout/format.ts';
import type { Layout } from '../layout/layout.ts';
import { oldestOf, type StoreVersions } from '../layout/versions.ts';
import { writeFormat } from '../layout/write-format.ts';

/**
 * Brings a store to the current version, step by step; `init-store` calls it under its lock. The marker gets a new
 * version only when all changes of that version are on the disk, so that a stopped migration continues with the step
 * that was not finished.
 * @param format of a version that can be migrated
 * @returns the new content of the marker
 */
export function migrate(layout: Layout, format: StoreFormat, versions: StoreVersions): StoreFormat {
  let at = format;
  for (const step of versions.steps.slice(format.version - oldestOf(versions))) {
    step(layout, at);
    sync(layout);
    at = { ...at, version: at.version + 1 };
    writeFormat(layout, at);
  }
  return at;
}

function sync({ root }: Layout): void {
  const fd = openDir(root);
  try {
    syncfs(fd, root);
  } finally {
    close(fd);
  }
}
