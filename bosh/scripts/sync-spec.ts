/**
 * Writes the properties of the jobs `graft` and `graft-publisher` that stand for graft's own settings into their specs, from
 * the schemas that graft itself checks them with: `bosh/scripts/sync-spec.ts`. A test says when it has to be run again.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const PROJECT = join(import.meta.dir, '../..');
const BEGIN = '  # From the schemas of graft’s own settings, by scripts/sync-spec.ts:\n';
const END = '  # End of what scripts/sync-spec.ts writes.\n';
const PARTS = {
  registries: 'lib/registry/settings.schema.json',
  cvmfs: 'lib/cvmfs/settings.schema.json',
  trust: 'lib/trust/settings.schema.json',
  layers: 'cmd/settings/extra.schema.json',
  cache: 'cmd/settings/extra.schema.json',
  limits: 'cmd/settings/extra.schema.json',
  metrics: 'cmd/settings/extra.schema.json',
} as const;

/** The jobs that have settings of graft's own as properties. */
export const SYNCED_JOBS = ['graft', 'graft-publisher'] as const;
export type SyncedJob = (typeof SYNCED_JOBS)[number];

/** What the release itself adds to a setting. */
const REMARKS: Readonly<Record<string, string>> = {
  'graft.registries.docker_config': 'graft.docker_config makes such a file.',
  'graft.registries.certs_dirs': 'graft.registry_certificates makes one that goes before them.',
  'graft.cvmfs.repositories':
    'Default: the repositories of the job cvmfs-client where it is linked, each with its mount for the unprivileged store.',
  'graft_publisher.queue': 'Default: /var/vcap/data/graft-publisher/queue.',
};

interface Schema {
  readonly type?: string;
  /** Words, of which some may be written as true and false. */
  readonly enum?: readonly unknown[];
  readonly description?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
}

export interface Setting {
  readonly name: string;
  readonly type: 'boolean' | 'integer' | 'string' | 'list' | 'hash';
  readonly description: string;
}

const TYPES: Readonly<Record<string, Setting['type']>> = {
  boolean: 'boolean',
  integer: 'integer',
  string: 'string',
  array: 'list',
  object: 'hash',
};

/** Every setting that is a value: maps with keys of their own count as one, maps of settings are entered. */
function leaves(name: string, schema: Schema): Setting[] {
  if (schema.properties !== undefined)
    return Object.entries(schema.properties).flatMap(([key, inner]) => leaves(`${name}.${key}`, inner));
  const type = TYPES[schema.type ?? (schema.enum === undefined ? '' : 'string')];
  if (type === undefined) throw new Error(`${name} has the type ${schema.type}, which no BOSH property has`);
  const remark = REMARKS[name] === undefined ? '' : ` ${REMARKS[name]}`;
  return [{ name, type, description: `${schema.description ?? ''}${defaultOf(schema)}${remark}` }];
}

/** The default stays graft's: a property that is not set is not written into its settings. */
function defaultOf(schema: Schema): string {
  const { default: value } = schema;
  const isEmpty = typeof value === 'object' && value !== null && Object.keys(value).length === 0;
  return value === undefined || isEmpty ? '' : ` Default: ${JSON.stringify(value)}.`;
}

export function ownSettings(job: SyncedJob = 'graft'): Setting[] {
  if (job === 'graft-publisher') return publisherSettings();
  return Object.entries(PARTS).flatMap(([part, file]) => {
    const schema = schemaIn(file);
    // Parts without a schema file of their own are properties of the one for all.
    const own = schema.properties?.[part] ?? schema;
    return leaves(`graft.${part}`, own);
  });
}

/** The job itself writes the file of the token. */
function publisherSettings(): Setting[] {
  const all = leaves('graft_publisher', schemaIn('lib/publisher/settings.schema.json'));
  return all.filter(({ name }) => name !== 'graft_publisher.token_file');
}

function schemaIn(file: string): Schema {
  return JSON.parse(readFileSync(join(PROJECT, file), 'utf8')) as Schema;
}

function specOf(job: SyncedJob): string {
  return join(PROJECT, 'bosh/jobs', job, 'spec');
}

/** The text of a job's spec with the settings of today. */
export function syncedSpec(job: SyncedJob, text = readFileSync(specOf(job), 'utf8')): string {
  const [before, rest] = text.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined)
    throw new Error(`${specOf(job)} has no place for the settings`);
  const entries = ownSettings(job).map(
    ({ name, type, description }) =>
      `  ${name}:\n    type: ${type}\n    description: >-\n${wrap(description.trim(), 110)}`,
  );
  return before + BEGIN + entries.join('') + END + after;
}

function wrap(text: string, width: number): string {
  const lines = [''];
  for (const word of text.split(/\s+/)) {
    const last = lines.length - 1;
    if (`${lines[last]} ${word}`.length > width) lines.push(word);
    else lines[last] = `${lines[last]} ${word}`.trim();
  }
  return lines.map((line) => `      ${line}\n`).join('');
}

if (import.meta.main) for (const job of SYNCED_JOBS) writeFileSync(specOf(job), syncedSpec(job));
