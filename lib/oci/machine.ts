/** The platform of this machine: what each create needs of platforms. */
import { printable } from '../base/text.ts';

/** A platform in Go's names, as images have them: `linux`, `amd64` … */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  /** `v7` of arm, say; undefined: the baseline of the architecture. */
  readonly variant: string | undefined;
  /** Features that the image requires of the operating system. graft offers none, so an image with some does not fit. */
  readonly features?: readonly string[];
}

/** The platform that images are chosen for. */
export interface Machine extends Platform {
  /** Finds the processor's level where `variant` is undefined. Called only for an image above the baseline. */
  readonly level?: () => string | undefined;
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64', arm: 'arm' };

/** The platform of this machine. @param arch as `process.arch` has it. @param level as in `Machine` */
export function platformOf(arch: string, level?: () => string | undefined): Machine {
  const machine = { os: 'linux', architecture: ARCHITECTURES[arch] ?? arch, variant: undefined };
  return level === undefined ? machine : { ...machine, level };
}

export function formatPlatform(platform: Platform): string {
  const variant = platform.variant === undefined || platform.variant === '' ? '' : `/${platform.variant}`;
  const features = (platform.features ?? []).slice(0, 5).join(', ');
  const wanted = features === '' ? '' : ` with ${features}`;
  return printable(`${platform.os}/${platform.architecture}${variant}${wanted}`);
}
