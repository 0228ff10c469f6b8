/**
 * What planning a stack means, said as plainly as it can be: every name is looked up in every layer, component by
 * component. Slow, and what the planner is held against.
 */
import type { ByteName } from '../../../lib/base/bytes.ts';
import type { ShimDirectory } from '../../../lib/image/stack/shims.ts';
import { look, type Sight, type StackLayer } from '../../../lib/image/stack/stack-view.ts';
import type { DirectoryAttributes } from '../../../lib/store/records/stacks.ts';

export interface PlainShims {
  readonly hidden: readonly ByteName[];
  readonly top: readonly ShimDirectory[];
  readonly ghosts: ReadonlySet<StackLayer>;
}

/** `a/b/c` → `a`, `a/b`, `a/b/c`. */
function prefixes(name: ByteName): ByteName[] {
  const parts = name === '' ? [] : name.split('/');
  return parts.map((_, i) => parts.slice(0, i + 1).join('/') as ByteName);
}

interface Seen {
  readonly merged: readonly StackLayer[];
  readonly end: { readonly at: ByteName; readonly sight: Sight } | undefined;
}

export function seen(topFirst: readonly StackLayer[], name: ByteName, throughOpaque: boolean): Seen {
  const path = prefixes(name);
  const merged: StackLayer[] = [];
  for (const layer of topFirst) {
    const found = path
      .map((at) => ({ at, sight: look(layer, at) }))
      .find(({ sight }) => sight !== 'directory');
    if (found === undefined) merged.push(layer);
    else if (found.sight !== 'absent') return { merged, end: found };
    const above = path.slice(0, -1).some((prefix) => layer.opaqueDirs.has(prefix));
    const own = layer.opaqueDirs.has(name) && !throughOpaque;
    if (above || own) return { merged, end: { at: name, sight: 'absent' } };
  }
  return { merged, end: undefined };
}

const hollowOf = (layer: StackLayer): ReadonlySet<ByteName> =>
  layer.kind === 'cvmfs' ? layer.hollowDirs : new Set();

export function plainNeedsLower(layer: StackLayer, topFirst: readonly StackLayer[]): boolean {
  const root = topFirst.findIndex(({ opaqueDirs }) => opaqueDirs.has('' as ByteName));
  const below = root < 0 ? topFirst : topFirst.slice(0, root + 1);
  return [...layer.impliedDirs].some((name) => {
    const { merged, end } = seen(below, name, false);
    if (merged.length > 0 || end === undefined) return false;
    return end.sight === 'link' || (end.sight === 'other' && hollowOf(layer).has(name));
  });
}

export function plainShims(
  topFirst: readonly StackLayer[],
  owner: { readonly uid: number; readonly gid: number },
): PlainShims {
  const hollow = new Set(topFirst.flatMap((layer) => [...hollowOf(layer)]));
  const phantoms = [...hollow].filter((name) => {
    const { merged } = seen(topFirst, name, true);
    return merged.length > 0 && merged.every((layer) => hollowOf(layer).has(name));
  });
  const hidden = phantoms.filter(
    (name) => !prefixes(name).some((above) => above !== name && phantoms.includes(above)),
  );
  const ghosts = topFirst.filter(
    (layer, i) =>
      (layer.kind === 'stored' || layer.shimBelow === undefined) &&
      layer.whiteoutDirs.some(
        (name) => name !== '' && seen(topFirst.slice(i + 1), name, false).merged.length === 0,
      ),
  );
  return { hidden, top: plainTop(topFirst, hidden, owner), ghosts: new Set(ghosts) };
}

function plainTop(
  topFirst: readonly StackLayer[],
  hidden: readonly ByteName[],
  owner: { readonly uid: number; readonly gid: number },
): ShimDirectory[] {
  const attributes = (layer: StackLayer | undefined, name: ByteName): DirectoryAttributes =>
    layer?.kind === 'cvmfs'
      ? layer.attributes(name)
      : { mode: 0o755, ...owner, mtime: undefined, xattrs: [] };
  const inherited = new Map<ByteName, DirectoryAttributes>();
  for (const name of topFirst.flatMap(({ impliedDirs }) => [...impliedDirs])) {
    const [topmost, ...rest] = seen(topFirst, name, true).merged;
    if (!topmost?.impliedDirs.has(name)) continue;
    const explicit = rest.find((layer) => !layer.impliedDirs.has(name));
    if (explicit) inherited.set(name, attributes(explicit, name));
  }
  const parents = hidden.map((name) => name.slice(0, Math.max(0, name.lastIndexOf('/'))) as ByteName);
  const names = [...new Set([...inherited.keys(), ...parents].flatMap(prefixes))].sort();
  return names
    .filter((name) => !hidden.some((above) => name === above || name.startsWith(`${above}/`)))
    .map((name) => {
      const shown = inherited.get(name) ?? attributes(seen(topFirst, name, true).merged[0], name);
      return { name, attributes: () => shown };
    });
}
