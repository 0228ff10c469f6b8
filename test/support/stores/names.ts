/** What lies in a store, read without graft: what must be gone is looked for by other eyes than those that left it. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { mountPointsBelow } from '../temp.ts';

/** Directories whose every entry belongs to work in progress. */
const WORK = ['tmp', 'locks', 'meta/leases'];
/** Directories that hold nothing once every image is deleted and the store was cleaned. */
const CONTENT = [
  'images',
  'volumes',
  'l',
  'meta/images',
  'meta/stacks',
  'meta/published',
  'meta/sources',
  'meta/blobs',
  'meta/cached',
  'projectids',
];

/** Names of half-finished work: stages, locks, leases, images without a record, half layers, temporary files. */
export function unfinished(store: string): string[] {
  const images = list(store, 'images');
  const records = list(store, 'meta/images');
  const volumes = list(store, 'volumes');
  return [
    ...WORK.flatMap((directory) => list(store, directory).map((name) => `${directory}/${name}`)),
    ...images.filter((id) => !records.includes(id)).map((id) => `images/${id} without a record`),
    ...records.filter((id) => !images.includes(id)).map((id) => `meta/images/${id} without an image`),
    ...volumes.filter((name) => !isWhole(store, name)).map((name) => `volumes/${name}`),
    ...temporaries(store),
    ...mountPointsBelow(join(store, 'images'))
      .map((path) => path.slice(store.length + 1))
      .filter((path) => !images.includes(path.split('/')[1] ?? ''))
      .map((path) => `mount ${path}`),
  ];
}

/** All that a store holds beside its own directories and small files. Empty: as after init-store. */
export function contents(store: string): string[] {
  const names = [...WORK, ...CONTENT, 'meta/partial'].flatMap((directory) =>
    list(store, directory).map((name) => `${directory}/${name}`),
  );
  return [...names, ...mountPointsBelow(join(store, 'images'))];
}

function isWhole(store: string, volume: string): boolean {
  const at = join(store, 'volumes', volume);
  if (!/^[0-9a-f]{64}|^stack-/.test(volume) || !existsSync(join(at, 'fs'))) return false;
  if (/\.(shim|mask)$/.test(volume)) return true;
  const has = (name: string) => existsSync(join(at, name));
  return has('layer.json') && has('tree') !== has('fs.erofs');
}

/** Temporary names, in the store's directories and beside the store. */
function temporaries(store: string): string[] {
  const places = ['', 'meta', ...CONTENT, ...WORK];
  const inside = places.flatMap((place) => list(store, place).map((name) => join(place, name)));
  const beside = list(join(store, '..'), '').filter((name) => name.startsWith('.graft-tmp-'));
  return [
    ...inside.filter((path) => path.includes('.graft-tmp-')),
    ...beside,
    ...(existsSync(`${store}.init`) ? ['the lock of init-store'] : []),
  ];
}

function list(store: string, directory: string): string[] {
  const path = join(store, directory);
  return existsSync(path) ? readdirSync(path) : [];
}
