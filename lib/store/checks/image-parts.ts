/** Checks the parts of a container's directory, which a power cut or an operator may have damaged. */
import { chmodAt, chownAt, mkdirAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';
import { isDirectoryAt } from '../../sys/kernel/look.ts';
import { bytesOfText } from '../../sys/kernel/utf8.ts';
import { usesBelow } from '../../sys/mounts/in-use.ts';
import { MAX_NUMBER_BYTES } from '../layout/ceilings.ts';
import type { ImageId } from '../layout/image-id.ts';
import { cvmfsKeyOrUndefined, layerKeyOrUndefined, stackKeyOrUndefined } from '../layout/layer-key.ts';
import { readFact } from '../layout/read-file.ts';
import { removeName, writeSmall } from '../layout/staging.ts';
import type { ImageRecord } from '../records/image-record.ts';
import type { Store } from '../store.ts';
import type { Finding } from './finding.ts';

/** @param record the image's record; undefined when it is missing or damaged */
export function checkParts(store: Store, id: ImageId, record: ImageRecord | undefined): Finding[] {
  if (record === undefined || !store.images.exists(id)) return [];
  return [...checkInfo(store, id, record), ...checkDirectories(store, id, record)];
}

const DECIMAL = /^\d{1,16}$/;

/** Checks `image_info`, which GrootFS and `stats` read. The file is not synced, so a power cut may leave it empty. */
function checkInfo(store: Store, id: ImageId, record: ImageRecord): Finding[] {
  const path = `${store.layout.image(id)}/image_info`;
  const isWhole = () => DECIMAL.test(readFact(path, MAX_NUMBER_BYTES) ?? '');
  if (isWhole()) return [];
  const finding = { kind: 'image-info', what: `images/${id}/image_info` } as const;
  const bytes = layerBytes(store, record);
  if (bytes === undefined) return [{ ...finding, detail: 'it holds no size, and the layers do not tell it' }];
  const repair = () => {
    if (isWhole() || !isSame(store, id, record)) return;
    // A rename is not possible: a directory with a project quota takes no file from outside (EXDEV).
    removeName(store.layout, path);
    writeSmall(path, bytesOfText(String(bytes)));
  };
  return [{ ...finding, detail: `it should say that the layers have ${bytes} bytes`, repair }];
}

/** Bytes of the layers, as in the image's plan; undefined when one of them is not known any more. */
function layerBytes(store: Store, { uses }: ImageRecord): number | undefined {
  let sum = 0;
  for (const use of new Set(uses)) {
    const [layer, onCvmfs] = [layerKeyOrUndefined(use), cvmfsKeyOrUndefined(use)];
    const bytes =
      layer !== undefined
        ? store.layers.recordIfReadable(layer)?.fileBytes
        : onCvmfs !== undefined
          ? store.cvmfsRecords.get(onCvmfs, store.layers)?.bytes
          : stackKeyOrUndefined(use) && 0;
    if (bytes === undefined) return undefined;
    sum += bytes;
  }
  return sum;
}

/** False when the image was deleted before its repair and another one now has its id. */
function isSame(store: Store, id: ImageId, record: ImageRecord): boolean {
  return store.images.exists(id) && store.images.recordIfReadable(id)?.created === record.created;
}

const PARTS = ['diff', 'workdir', 'rootfs'] as const;

/**
 * Checks the directories. The files that the container wrote cannot be made again; the other two directories can,
 * unless the container is in use.
 */
function checkDirectories(store: Store, id: ImageId, record: ImageRecord): Finding[] {
  return PARTS.flatMap((name): Finding[] => {
    const path = `${store.layout.image(id)}/${name}`;
    if (isDirectoryAt(path)) return [];
    const finding = { kind: 'image-directory', what: `images/${id}/${name}` } as const;
    const isFree = () => !usesBelow(store.layout.images).has(id);
    if (name === 'diff')
      return [{ ...finding, detail: 'it is gone, and what the container wrote with it; delete it' }];
    if (!isFree()) return [{ ...finding, detail: 'it is gone below a container that runs; create it anew' }];
    const repair = () => {
      if (isDirectoryAt(path) || !isFree() || !isSame(store, id, record)) return;
      mkdirAt(AT_FDCWD, path, 0o700);
      if (record.mounted) return;
      chownAt(AT_FDCWD, path, store.owner.uid, store.owner.gid);
      chmodAt(AT_FDCWD, path, 0o755);
    };
    return [{ ...finding, detail: 'it is gone', repair }];
  });
}
