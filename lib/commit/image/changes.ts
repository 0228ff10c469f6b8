/**
 * Changes of an image's configuration, written as instructions of a Containerfile: `CMD ["a", "b"]` or `CMD=["a", "b"]`.
 * The instructions are those that `podman commit --change` takes, without ONBUILD, which OCI images do not have.
 */
import { PluginError } from '../../base/errors/error.ts';
import { printable } from '../../base/text.ts';

/** The part `config` of an image configuration; keys that no change concerns stay as they are. */
export interface ContainerConfig {
  readonly User?: unknown;
  readonly Env?: unknown;
  readonly Entrypoint?: unknown;
  readonly Cmd?: unknown;
  readonly ExposedPorts?: unknown;
  readonly Volumes?: unknown;
  readonly WorkingDir?: unknown;
  readonly Labels?: unknown;
  readonly StopSignal?: unknown;
}

export type Change =
  | { readonly kind: 'Cmd' | 'Entrypoint'; readonly words: readonly string[] }
  | { readonly kind: 'Env' | 'Labels'; readonly pairs: readonly (readonly [string, string])[] }
  | { readonly kind: 'ExposedPorts' | 'Volumes'; readonly names: readonly string[] }
  | { readonly kind: 'StopSignal' | 'User' | 'WorkingDir'; readonly text: string };

const INSTRUCTION = /^\s*([A-Za-z]+)(?:\s*=\s*|\s+)([\s\S]*\S)\s*$/;
const PORT = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/;

/** @throws COMMIT_CHANGE */
export function parseChange(text: string): Change {
  const refuse = (reason: string) => new PluginError('COMMIT_CHANGE', { change: printable(text), reason });
  const [, instruction = '', value = ''] = INSTRUCTION.exec(text) ?? [];
  if (value.includes('\0')) throw refuse('it holds a NUL character');
  switch (instruction.toUpperCase()) {
    case 'CMD':
      return { kind: 'Cmd', words: command(value, refuse) };
    case 'ENTRYPOINT':
      return { kind: 'Entrypoint', words: command(value, refuse) };
    case 'ENV':
      return { kind: 'Env', pairs: pairs(value, refuse) };
    case 'LABEL':
      return { kind: 'Labels', pairs: pairs(value, refuse) };
    case 'EXPOSE':
      return { kind: 'ExposedPorts', names: ports(value, refuse) };
    case 'VOLUME':
      return { kind: 'Volumes', names: jsonWords(value, refuse) ?? words(value, refuse) };
    case 'STOPSIGNAL':
      return { kind: 'StopSignal', text: value };
    case 'USER':
      return { kind: 'User', text: value };
    case 'WORKDIR':
      return { kind: 'WorkingDir', text: value };
    case 'ONBUILD':
      throw refuse('an OCI image has no ONBUILD');
    default:
      throw refuse(
        'it is none of CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME and WORKDIR with a value',
      );
  }
}

type Refuse = (reason: string) => PluginError;

/** A list in JSON as it is; other text goes through a shell, as in a Containerfile. */
function command(value: string, refuse: Refuse): readonly string[] {
  return jsonWords(value, refuse) ?? ['/bin/sh', '-c', value];
}

function jsonWords(value: string, refuse: Refuse): readonly string[] | undefined {
  if (!value.startsWith('[')) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(value);
  } catch {
    throw refuse('what begins with [ must be a list of strings in JSON, in double quotes');
  }
  if (Array.isArray(parsed) && parsed.every((word): word is string => typeof word === 'string'))
    return parsed;
  throw refuse('the list must hold strings only');
}

/** `KEY=VALUE …` with quotes, or `KEY VALUE`. */
function pairs(value: string, refuse: Refuse): (readonly [string, string])[] {
  const [first = '', ...rest] = words(value, refuse);
  if (!first.includes('=')) {
    if (rest.length === 0) throw refuse('a value is missing after the name');
    return [[first, value.trim().slice(first.length).trim()]];
  }
  return [first, ...rest].map((word) => {
    const equals = word.indexOf('=');
    if (equals < 1) throw refuse('each part must be NAME=VALUE; put quotes around a value with blanks');
    return [word.slice(0, equals), word.slice(equals + 1)] as const;
  });
}

function ports(value: string, refuse: Refuse): string[] {
  return words(value, refuse).flatMap((word) => {
    const [, from = '', to = from, protocol = 'tcp'] = PORT.exec(word) ?? [];
    const [low, high] = [Number(from), Number(to)];
    if (from === '' || low < 1 || high > 65535 || low > high)
      throw refuse('a port is a number from 1 to 65535, a range, and /tcp, /udp or /sctp');
    return Array.from({ length: high - low + 1 }, (_, at) => `${low + at}/${protocol}`);
  });
}

/** Words as a shell splits them: blanks separate, quotes and backslashes keep characters as they are. */
function words(value: string, refuse: Refuse): string[] {
  const found: string[] = [];
  let [word, quote]: [string | undefined, string] = [undefined, ''];
  for (let at = 0; at < value.length; at += 1) {
    const char = value[at] ?? '';
    const keeps = char === '\\' && quote !== "'" && at + 1 < value.length;
    if (keeps) {
      at += 1;
      word = (word ?? '') + (value[at] ?? '');
    } else if (quote === '' ? char === '"' || char === "'" : char === quote) {
      quote = quote === '' ? char : '';
      word ??= '';
    } else if (quote === '' && /\s/.test(char)) {
      if (word !== undefined) found.push(word);
      word = undefined;
    } else word = (word ?? '') + char;
  }
  if (quote !== '') throw refuse('a quote is not closed');
  if (word !== undefined) found.push(word);
  return found;
}

/** The configuration with the changes, in their order. */
export function applyChanges(config: ContainerConfig, changes: readonly Change[]): ContainerConfig {
  // A new entrypoint does not take the old command as its arguments (Containerfile reference, ENTRYPOINT).
  const setsEntrypoint = changes.some(({ kind }) => kind === 'Entrypoint');
  let changed: ContainerConfig = setsEntrypoint ? { ...config, Cmd: undefined } : config;
  for (const change of changes) changed = { ...changed, ...applied(changed, change) };
  return changed;
}

function applied(config: ContainerConfig, change: Change): ContainerConfig {
  switch (change.kind) {
    case 'Cmd':
    case 'Entrypoint':
      return { [change.kind]: change.words };
    case 'Env':
      return { Env: withEnv(config.Env, change.pairs) };
    case 'Labels':
      return { Labels: { ...asRecord(config.Labels), ...Object.fromEntries(change.pairs) } };
    case 'ExposedPorts':
    case 'Volumes': {
      const added = Object.fromEntries(change.names.map((name) => [name, {}]));
      return { [change.kind]: { ...asRecord(config[change.kind]), ...added } };
    }
    case 'WorkingDir':
      return { WorkingDir: joined(config.WorkingDir, change.text) };
    default:
      return { [change.kind]: change.text };
  }
}

/** A variable that is there gets the new value where it stands. */
function withEnv(env: unknown, added: readonly (readonly [string, string])[]): string[] {
  const all = new Map<string, string>();
  for (const entry of Array.isArray(env) ? env : [])
    all.set(String(entry).split('=', 1)[0] ?? '', String(entry));
  for (const [name, value] of added) all.set(name, `${name}=${value}`);
  return [...all.values()];
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

/** A relative directory is one below the earlier directory (Containerfile reference, WORKDIR). */
function joined(before: unknown, text: string): string {
  if (text.startsWith('/')) return text;
  const start = typeof before === 'string' && before !== '' ? before.replace(/\/+$/, '') : '';
  return `${start.startsWith('/') || start === '' ? start : `/${start}`}/${text}`;
}
