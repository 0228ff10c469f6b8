/** Faults of graft's own settings: files that are not read, values that cannot be, and what they name that is not there. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { isPluginError } from '../../../lib/base/errors/error.ts';
import { printable } from '../../../lib/base/text.ts';
import type { RegistriesFile } from '../../../lib/registry/policy/settings.ts';
import { errnoMeaning } from '../../../lib/sys/kernel/errno.ts';
import { type ExtraFile, isSettingsFile, settingsDirectory } from '../extra.ts';
import { readConfigText } from '../groot-file.ts';
import { parseConfig } from '../groot-yaml.ts';
import { withBytes } from '../sizes.ts';
import { dockerConfigThings, hasProgram } from './docker-config-findings.ts';
import type { SettingFinding } from './finding.ts';
import { KeyLines, type KeyPath, nameOf } from './lines.ts';
import { settingFaults } from './schema-faults.ts';

export interface OwnFiles {
  /** GrootFS's file, beside which the settings lie. */
  readonly config: string | undefined;
  /** The file that replaces them. */
  readonly extra: string | undefined;
}

interface Read {
  readonly file: string;
  readonly document: ExtraFile;
  readonly lines: KeyLines;
}

/**
 * @param path directories with programs, colon-separated
 * @param explain the sentence of an error
 */
export function ownFindings(
  { config, extra }: OwnFiles,
  path: string,
  explain: (error: unknown) => string,
): { files: string[]; findings: SettingFinding[] } {
  const { files, findings } = extra === undefined ? filesBeside(config) : instead(config, extra);
  const read: Read[] = [];
  for (const file of files) {
    const one = readOne(file, explain);
    if ('document' in one) read.push(one);
    else findings.push(...one.findings);
  }
  findings.push(...read.flatMap((one) => thingsOf(one, path)), ...twice(read));
  return { files, findings };
}

function filesBeside(config: string | undefined): { files: string[]; findings: SettingFinding[] } {
  const directory = config === undefined ? undefined : settingsDirectory(config);
  if (directory === undefined || !existsSync(directory)) return { files: [], findings: [] };
  if (!statSync(directory).isDirectory())
    return {
      files: [],
      findings: [whole(directory, 'problem', 'is not a directory, so that no settings are read')],
    };
  const names = namesIn(directory);
  if (typeof names === 'string') return { files: [], findings: [whole(directory, 'problem', names)] };
  const files = names.filter(isSettingsFile).map((name) => `${directory}/${name}`);
  const findings = names
    .filter((name) => !isSettingsFile(name))
    .map((name) => {
      const seems = /\.ya?ml/.test(name);
      const detail = 'is not read: names of settings end in .yml and do not begin with a dot';
      return whole(`${directory}/${name}`, seems ? 'problem' : 'warning', detail);
    });
  return { files, findings };
}

/** The sorted names, or why they cannot be read. */
function namesIn(directory: string): string[] | string {
  try {
    return readdirSync(directory).sort();
  } catch (error) {
    return `cannot be read: ${errnoMeaning((error as { code: string }).code)}`;
  }
}

function instead(config: string | undefined, extra: string): { files: string[]; findings: SettingFinding[] } {
  const beside = filesBeside(config).files.map((file) =>
    whole(file, 'warning', `is not read: --extra-config ${printable(extra)} is read in its place`),
  );
  return { files: [extra], findings: beside };
}

function whole(file: string, verdict: SettingFinding['verdict'], detail: string): SettingFinding {
  return { file, line: undefined, key: undefined, verdict, detail };
}

function readOne(file: string, explain: (error: unknown) => string): Read | { findings: SettingFinding[] } {
  try {
    const text = readConfigText(file);
    const lines = new KeyLines(text);
    const document = withBytes(parseConfig(file, text) ?? {});
    const faults = settingFaults(document);
    if (faults.length === 0) return { file, document: document as ExtraFile, lines };
    return {
      findings: faults.map(({ path, words }) => ({
        file,
        line: lines.of(path),
        key: path.length === 0 ? undefined : printable(nameOf(path)),
        verdict: 'problem',
        detail: words,
      })),
    };
  } catch (error) {
    if (!isPluginError(error)) throw error;
    return { findings: [whole(file, 'problem', explain(error))] };
  }
}

/** Files, directories and programs that a valid document names and that are not there, and lists with an entry twice. */
function thingsOf({ file, document, lines }: Read, path: string): SettingFinding[] {
  const found: SettingFinding[] = [];
  const say = (key: KeyPath, detail: string, verdict: SettingFinding['verdict'] = 'problem') =>
    found.push({ file, line: lines.of(key), key: printable(nameOf(key)), verdict, detail });
  for (const [key, value] of pathsIn(document)) {
    const wanted = kindAt(value);
    if (wanted !== key.kind)
      say(key.path, `is ${JSON.stringify(printable(value))}; ${absence(key.kind, wanted)}`);
  }
  const { metrics, registries } = document;
  if (metrics?.file !== undefined && kindAt(dirname(metrics.file)) !== 'directory')
    say(['metrics', 'file'], `is "${printable(metrics.file)}"; its directory is not there`);
  for (const [key, detail] of registryThings(registries ?? {}, path)) say(key, detail);
  for (const [key, entry] of duplicates(document, []))
    say(key, `has ${JSON.stringify(printable(entry))} twice`, 'warning');
  return found;
}

type Kind = 'file' | 'directory';

function kindAt(path: string): Kind | undefined {
  try {
    const stat = statSync(path);
    return stat.isDirectory() ? 'directory' : 'file';
  } catch {
    return undefined;
  }
}

/** A pipe would be waited for. */
function isRegular(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

function absence(wanted: Kind, there: Kind | undefined): string {
  return there === undefined
    ? `there is no such ${wanted}`
    : `that is a ${there}, and it must be a ${wanted}`;
}

/** The keys that name something on this machine. CVMFS is not among them: a repository that hangs would hold this process. */
function* pathsIn({
  registries,
  trust,
  publisher,
}: ExtraFile): Generator<[{ path: KeyPath; kind: Kind }, string]> {
  const one = function* (
    path: KeyPath,
    kind: Kind,
    value: string | undefined,
  ): Generator<[{ path: KeyPath; kind: Kind }, string]> {
    if (value !== undefined) yield [{ path, kind }, value];
  };
  yield* one(['registries', 'docker_config'], 'file', registries?.docker_config);
  for (const [at, value] of (registries?.certs_dirs ?? []).entries())
    yield* one(['registries', 'certs_dirs', at], 'directory', value);
  for (const [name, host] of Object.entries(registries?.hosts ?? {})) {
    const path = ['registries', 'hosts', name];
    for (const [at, value] of (host.ca ?? []).entries()) yield* one([...path, 'ca', at], 'file', value);
    yield* one([...path, 'client_certificate'], 'file', host.client_certificate);
    yield* one([...path, 'client_key'], 'file', host.client_key);
  }
  yield* one(['trust', 'policy'], 'file', trust?.policy);
  yield* one(['trust', 'registries_d'], 'directory', trust?.registries_d);
  yield* one(['publisher', 'token_file'], 'file', publisher?.token_file);
  yield* one(['publisher', 'queue'], 'directory', publisher?.queue);
}

function* registryThings(settings: RegistriesFile, path: string): Generator<[KeyPath, string]> {
  const directories = settings.credential_helpers?.path ?? path;
  const { docker_config: dockerConfig } = settings;
  if (dockerConfig !== undefined && isRegular(dockerConfig))
    yield* dockerConfigThings(dockerConfig, directories);
  for (const [at, file] of (settings.registries_conf ?? []).entries())
    if (kindAt(file) === undefined)
      yield [
        ['registries', 'registries_conf', at],
        `is ${JSON.stringify(printable(file))}; there is no such file`,
      ];
  for (const [name, host] of Object.entries(settings.hosts ?? {})) {
    const own = ['registries', 'hosts', name];
    for (const [at, { location }] of (host.mirrors ?? []).entries())
      if (location.toLowerCase() === name.toLowerCase())
        yield [
          [...own, 'mirrors', at, 'location'],
          `is "${printable(location)}", the registry itself, which is no mirror`,
        ];
    const { credential_helper: helper, client_certificate: certificate, client_key: key } = host;
    if (helper !== undefined && !hasProgram(directories, `docker-credential-${helper}`))
      yield [
        [...own, 'credential_helper'],
        `is "${helper}"; docker-credential-${helper} is not in ${printable(directories)}`,
      ];
    if ((certificate === undefined) !== (key === undefined))
      yield [own, 'has one of client_certificate and client_key, which go together'];
  }
}

/** Lists of texts, or of mappings with a path or location, that have an entry twice. */
function* duplicates(value: unknown, path: KeyPath): Generator<[KeyPath, string]> {
  if (Array.isArray(value)) {
    const names = value.map((item: unknown) => entryName(item));
    const again = names.find((name, at) => name !== undefined && names.indexOf(name) !== at);
    if (again !== undefined) yield [path, again];
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value))
    yield* duplicates(member, [...path, Array.isArray(value) ? Number(name) : name]);
}

function entryName(item: unknown): string | undefined {
  if (typeof item === 'string') return item;
  const { path, location } = (item ?? {}) as { path?: unknown; location?: unknown };
  return [location, path].find((name): name is string => typeof name === 'string');
}

/** Keys with a plain value that two files set: the later file's counts. */
function twice(files: readonly Read[]): SettingFinding[] {
  const seen = new Map<string, Read>();
  return files.flatMap((one) =>
    [...leaves(one.document, [])].flatMap((path): SettingFinding[] => {
      const name = nameOf(path);
      const earlier = seen.get(name);
      seen.set(name, one);
      if (earlier === undefined) return [];
      const detail = `is set in ${printable(earlier.file)} too, and the value here counts`;
      return [{ file: one.file, line: one.lines.of(path), key: printable(name), verdict: 'warning', detail }];
    }),
  );
}

function* leaves(value: unknown, path: KeyPath): Generator<KeyPath> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) yield path;
  else for (const [name, member] of Object.entries(value)) yield* leaves(member, [...path, name]);
}
