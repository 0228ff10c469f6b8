/** The names of a layer in the store, as the manifest of its tree has them; those of an image come from the image itself. */
import { walkTree } from '../commit/layer/tree-walk.ts';
import { readTreeManifest } from '../layer/manifest/reader.ts';
import type { LayerKey } from '../store/layout/layer-key.ts';
import { mountLayers } from '../store/records/layer-mounts.ts';
import type { Store } from '../store/store.ts';
import { close, openAt } from '../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../sys/kernel/libc.ts';
import { isDirectory, isWhiteout } from '../sys/kernel/stat.ts';
import { isOpaque } from './opaque.ts';

/** Where a directory that is opaque is told twice: as a directory, and as what it hides. */
type Kind = 'whiteout' | 'opaque' | 'directory' | 'other';

/** The caller unmounts images again (`releaseLayers`). @throws SysError, STORE_DAMAGED, BadTreeManifest while it is read */
export async function layerEntries(store: Store, key: LayerKey): Promise<Iterable<readonly [Kind, string]>> {
  const isImage = await mountLayers(store, [key]);
  return isImage ? ofImage(store.layout.tree(key)) : ofManifest(`${store.layout.volume(key)}/tree`);
}

function* ofManifest(path: string): Generator<readonly [Kind, string]> {
  for (const [kind, name] of readTreeManifest(path))
    if (kind === 'w') yield ['whiteout', name];
    else if (kind === 'o') yield ['opaque', name];
    else yield [kind === 'd' ? 'directory' : 'other', name];
}

function* ofImage(tree: string): Generator<readonly [Kind, string]> {
  const root = openAt(AT_FDCWD, tree, O.PATH | O.DIRECTORY);
  try {
    for (const { path, stat, fd } of walkTree(root)) {
      if (!isDirectory(stat)) {
        yield [isWhiteout(stat) ? 'whiteout' : 'other', path];
        continue;
      }
      yield ['directory', path];
      if (isOpaque(fd, path)) yield ['opaque', path];
    }
  } finally {
    close(root);
  }
}
