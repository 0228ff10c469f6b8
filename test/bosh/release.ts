/** The BOSH release under `bosh/`: its specs, and its jobs rendered as a director renders them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT, run } from '../support/shell.ts';
import type { Yaml } from './go-patch.ts';

export const RELEASE = join(PROJECT, 'bosh');
export type Properties = { [key: string]: Yaml };

interface PropertyDefinition {
  readonly type?: string;
  readonly description?: string;
  readonly default?: Yaml;
  readonly example?: Yaml;
}

export interface JobSpec {
  readonly name: string;
  readonly description?: string;
  readonly packages?: readonly string[];
  readonly templates: Readonly<Record<string, string>>;
  readonly properties: Readonly<Record<string, PropertyDefinition>>;
  readonly consumes?: readonly {
    readonly name: string;
    readonly type: string;
    readonly optional?: boolean;
  }[];
  readonly provides?: readonly {
    readonly name: string;
    readonly type: string;
    readonly properties?: readonly string[];
  }[];
}

export const JOBS = readdirSync(join(RELEASE, 'jobs')).sort();
export const PACKAGES = readdirSync(join(RELEASE, 'packages')).sort();

export function readYaml<T = Yaml>(...path: string[]): T {
  return Bun.YAML.parse(readFileSync(join(...path), 'utf8')) as T;
}

export function jobSpec(job: string, release = RELEASE): JobSpec {
  return readYaml<JobSpec>(release, 'jobs', job, 'spec');
}

export interface RenderRequest {
  readonly properties?: Properties;
  readonly links?: Properties;
  readonly spec?: Properties;
  /** Directory of the release; the one under `bosh/` where it is left out. */
  readonly release?: string;
}

export interface Rendered {
  readonly files: readonly string[];
  /** Names of the properties that templates looked at. */
  readonly read: readonly string[];
  readonly errors: readonly {
    readonly template: string | null;
    readonly kind: string;
    readonly message: string;
  }[];
}

/** What a director knows of an instance, as far as templates ask. */
const INSTANCE: Properties = {
  name: 'diego-cell',
  deployment: 'cf',
  index: 0,
  id: '8c2f4a7e-0000-4000-8000-000000000000',
  az: 'z1',
  address: 'q-s0.diego-cell.default.cf.bosh',
  ip: '10.0.1.5',
  bootstrap: true,
};

/** Renders every template of a job and its monit file into `out`, also when some of them fail. */
export async function renderJob(job: string, out: string, request: RenderRequest = {}): Promise<Rendered> {
  const ran = await run('ruby', [join(PROJECT, 'test/bosh/render.rb')], {
    stdin: JSON.stringify({
      job: join(request.release ?? RELEASE, 'jobs', job),
      out,
      properties: request.properties ?? {},
      links: request.links ?? {},
      spec: { ...INSTANCE, ...request.spec },
    }),
  });
  if (ran.stdout === '') throw new Error(`the renderer says nothing and exits ${ran.code}: ${ran.stderr}`);
  return JSON.parse(ran.stdout) as Rendered;
}

/** Like `renderJob`, for property sets that must render. */
export async function renderWell(job: string, out: string, request: RenderRequest = {}): Promise<Rendered> {
  const rendered = await renderJob(job, out, request);
  if (rendered.errors.length > 0) {
    throw new Error(rendered.errors.map((error) => `${error.template}: ${error.message}`).join('\n'));
  }
  return rendered;
}

/** The link that a deployed job offers: its listed properties, defaults filled in, and one instance. */
export function linkOf(job: string, link: string, properties: Properties): Properties {
  const spec = jobSpec(job);
  const names = spec.provides?.find((each) => each.name === link)?.properties ?? [];
  const offered: Properties = {};
  for (const name of names)
    put(offered, name, lookup(properties, name) ?? spec.properties[name]?.default ?? null);
  return { [link]: { instances: [{ ...INSTANCE, properties: offered }], properties: offered } };
}

/** A dotted property name in nested maps; undefined where it is not set. */
export function lookup(properties: Yaml, name: string): Yaml | undefined {
  return name
    .split('.')
    .reduce<Yaml | undefined>(
      (at, key) => (typeof at === 'object' && at !== null && !Array.isArray(at) ? at[key] : undefined),
      properties,
    );
}

/** Sets a dotted property name. */
export function put(properties: Properties, name: string, value: Yaml): Properties {
  const [key = '', ...rest] = name.split('.');
  if (rest.length === 0) return Object.assign(properties, { [key]: value });
  const inner = properties[key];
  const at = typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? inner : {};
  properties[key] = put(at, rest.join('.'), value);
  return properties;
}

/** Nested properties from dotted names. */
export function properties(flat: Readonly<Record<string, Yaml>>): Properties {
  return Object.entries(flat).reduce<Properties>((all, [name, value]) => put(all, name, value), {});
}
