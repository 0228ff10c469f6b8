/** What Garden makes of the stdout of create, stats and capacity (guardian, imageplugin/image_plugin.go). */
import { GoError, type Json, parseFirst, parseWhole } from './json.ts';

export interface CreatedSpec {
  readonly rootPath: string;
  readonly env: readonly string[];
  readonly mounts: readonly {
    readonly destination: string;
    readonly type: string;
    readonly source: string;
    readonly options: readonly string[];
  }[];
}

type Field =
  | 'string'
  | 'bool'
  | 'int'
  | 'uint32'
  | 'strings'
  | 'uint32s'
  | 'map'
  | Fields
  | readonly [Fields];
interface Fields {
  readonly [name: string]: Field;
}

const MAPPINGS = [{ containerID: 'uint32', hostID: 'uint32', size: 'uint32' }] as const;
/** The fields of specs.Spec that an image plugin could meet, with their Go types; Go ignores all others. */
const SPEC: Fields = {
  ociVersion: 'string',
  process: {
    terminal: 'bool',
    user: { uid: 'uint32', gid: 'uint32', umask: 'uint32', additionalGids: 'uint32s', username: 'string' },
    args: 'strings',
    commandLine: 'string',
    env: 'strings',
    cwd: 'string',
    noNewPrivileges: 'bool',
    apparmorProfile: 'string',
    oomScoreAdj: 'int',
    selinuxLabel: 'string',
  },
  root: { path: 'string', readonly: 'bool' },
  hostname: 'string',
  domainname: 'string',
  mounts: [
    {
      destination: 'string',
      type: 'string',
      source: 'string',
      options: 'strings',
      uidMappings: MAPPINGS,
      gidMappings: MAPPINGS,
    },
  ],
  annotations: 'map',
  linux: {
    uidMappings: MAPPINGS,
    gidMappings: MAPPINGS,
    rootfsPropagation: 'string',
    maskedPaths: 'strings',
  },
  windows: { layerFolders: 'strings' },
};

/** json.Unmarshal into specs.Spec. @throws GoError, as Garden's `parsing image plugin create` */
export function readCreate(stdout: string): CreatedSpec {
  const value = parseWhole(stdout);
  check(value, SPEC, 'Spec');
  const plain = toPlain(value) as {
    root?: { path?: string };
    process?: { env?: string[] };
    mounts?: { destination?: string; type?: string; source?: string; options?: string[] }[];
  } | null;
  return {
    rootPath: plain?.root?.path ?? '',
    env: plain?.process?.env ?? [],
    mounts: (plain?.mounts ?? []).map(({ destination = '', type = '', source = '', options = [] }) => ({
      destination,
      type,
      source,
      options,
    })),
  };
}

export interface DiskStat {
  readonly totalBytesUsed: bigint;
  readonly exclusiveBytesUsed: bigint;
}

/** json.Decoder into map[string]map[string]uint64. @throws GoError, as Garden's `parsing stats` */
export function readStats(stdout: string): DiskStat {
  const value = parseFirst(stdout);
  const usage = new Map<string, bigint>();
  for (const [name, member] of membersOf(value, 'map[string]map[string]uint64'))
    for (const [key, number] of membersOf(member, `${name}: map[string]uint64`)) {
      const bytes = unsigned(number, 64n, `${name}.${key}`);
      if (name === 'disk_usage') usage.set(key, bytes);
    }
  return {
    totalBytesUsed: usage.get('total_bytes_used') ?? 0n,
    exclusiveBytesUsed: usage.get('exclusive_bytes_used') ?? 0n,
  };
}

/** json.Decoder into map[string]uint64; 0 makes Garden leave the field out. @throws GoError */
export function readCapacity(stdout: string): bigint {
  let capacity = 0n;
  for (const [name, number] of membersOf(parseFirst(stdout), 'map[string]uint64')) {
    const bytes = unsigned(number, 64n, name);
    if (name === 'capacity') capacity = bytes;
  }
  return capacity;
}

function wrong(value: Json, what: string): GoError {
  return new GoError(`json: cannot unmarshal ${value.type} into Go value of type ${what}`);
}

/** null leaves a map empty, as it does in Go. */
function membersOf(value: Json, what: string): Iterable<[string, Json]> {
  if (value.type === 'null') return [];
  if (value.type !== 'object') throw wrong(value, what);
  return value.members;
}

function unsigned(value: Json, bits: bigint, what: string): bigint {
  if (value.type === 'null') return 0n;
  if (value.type !== 'number' || !/^[0-9]+$/.test(value.literal)) throw wrong(value, `uint${bits} (${what})`);
  const number = BigInt(value.literal);
  if (number >= 1n << bits) throw wrong(value, `uint${bits} (${what})`);
  return number;
}

function check(value: Json, field: Field, where: string): void {
  if (value.type === 'null') return;
  if (typeof field === 'string') checkSimple(value, field, where);
  else if (Array.isArray(field)) {
    if (value.type !== 'array') throw wrong(value, where);
    for (const item of value.items) check(item, field[0], `${where}[]`);
  } else {
    if (value.type !== 'object') throw wrong(value, where);
    for (const [name, member] of value.members) {
      const known = (field as Fields)[name];
      if (known !== undefined) check(member, known, `${where}.${name}`);
    }
  }
}

function checkSimple(value: Json, field: Field & string, where: string): void {
  if (field === 'uint32') unsigned(value, 32n, where);
  else if (field === 'int') {
    if (value.type !== 'number' || !/^-?[0-9]+$/.test(value.literal)) throw wrong(value, `int (${where})`);
  } else if (field === 'map') {
    for (const [name, member] of membersOf(value, where)) checkSimple(member, 'string', `${where}.${name}`);
  } else if (field === 'strings' || field === 'uint32s') {
    if (value.type !== 'array') throw wrong(value, where);
    for (const item of value.items) check(item, field === 'strings' ? 'string' : 'uint32', `${where}[]`);
  } else if (value.type !== field) throw wrong(value, `${field} (${where})`);
}

function toPlain(value: Json): unknown {
  switch (value.type) {
    case 'null':
      return undefined;
    case 'array':
      return value.items.map(toPlain);
    case 'object':
      return Object.fromEntries([...value.members].map(([name, member]) => [name, toPlain(member)]));
    case 'number':
      return Number(value.literal);
    default:
      return value.value;
  }
}
