import { PluginError } from '../../base/errors/error.ts';
import { throughGate } from '../../sys/exclusive/gate.ts';
import { SysError } from '../../sys/kernel/errno.ts';
import { lookIfThere } from '../../sys/kernel/look.ts';
import { S } from '../../sys/kernel/stat.ts';
import { mountErofs } from '../../sys/mounts/erofs.ts';
import { isErofs } from '../../sys/mounts/is-erofs.ts';
import { MAX_LAYER_RECORD_BYTES } from '../layout/ceilings.ts';
import type { StoreFormat } from '../layout/format.ts';
import type { LayerKey } from '../layout/layer-key.ts';
import type { Layout } from '../layout/layout.ts';
import { readRecord } from '../layout/read-file.ts';
import { whyNotRoots } from '../layout/roots-own.ts';
import { decodeLayerRecord } from './layer-record.ts';

/**
 * Mounts a layer's image unless it is mounted. Of several creates one mounts it, since a further mount would lie over the
 * first: each layer's directory is a gate of its own (flock(2)), which a mount closes for a millisecond.
 * @returns false for a layer that is a directory, whose manifest is lost
 * @throws STORE_DAMAGED, STORE_MOUNT_FAILED, STORE_BUSY
 */
export function mountLayer(
  { layout, format }: { readonly layout: Layout; readonly format: StoreFormat },
  key: LayerKey,
): boolean {
  return throughGate(layout.volume(key), 'alone', 'the mount of a layer', () => {
    const [file, target] = [layout.layerImage(key), layout.tree(key)];
    if (isErofs(target)) return true;
    if (!isOwnImage(layout, key, file)) return false;
    try {
      mountErofs(file, target, format.layers.way);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      throw new PluginError('STORE_MOUNT_FAILED', { what: file, reason: error.message }, { cause: error });
    }
    return true;
  });
}

/**
 * Only files that graft's own writer made are mounted: a file as the layer's record has it, of root's.
 * @returns false for the record of a directory, where no such file is
 * @throws STORE_DAMAGED
 */
function isOwnImage(layout: Layout, key: LayerKey, file: string): boolean {
  const damaged = (path: string, reason: string) => new PluginError('STORE_DAMAGED', { path, reason });
  const recordPath = `${layout.volume(key)}/layer.json`;
  const text = readRecord(recordPath, MAX_LAYER_RECORD_BYTES);
  if (text === undefined) throw damaged(recordPath, 'it is missing');
  const { image } = decodeLayerRecord(text, recordPath, key);
  const stat = lookIfThere(file);
  if (stat === undefined && image === undefined) return false;
  if (stat === undefined) throw damaged(file, 'it is missing');
  const unsafe = whyNotRoots(stat);
  if (unsafe !== undefined) throw damaged(file, `it ${unsafe}`);
  if (image === undefined || (stat.mode & S.IFMT) !== S.IFREG || stat.size !== image.bytes)
    throw damaged(file, "it is not the image of the layer's record");
  return true;
}
