import { PluginError } from '../base/errors/error.ts';
import type { Logger } from '../base/log.ts';
import type { Descriptor } from './descriptor.ts';
import { formatPlatform, type Machine, type Platform } from './machine.ts';
import { manifestKind, normalType } from './media-types.ts';

/** An entry of an index. */
export interface IndexEntry extends Descriptor {
  readonly platform: Platform | undefined;
  readonly artifactType: string | undefined;
}

/** Other names of architectures that builders write, as containerd reads them. */
const SYNONYMS: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  'x86-64': 'amd64',
  aarch64: 'arm64',
  i386: '386',
};

/** The baseline variants, which an image may also omit. */
const BASELINES: Readonly<Record<string, readonly string[]>> = {
  amd64: ['v1'],
  arm64: ['v8', '8', 'v8.0'],
};

/** The normal form of a platform, for comparisons. The baseline variant becomes the empty string. */
function normal(platform: Platform): { os: string; architecture: string; variant: string } {
  const architecture = platform.architecture.toLowerCase();
  const known = SYNONYMS[architecture] ?? architecture;
  const variant = platform.variant?.toLowerCase() ?? '';
  const baseline = BASELINES[known]?.includes(variant) === true;
  return { os: platform.os.toLowerCase(), architecture: known, variant: baseline ? '' : variant };
}

/** Variants that a machine of variant `variant` runs, best first. Armv9.n includes Armv8.(n+5). */
function variantsDownFrom(architecture: string, variant: string): readonly string[] {
  const [, major = '', minor = '0'] = /^v(\d)(?:\.(\d))?$/.exec(variant) ?? [];
  if (architecture === 'amd64') return [...down('v', Number(major), 2), ''];
  if (architecture === 'arm') return [...down('v', Number(major || 7), 5), ''];
  if (architecture !== 'arm64') return variant === '' ? [''] : [variant, ''];
  const nine = major === '9' ? [...down('v9.', Number(minor), 1), 'v9', 'v9.0'] : [];
  const eight = major === '9' ? Number(minor) + 5 : Number(minor);
  return [...nine, ...down('v8.', eight, 1), ''];
}

function down(prefix: string, from: number, to: number): string[] {
  return Array.from({ length: Math.max(0, from - to + 1) }, (_, at) => `${prefix}${from - at}`);
}

/**
 * The rank of an image's platform on this machine: 1 or more, more is better; undefined: it does not run here. As in
 * containerd, the best variant that the processor supports comes first.
 */
export function rankOf(platform: Platform, machine: Machine): number | undefined {
  const [offered, wanted] = [normal(platform), normal(machine)];
  if (offered.os !== wanted.os || offered.architecture !== wanted.architecture) return undefined;
  if (platform.features !== undefined && platform.features.length > 0) return undefined;
  const level = wanted.variant || (isAboveBaseline(platform) ? machine.level?.() : undefined) || '';
  const variants = variantsDownFrom(wanted.architecture, level);
  const rank = variants.indexOf(offered.variant);
  // Counted from the end, so that a longer list, which a known level gives, does not change the rank of the others.
  return rank < 0 ? undefined : variants.length - rank;
}

/** True when it depends on the processor's level whether this machine runs the platform. */
export function isAboveBaseline(platform: Platform | undefined): boolean {
  if (platform === undefined) return false;
  const { architecture, variant } = normal(platform);
  return variant !== '' && (architecture === 'amd64' || architecture === 'arm64');
}

/** True for an attestation. buildx adds one for each image, with the platform `unknown/unknown`, so that clients skip it. */
function isAttestation(entry: IndexEntry): boolean {
  if (entry.annotations.get('vnd.docker.reference.type') === 'attestation-manifest') return true;
  return entry.platform?.os === 'unknown' && entry.platform.architecture === 'unknown';
}

/** False for entries of an index that are no images: attestations, artifacts, other blobs. */
export function mayBeImage(entry: IndexEntry): boolean {
  if (isAttestation(entry) || entry.artifactType !== undefined) return false;
  return normalType(entry.mediaType) === '' || manifestKind(entry.mediaType) !== undefined;
}

/**
 * Entries that may hold the image for `machine`, best first: exact platforms by variant, then entries that
 * name no platform (a nested index, or an image whose configuration tells).
 */
export function candidates(entries: readonly IndexEntry[], machine: Machine): readonly IndexEntry[] {
  const ranked: { entry: IndexEntry; rank: number }[] = [];
  for (const entry of entries) {
    if (!mayBeImage(entry)) continue;
    const rank = entry.platform === undefined ? 0 : rankOf(entry.platform, machine);
    if (rank !== undefined) ranked.push({ entry, rank });
  }
  // The sort is stable: of equal ranks the first entry of the index comes first, as in other programs.
  return ranked.sort((a, b) => b.rank - a.rank).map(({ entry }) => entry);
}

/**
 * Compares an image's configuration with the machine, where no index names a platform. Layers of another operating system
 * cannot become a root filesystem. Another architecture is only logged, since images of plain data carry the architecture
 * of the machine that built them.
 * @throws IMAGE_NO_PLATFORM
 */
export function requirePlatform(
  config: PlatformOfConfig,
  machine: Platform,
  source: string,
  log: Logger,
): void {
  const offered = platformIn(config);
  if (isOtherSystem(config, machine)) throw noPlatform([formatPlatform(offered)], machine, source);
  const { architecture } = normal(offered);
  if (architecture !== '' && architecture !== machine.architecture)
    log.info('image-architecture-differs', {
      image: source,
      offered: formatPlatform(offered),
      machine: formatPlatform(machine),
    });
}

/** The platform in an image configuration. Each field may be empty or missing. */
export interface PlatformOfConfig {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string | undefined;
  readonly osFeatures?: readonly string[] | undefined;
}

export function platformIn(config: PlatformOfConfig): Platform {
  const { os, architecture, variant, osFeatures } = config;
  return { os, architecture, variant, ...(osFeatures?.length ? { features: osFeatures } : {}) };
}

export function isOtherSystem(config: PlatformOfConfig, machine: Platform): boolean {
  return config.os !== '' && config.os.toLowerCase() !== machine.os;
}

/** The most platforms that a sentence lists. */
const MAX_OFFERED = 20;

/** @param offered platforms in words, repeated or not */
export function noPlatform(offered: Iterable<string>, machine: Platform, source: string): PluginError {
  const names = [...new Set(offered)];
  const shown = names.slice(0, MAX_OFFERED).join(', ') + (names.length > MAX_OFFERED ? ', …' : '');
  return new PluginError('IMAGE_NO_PLATFORM', {
    source,
    wanted: formatPlatform(machine),
    offered: shown || 'nothing',
  });
}
