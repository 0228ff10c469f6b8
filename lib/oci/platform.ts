import { PluginError } from '../base/errors/error.ts';
import type { Logger } from '../base/log.ts';
import { printable } from '../base/text.ts';
import type { Descriptor } from './descriptor.ts';

/** In Go's words, as images have them: `linux`, `amd64` … */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  /** `v7` of arm, say; undefined: the usual one of the architecture. */
  readonly variant: string | undefined;
}

/** An entry of an index. */
export interface IndexEntry extends Descriptor {
  readonly platform: Platform | undefined;
  readonly artifactType: string | undefined;
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64', arm: 'arm' };

/** The platform of this machine. @param arch as `process.arch` has it. */
export function platformOf(arch: string): Platform {
  return { os: 'linux', architecture: ARCHITECTURES[arch] ?? arch, variant: undefined };
}

/**
 * Variants this machine runs, best first; `''` is an entry that names none. Nobody says which x86-64 level
 * a cell has, so amd64 takes the baseline alone.
 */
function variantsFor(wanted: Platform): readonly string[] {
  const usual: Readonly<Record<string, readonly string[]>> = {
    amd64: ['', 'v1'],
    arm64: ['v8', '', 'v8.0'],
    arm: ['v7', 'v6', 'v5', ''],
  };
  const known = usual[wanted.architecture] ?? [''];
  if (wanted.variant === undefined || wanted.variant === '') return known;
  const at = known.indexOf(wanted.variant);
  return at < 0 ? [wanted.variant, ''] : [...known.slice(at), ...(known.includes('') ? [] : [''])];
}

/** buildx adds an attestation for each image, on the platform `unknown/unknown` so that clients pass it by. */
export function isAttestation(entry: IndexEntry): boolean {
  if (entry.annotations.get('vnd.docker.reference.type') === 'attestation-manifest') return true;
  return entry.platform?.os === 'unknown' && entry.platform.architecture === 'unknown';
}

/**
 * Entries that may hold the image for `wanted`, best first: exact platforms by variant, then entries that
 * name no platform (a nested index, or an image whose configuration tells).
 */
export function candidates(entries: readonly IndexEntry[], wanted: Platform): readonly IndexEntry[] {
  const variants = variantsFor(wanted);
  const ranked: { entry: IndexEntry; rank: number }[] = [];
  for (const entry of entries) {
    if (isAttestation(entry) || entry.artifactType !== undefined) continue;
    const rank = rankOf(entry.platform, wanted, variants);
    if (rank !== undefined) ranked.push({ entry, rank });
  }
  // Stable: of equals, the first in the index counts, as everywhere.
  return ranked.sort((a, b) => a.rank - b.rank).map(({ entry }) => entry);
}

function rankOf(
  platform: Platform | undefined,
  wanted: Platform,
  variants: readonly string[],
): number | undefined {
  if (platform === undefined) return variants.length;
  if (platform.os !== wanted.os || platform.architecture !== wanted.architecture) return undefined;
  const rank = variants.indexOf(platform.variant ?? '');
  return rank < 0 ? undefined : rank;
}

/** The entry for this platform. @throws IMAGE_NO_PLATFORM naming what the index offers. */
export function selectPlatform(
  index: { readonly entries: readonly IndexEntry[] },
  wanted: Platform,
  source: string,
): IndexEntry {
  const [best] = candidates(index.entries, wanted);
  if (best === undefined) throw noPlatform(index.entries, wanted, source);
  return best;
}

/** Longest list of platforms that a sentence shows. */
const MAX_OFFERED = 20;

export function noPlatform(entries: readonly IndexEntry[], wanted: Platform, source: string): PluginError {
  const names = new Set<string>();
  for (const entry of entries)
    if (!isAttestation(entry) && entry.platform !== undefined) names.add(formatPlatform(entry.platform));
  const shown = [...names].slice(0, MAX_OFFERED).join(', ') + (names.size > MAX_OFFERED ? ', …' : '');
  return new PluginError('IMAGE_NO_PLATFORM', {
    source,
    wanted: formatPlatform(wanted),
    offered: shown || 'nothing',
  });
}

/**
 * Holds an image's configuration against the machine. Layers of another system cannot become a root filesystem;
 * another architecture is only logged: images of plain data carry the architecture of whoever built them.
 * @throws IMAGE_NO_PLATFORM
 */
export function requirePlatform(
  config: { readonly os: string; readonly architecture: string },
  wanted: Platform,
  source: string,
  log: Logger,
): void {
  const offered = formatPlatform({ ...config, variant: undefined });
  if (config.os !== '' && config.os !== wanted.os)
    throw new PluginError('IMAGE_NO_PLATFORM', { source, wanted: formatPlatform(wanted), offered });
  if (config.architecture !== '' && config.architecture !== wanted.architecture)
    log.info('image-architecture-differs', { image: source, offered, machine: formatPlatform(wanted) });
}

export function formatPlatform(platform: Platform): string {
  const variant = platform.variant === undefined || platform.variant === '' ? '' : `/${platform.variant}`;
  return printable(`${platform.os}/${platform.architecture}${variant}`);
}
