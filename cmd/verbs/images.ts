import { type Cache, type CacheRow, cacheOf, type StaysFor } from '../../lib/plugin/images.ts';
import { Store } from '../../lib/store/store.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { ageOf, counted, shortBytes } from '../sentences/words.ts';
import { fitted } from '../terminal/table.ts';

export async function run(context: VerbContext<'images'>): Promise<void> {
  const { settings, args, out } = context;
  const { json, quiet } = args.options;
  const { cache } = await context.extra();
  const found = cacheOf(Store.open(settings.store), cache?.keep ?? []);
  if (json === true) out.json({ version: 1, ...found });
  else if (quiet === true) for (const { image } of found.images) out.text(image);
  else for (const line of forPeople(context, found)) out.text(line);
}

/** Hex digits of a digest in the table. */
const DIGITS = 12;

function forPeople({ args, width }: VerbContext<'images'>, cache: Cache): string[] {
  const whole = args.options['no-trunc'] === true || width === undefined;
  const now = Date.now();
  const rows = cache.images.map((row) => [
    row.image,
    digestOf(row, whole),
    shortBytes(row.bytes),
    shortBytes(row.ownBytes),
    shortBytes(row.sharedBytes),
    ageOf(row.lastUsed, now),
    row.stays.length === 0 ? 'a clean may take it' : row.stays.map(staysInWords).join('; '),
  ]);
  const head = ['IMAGE', 'DIGEST', 'SIZE', 'OWN', 'SHARED', 'LAST USED', 'STAYS'];
  const { nameless, spared } = cache;
  return [
    ...(rows.length === 0
      ? ['No image is cached.']
      : fitted([head, ...rows], { width: whole ? undefined : width, shrink: [6, 0] })),
    ...(nameless.volumes === 0
      ? []
      : [`${counted(nameless.volumes, 'layer')} of no image with ${shortBytes(nameless.bytes)}`]),
    `${shortBytes(cache.reclaimableBytes)} can be freed by a clean, ${shortBytes(spared.diskBytes)} are unused and kept`,
  ];
}

function digestOf({ digest }: CacheRow, whole: boolean): string {
  if (digest === undefined) return '-';
  return whole ? digest : digest.replace('sha256:', '').slice(0, DIGITS);
}

function staysInWords(one: StaysFor): string {
  switch (one.reason) {
    case 'used':
      return `used by ${one.by.length <= 3 ? one.by.join(', ') : `${one.by.slice(0, 2).join(', ')} and ${one.by.length - 2} more`}`;
    case 'pattern':
      return `kept by ${one.pattern}`;
    case 'kept':
      return 'kept by pull --keep';
  }
}
