import { missingOutside } from '../../lib/plugin/outside-layers.ts';
import { storeUsage, type Usage } from '../../lib/plugin/usage.ts';
import { Store } from '../../lib/store/store.ts';
import { probeCommand } from '../program/executable.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { counted, keptSentence, shortBytes } from '../sentences/words.ts';
import { bar, fitted, wrapped } from '../terminal/table.ts';

export async function run(context: VerbContext<'usage'>): Promise<void> {
  const { settings, args, metrics, out, width } = context;
  const store = Store.open(settings.store);
  const outside = await missingOutside(store, probeCommand());
  const usage = storeUsage(store, settings.cleanThresholdBytes, outside);
  metrics.bytes('UnusedLayersSize', usage.unusedFileBytes);
  metrics.bytes('UsedLayersSize', usage.fileBytes - usage.unusedFileBytes);
  metrics.bytes('CommittedQuotaInBytes', usage.committedBytes);
  metrics.bytes('UsedBackingStoreInBytes', usage.filesystem.usedBytes);
  if (args.options.json === true) out.json(usage);
  else
    for (const line of forPeople(usage, args.options['no-trunc'] === true ? undefined : width))
      out.text(line);
}

function inodesOf({ inodes, usedInodes }: Usage['filesystem']): string {
  return inodes === 0 ? '' : `; ${usedInodes} of ${inodes} inodes`;
}

function forPeople(usage: Usage, width: number | undefined): string[] {
  const { filesystem: disk } = usage;
  // The rest is what the filesystem keeps for itself, or what others have put beside the store.
  const own = disk.usedBytes - usage.counted.sum;
  const part = (name: string, bytes: number, note = '') => [
    name,
    shortBytes(bytes),
    bar(bytes, disk.totalBytes, width),
    note,
  ];
  return [
    `store ${usage.store} (${disk.type}, ${shortBytes(disk.totalBytes)})`,
    ...fitted(
      [
        part('used', disk.usedBytes, `${shortBytes(disk.freeBytes)} free${inodesOf(disk)}`),
        part('layers', usage.layerBytes, `${counted(usage.layers.length, 'layer')}, each kept once`),
        part('  shared', usage.sharedBytes, 'used by more than one image'),
        part('  reclaimable', usage.reclaimableBytes, 'used by none; a clean deletes it'),
        part('committed', usage.committedBytes, 'sum of the disk limits'),
        part('containers', usage.counted.containers, 'what they wrote'),
        part('records', usage.counted.records, 'facts, and downloads cut short'),
        part('sum', usage.counted.sum, 'the whole store, as du -x counts'),
        ...(own > 0 ? [part('filesystem', own, 'its own share, and what is beside')] : []),
      ],
      { width, shrink: [3] },
    ),
    ...[
      ...backingLine(usage),
      ...(usage.kept === undefined ? [] : [keptSentence(usage.kept)]),
      leakedLine(usage),
      ...missingLines(usage),
      cleanLine(usage),
    ].flatMap((line) => (width === undefined ? [line] : wrapped(line, width))),
    '',
    ...fitted(
      [
        ['IMAGE', 'WROTE', 'LIMIT', 'LAYERS', 'FROM'],
        ...usage.images.map((image) => [
          image.id,
          image.exclusiveBytes === undefined ? 'not counted' : shortBytes(image.exclusiveBytes),
          image.quotaBytes === undefined ? 'none' : shortBytes(image.quotaBytes),
          shortBytes(image.layerBytes),
          image.image ?? 'unknown',
        ]),
      ],
      { width, shrink: [4, 0] },
    ),
    '',
    ...fitted(
      [
        ['LAYER', 'SIZE', 'USED BY'],
        ...usage.layers.map((layer) => [layer.layer, shortBytes(layer.bytes), usersOf(layer.usedBy)]),
        ...usage.inPlace.map(({ path, usedBy }) => [path, 'in place', usersOf(usedBy)]),
      ],
      { width, shrink: [0, 2] },
    ),
  ];
}

function usersOf(ids: readonly string[]): string {
  return ids.length === 0 ? 'none' : some(ids);
}

function some(ids: readonly string[]): string {
  return ids.length <= 3 ? ids.join(', ') : `${ids.slice(0, 3).join(', ')} and ${ids.length - 3} more`;
}

function backingLine({ backing }: Usage): string[] {
  if (backing === undefined) return [];
  return [
    `${backing.path} may grow to ${shortBytes(backing.sizeBytes)} and takes ${shortBytes(backing.onDiskBytes)} of the disk below.`,
  ];
}

function leakedLine({ leaked }: Usage): string {
  const { places, projectIds } = leaked;
  if (places.length + projectIds === 0) return 'Nothing is left over from crashes or deletes.';
  const count = `${counted(places.length, 'place')}${places.length === 0 ? '' : ` (${some(places)})`}`;
  return `Left over from crashes and deletes: ${count}, ${counted(projectIds, 'project id')}; the next clean sweeps them, or says why not.`;
}

function missingLines({ images }: Usage): string[] {
  return images.flatMap(({ id, missingLayers }) =>
    missingLayers.map(({ path, reason }) => `${id} lacks its layer ${path}: ${reason}.`),
  );
}

function cleanLine({ clean }: Usage): string {
  if (clean.thresholdBytes === 0) return 'A clean deletes unused layers whenever it runs (threshold 0).';
  if (clean.due) return `A clean is due: the threshold of ${shortBytes(clean.thresholdBytes)} is reached.`;
  if (!clean.reachable) {
    return `A clean will hardly ever act: its threshold of ${shortBytes(clean.thresholdBytes)} is more than the filesystem holds; lower clean.threshold_bytes.`;
  }
  return `A clean does nothing until ${shortBytes(clean.missingBytes)} more are committed or cached (threshold ${shortBytes(clean.thresholdBytes)}).`;
}
