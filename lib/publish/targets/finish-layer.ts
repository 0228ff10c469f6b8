/** Gives a staged layer the form of DUCC's layout: markers, `whiteouts/` and records beside its tree. */
import { replaceFile } from '../../sys/files/durable.ts';
import { close, fchmod, mkdirAt, openDir } from '../../sys/kernel/files.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';
import { layerRecords, type StagedLayer } from '../tree/layer-records.ts';
import { writeMarkerFiles } from '../tree/marker-files.ts';
import type { ImagePublication } from './target.ts';

/** @throws PUBLISH_CATALOG_NAME, SysError */
export function finishLayer(image: ImagePublication, layer: StagedLayer, ownersKept: boolean): void {
  const { directory, facts, digest } = layer;
  for (const name of ['whiteouts', '.metadata']) {
    mkdirAt(AT_FDCWD, `${directory}/${name}`, 0o755);
    openToAll(`${directory}/${name}`);
  }
  openToAll(directory);
  const marked = writeMarkerFiles(`${directory}/layerfs`, `${directory}/whiteouts`, facts, (path) =>
    image.namesBelow(digest, path),
  );
  const records = layerRecords(layer, marked, { ownersKept, at: new Date() });
  for (const [name, content] of Object.entries(records))
    replaceFile(`${directory}/.metadata/${name}`, Buffer.from(content), 0o644);
}

/** Readers are other users, whatever the umask of the publisher. */
export function openToAll(directory: string): void {
  const fd = openDir(directory);
  try {
    fchmod(fd, 0o755, directory);
  } finally {
    close(fd);
  }
}
