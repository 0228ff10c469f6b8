import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ByteName } from '../../../lib/base/bytes.ts';
import { type DiffId, digestOf } from '../../../lib/base/digest.ts';
import type { IdMappings } from '../../../lib/base/id-mapping.ts';
import { silentLogger } from '../../../lib/base/log.ts';
import type { UnpackResult } from '../../../lib/layer/tree/types.ts';
import { initStore } from '../../../lib/store/init/init.ts';
import { isLayerWish } from '../../../lib/store/layout/layer-form.ts';
import { type LayerKey, layerKey } from '../../../lib/store/layout/layer-key.ts';
import type { Grant } from '../../../lib/store/records/grants.ts';
import type { LayerRecord } from '../../../lib/store/records/layers.ts';
import type { Store } from '../../../lib/store/store.ts';
import { tempDir } from '../temp.ts';

export interface ScratchStore extends AsyncDisposable {
  readonly store: Store;
  readonly path: string;
}

/**
 * A store on whatever filesystem the temporary directory, or `parent`, is on, made by the library itself: no limits, all
 * the rest.
 * @param layers how they are written, if not as directories
 */
export async function scratchStore(
  mappings: IdMappings = { uids: [], gids: [] },
  parent?: string,
  layers = process.env['GRAFT_TEST_LAYERS'],
): Promise<ScratchStore> {
  const dir = tempDir(parent);
  const path = join(dir.path, 'store');
  const run = () => ({ ok: false, complaint: 'no program may be needed' });
  const { store } = await initStore(
    { path, sizeBytes: 0, mappings, ...(isLayerWish(layers) ? { layers } : {}) },
    { run, log: silentLogger, directIo: false },
  );
  return {
    store,
    path,
    [Symbol.asyncDispose]: () => {
      store[Symbol.dispose]();
      return dir.remove();
    },
  };
}

type PlainRecord = LayerRecord & UnpackResult;

/** The record of a layer called `name`, with nothing remarkable in it. */
export function plainRecord(name: string, changes: Partial<PlainRecord> = {}): PlainRecord {
  const diffId = digestOf(name) as DiffId;
  return {
    key: layerKey({ content: diffId, validated: true }),
    digest: diffId,
    diffId,
    validated: true,
    compressedBytes: 1,
    tarBytes: 1024,
    fileBytes: name.length,
    diskBytes: 4096,
    nameBytes: 0,
    entries: 1,
    explicitRoot: true,
    impliedDirs: [],
    whiteoutDirs: [],
    opaqueDirs: [],
    skippedDevices: 0,
    droppedXattrs: 0,
    dependsOnLower: false,
    ...changes,
  };
}

/** Publishes a layer whose tree `fill` makes; by default one file named after it. */
export function publishLayer(
  store: Store,
  name: string,
  fill: (tree: string) => void = (tree) => writeFileSync(join(tree, name), name),
  changes: Partial<PlainRecord> = {},
  grant: Grant = { to: 'everybody' },
): LayerKey {
  const record = plainRecord(name, changes);
  const staged = store.layers.stage();
  fill(staged.tree);
  writeFileSync(staged.manifest, '');
  store.layers.publish([{ staged, record: store.layers.describe(staged, record, record), grant }]);
  return record.key;
}

export function names(...list: string[]): ByteName[] {
  return list as ByteName[];
}
