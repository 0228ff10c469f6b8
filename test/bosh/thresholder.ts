/**
 * garden-runc's thresholder, from its documented rules: what it computes, and how its rewrite leaves a GrootFS
 * configuration file. It reads the file into a Go struct and marshals that struct back, so keys that the struct
 * lacks disappear and every one that it has appears.
 */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import type { Yaml } from './go-patch.ts';

const MIB = 1024 ** 2;
const SMALLEST_STORE = 15 * 1024 * MIB;

export interface Sizes {
  readonly withClean: boolean;
  readonly threshold: number;
  readonly storeSize: number;
}

/** `disk` in bytes, `reserved` in MiB, -1 for no cleaning. */
export function sizes(disk: number, reserved: number, routineGc: boolean): Sizes {
  const bytes = routineGc ? disk : reserved * MIB;
  const left = disk - Math.max(0, bytes);
  return {
    withClean: bytes >= 0,
    threshold: Math.max(0, left),
    storeSize: left <= SMALLEST_STORE ? disk : left,
  };
}

/** GrootFS's struct, in its order, with Go's zero values. `owneruser` and `ownergroup` have no tag of their own. */
const STRUCT = {
  store: '',
  tardis_bin: '',
  newuidmap_bin: '',
  newgidmap_bin: '',
  metron_endpoint: '',
  log_level: '',
  log_file: '',
  create: {
    exclude_image_from_quota: false,
    skip_layer_validation: false,
    with_clean: false,
    clean_log_file: '',
    without_mount: false,
    disk_limit_size_bytes: 0,
    insecure_registries: [],
    remote_layer_client_certificates_path: '',
  },
  clean: { threshold_bytes: 0 },
  init: { store_size_bytes: 0, with_direct_io: false, owneruser: '', ownergroup: '' },
};

/** Rewrites a configuration file as thresholder does, mode 0600. Returns the names of the keys that got lost. */
export function rewrite(file: string, found: Sizes): string[] {
  const before = Bun.YAML.parse(readFileSync(file, 'utf8')) as Record<string, Yaml>;
  const lost: string[] = [];
  const after = fill(STRUCT, before, '', lost) as typeof STRUCT;
  after.create.with_clean = found.withClean;
  after.clean.threshold_bytes = found.threshold;
  after.init.store_size_bytes = found.storeSize;
  writeFileSync(file, marshal(after, ''));
  chmodSync(file, 0o600);
  return lost;
}

function fill(struct: object, given: Record<string, Yaml>, prefix: string, lost: string[]): object {
  for (const key of Object.keys(given)) if (!Object.hasOwn(struct, key)) lost.push(prefix + key);
  return Object.fromEntries(
    Object.entries(struct).map(([key, zero]) => {
      const value = given[key];
      const isMap = typeof zero === 'object' && !Array.isArray(zero);
      if (!isMap) return [key, value ?? zero];
      const inner = typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
      return [key, fill(zero, inner, `${prefix}${key}.`, lost)];
    }),
  );
}

/** go-yaml's block style: two blanks, lists at the indentation of their key, empty strings as "". */
function marshal(value: object, indent: string): string {
  return Object.entries(value)
    .map(([key, member]) => {
      if (Array.isArray(member)) {
        return member.length === 0
          ? `${indent}${key}: []\n`
          : `${indent}${key}:\n${member.map((item) => `${indent}- ${item}\n`).join('')}`;
      }
      if (typeof member === 'object') return `${indent}${key}:\n${marshal(member, `${indent}  `)}`;
      return `${indent}${key}: ${member === '' ? '""' : member}\n`;
    })
    .join('');
}
