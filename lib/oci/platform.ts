import { PluginError } from '../base/errors/error.ts';
import type { Logger } from '../base/log.ts';
import { printable } from '../base/text.ts';
import type { Descriptor } from './descriptor.ts';
import { manifestKind, normalType } from './media-types.ts';

/** In Go's words, as images have them: `linux`, `amd64` … */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  /** `v7` of arm, say; undefined: the usual one of the architecture. */
  readonly variant: string | undefined;
  /** What the image wants of the operating system beyond its name; no Linux of ours says that it has any. */
  readonly features?: readonly string[];
}

/** The platform that images are chosen for. */
export interface Machine extends Platform {
  /** The processor's level where `variant` does not say it; asked for when an image names one above the baseline. */
  readonly level?: () => string | undefined;
}

/** An entry of an index. */
export interface IndexEntry extends Descriptor {
  readonly platform: Platform | undefined;
  readonly artifactType: string | undefined;
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64', arm: 'arm' };

/** The platform of this machine. @param arch as `process.arch` has it. @param level as in `Machine` */
export function platformOf(arch: string, level?: () => string | undefined): Machine {
  const machine = { os: 'linux', architecture: ARCHITECTURES[arch] ?? arch, variant: undefined };
  return level === undefined ? machine : { ...machine, level };
}

/** Other names that builders write, as containerd reads them. */
const SYNONYMS: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  'x86-64': 'amd64',
  aarch64: 'arm64',
  i386: '386',
};

/** The usual variants, which an image may also leave out. */
const BASELINES: Readonly<Record<string, readonly string[]>> = {
  amd64: ['v1'],
  arm64: ['v8', '8', 'v8.0'],
};

/** One name for each platform. The variant of the baseline is the empty one. */
function normal(platform: Platform): { os: string; architecture: string; variant: string } {
  const architecture = platform.architecture.toLowerCase();
  const known = SYNONYMS[architecture] ?? architecture;
  const variant = platform.variant?.toLowerCase() ?? '';
  const baseline = BASELINES[known]?.includes(variant) === true;
  return { os: platform.os.toLowerCase(), architecture: known, variant: baseline ? '' : variant };
}

/** Variants that a machine of this one runs, best first. Armv9.n has all of Armv8.(n+5). */
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
 * How well an image's platform fits: from 1, more is better; undefined: not at all. As containerd orders them, the best
 * variant that the processor has comes first.
 */
export function rankOf(platform: Platform, machine: Machine): number | undefined {
  const [offered, wanted] = [normal(platform), normal(machine)];
  if (offered.os !== wanted.os || offered.architecture !== wanted.architecture) return undefined;
  if (platform.features !== undefined && platform.features.length > 0) return undefined;
  const level = wanted.variant || (isAboveBaseline(platform) ? machine.level?.() : undefined) || '';
  const variants = variantsDownFrom(wanted.architecture, level);
  const rank = variants.indexOf(offered.variant);
  // From the end: a list that is longer, because somebody asked for the level, must not move the others.
  return rank < 0 ? undefined : variants.length - rank;
}

/** Whether the processor decides if this machine runs it. */
export function isAboveBaseline(platform: Platform | undefined): boolean {
  if (platform === undefined) return false;
  const { architecture, variant } = normal(platform);
  return variant !== '' && (architecture === 'amd64' || architecture === 'arm64');
}

/** buildx adds an attestation for each image, on the platform `unknown/unknown` so that clients pass it by. */
export function isAttestation(entry: IndexEntry): boolean {
  if (entry.annotations.get('vnd.docker.reference.type') === 'attestation-manifest') return true;
  return entry.platform?.os === 'unknown' && entry.platform.architecture === 'unknown';
}

/** False for what an index holds beside images: attestations, artifacts, blobs of other kinds. */
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
  // Stable: of equals, the first in the index counts, as everywhere.
  return ranked.sort((a, b) => b.rank - a.rank).map(({ entry }) => entry);
}

/**
 * Holds an image's configuration against the machine, where nothing else says what the image is for. Layers of another
 * system cannot become a root filesystem; another architecture is only logged: images of plain data carry the
 * architecture of whoever built them.
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

/** What a configuration says of the machine that its image is for; all of it may be missing. */
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

/** Longest list of platforms that a sentence shows. */
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

export function formatPlatform(platform: Platform): string {
  const variant = platform.variant === undefined || platform.variant === '' ? '' : `/${platform.variant}`;
  const features = (platform.features ?? []).slice(0, 5).join(', ');
  const wanted = features === '' ? '' : ` with ${features}`;
  return printable(`${platform.os}/${platform.architecture}${variant}${wanted}`);
}
