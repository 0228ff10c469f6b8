import { PluginError } from './errors/error.ts';

/** A line of a user-namespace map: `size` ids from `container` on are the ids from `host` on. */
export interface IdRange {
  readonly container: number;
  readonly host: number;
  readonly size: number;
}

/** The mapping of a store, applied to owners when a layer is written. Empty lists mean identity. */
export interface IdMappings {
  readonly uids: readonly IdRange[];
  readonly gids: readonly IdRange[];
}

/** The largest id that the kernel has; 4294967295 means "no change" in chown(2). */
export const MAX_ID = 4294967294;

/** The host's id for a container's, or undefined where the mapping has none. */
export function toHostId(ranges: readonly IdRange[], id: number): number | undefined {
  if (ranges.length === 0) return id;
  for (const r of ranges)
    if (id >= r.container && id - r.container < r.size) return r.host + id - r.container;
  return undefined;
}

/** Parses `namespaceID:hostID:size`, as GrootFS's `--uid-mapping` takes it. @throws STORE_BAD_MAPPING */
export function parseIdRange(text: string, kind: 'uid' | 'gid'): IdRange {
  const match = /^(\d{1,10}):(\d{1,10}):(\d{1,10})$/.exec(text);
  const bad = (reason: string) => new PluginError('STORE_BAD_MAPPING', { mapping: text, kind, reason });
  if (!match) throw bad('expected integer');
  const [container, host, size] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (size === 0) throw bad('the size is zero');
  if (container + size - 1 > MAX_ID || host + size - 1 > MAX_ID) throw bad(`ids end at ${MAX_ID}`);
  return { container, host, size };
}

export function formatIdRange(range: IdRange): string {
  return `${range.container}:${range.host}:${range.size}`;
}

/** The container's id for a host's, or undefined where no container has it. */
export function toContainerId(ranges: readonly IdRange[], id: number): number | undefined {
  if (ranges.length === 0) return id;
  for (const r of ranges) if (id >= r.host && id - r.host < r.size) return r.container + id - r.host;
  return undefined;
}
