import { PluginError } from '../../lib/base/errors/error.ts';
import { listImages } from '../../lib/plugin/list.ts';
import type { ListRow } from '../../lib/plugin/list-rows.ts';
import type { VerbContext } from '../program/verb-context.ts';

/**
 * Programs get one path a line, as GrootFS prints them, and people on a terminal a table. `--quiet`, `--json` and `--format`
 * print the same for both.
 */
export async function run(context: VerbContext<'list'>): Promise<void> {
  const { settings, args, out, width } = context;
  const { json, quiet, format } = args.options;
  if ([json, quiet, format].filter((one) => one !== undefined && one !== false).length > 1)
    throw new PluginError('CLI_BAD_ARGUMENTS', {
      usage: 'list [--json|--quiet|--format FIELDS]',
      misplaced: undefined,
    });
  const images = listImages(settings.store);
  if (json === true) {
    const { fullRecord } = await import('../../lib/plugin/full-record.ts');
    const full = fullRecord(settings.store);
    out.jsonList(images.values().map(({ id, path, record }) => ({ id, path, ...full(record()) })));
  } else if (quiet === true) for (const { id } of images) out.text(id);
  else if (format !== undefined) await printFields(context, format);
  else if (width === undefined) {
    if (images.length === 0) out.text('Store empty');
    for (const { path } of images) out.text(path);
  } else if (images.length === 0) out.text('Store empty');
  else await printTable(context);
}

/** The fields of `--format` with their values for programs: sizes in bytes, times in RFC 3339, `` for what is not known. */
const FIELDS = [
  'id',
  'image',
  'size',
  'limit',
  'layers',
  'created',
  'state',
  'digest',
  'path',
] as const satisfies readonly (keyof ListRow)[];

async function printFields({ settings, out }: VerbContext<'list'>, format: string): Promise<void> {
  const names = format.split(',').map((name) => name.trim());
  const fields = names.map((name) => FIELDS.find((field) => field === name));
  const unknown = names.find((_, at) => fields[at] === undefined);
  if (unknown !== undefined) throw new PluginError('CLI_BAD_FIELD', { field: unknown, known: FIELDS });
  const { listRows } = await import('../../lib/plugin/list-rows.ts');
  for (const row of listRows(settings.store))
    out.row(fields.map((field) => (field === undefined ? '' : (row[field] ?? ''))));
}

async function printTable({ settings, args, out, width }: VerbContext<'list'>): Promise<void> {
  const [{ listRows }, { fitted }, { shortBytes, ageOf }] = await Promise.all([
    import('../../lib/plugin/list-rows.ts'),
    import('../terminal/table.ts'),
    import('../sentences/words.ts'),
  ]);
  const now = Date.now();
  const rows = listRows(settings.store).map((row) => [
    row.id,
    row.image ?? 'unknown',
    row.size === undefined ? '-' : shortBytes(row.size),
    row.limit === undefined ? 'none' : shortBytes(row.limit),
    shortBytes(row.layers),
    row.created === undefined ? '-' : ageOf(row.created, now),
    row.state,
  ]);
  const fit = { width: args.options['no-trunc'] === true ? undefined : width, shrink: [1, 0] };
  for (const line of fitted([HEADINGS, ...rows], fit)) out.text(line);
}

const HEADINGS = ['ID', 'IMAGE', 'WROTE', 'LIMIT', 'LAYERS', 'AGE', 'STATE'];
