/** The manifest of an App Container Image (appc/spec, aci.md), as far as a root filesystem and its process need it. */
import { PluginError } from '../base/errors/error.ts';
import { MAX_MANIFEST_BYTES } from '../base/limits.ts';
import { printable } from '../base/text.ts';
import { isAciManifest } from './generated/validators.js';
import { JsonRefused, parseJson } from './json.ts';
import { describeSchemaError } from './schema-error.ts';

export interface AciManifest {
  readonly name: string;
  /** Empty: any. */
  readonly os: string;
  /** As image configurations name it; empty: any. */
  readonly architecture: string;
  /** Undefined for an image without a process. */
  readonly app: AciApp | undefined;
  /** Paths with a slash at their start. Empty: all files are taken. */
  readonly pathWhitelist: readonly string[];
}

interface AciApp {
  readonly exec: readonly string[];
  /** A name, a number, or the path of a file whose owner is meant. */
  readonly user: string;
  readonly group: string;
  readonly workingDirectory: string;
  /** `NAME=value` */
  readonly environment: readonly string[];
  /** Directories that must be there for volumes. */
  readonly mountPoints: readonly string[];
}

interface Pair {
  readonly name: string;
  readonly value: string;
}

interface RawManifest {
  readonly acVersion: string;
  readonly name: string;
  readonly labels?: readonly Pair[] | null;
  readonly dependencies?: readonly { readonly imageName: string }[] | null;
  readonly pathWhitelist?: readonly string[] | null;
  readonly app?: {
    readonly exec?: readonly string[] | null;
    readonly user: string;
    readonly group: string;
    readonly workingDirectory?: string | null;
    readonly environment?: readonly Pair[] | null;
    readonly mountPoints?: readonly { readonly path: string }[] | null;
  } | null;
}

/** The identifier of types.md. */
const NAME = /^[a-z0-9]+([-._~/][a-z0-9]+)*$/;
/** Names of architectures that differ from those of image configurations (types.md). */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  i386: '386',
  aarch64: 'arm64',
  armv6l: 'arm',
  armv7l: 'arm',
};
/** The most names that a sentence lists. */
const MAX_NAMES = 20;

/** @throws IMAGE_BAD_MANIFEST; IMAGE_ACI_DEPENDS for an image that lies on others */
export function parseAciManifest(bytes: Uint8Array, source: string): AciManifest {
  const bad = (reason: string) => new PluginError('IMAGE_BAD_MANIFEST', { source, reason });
  const raw = read(bytes, bad);
  if (!/^0\.\d+\.\d+/.test(raw.acVersion)) throw bad('its acVersion is none of 0.x');
  if (!NAME.test(raw.name)) throw bad('its name is no identifier');
  const labels = new Map((raw.labels ?? []).map(({ name, value }) => [name, value]));
  if (labels.size !== (raw.labels ?? []).length || labels.has('name'))
    throw bad('it has a label twice, or one that is called name');
  const needed = (raw.dependencies ?? []).map(({ imageName }) => printable(imageName));
  if (needed.length > 0) {
    const names = needed.length > MAX_NAMES ? [...needed.slice(0, MAX_NAMES), '…'] : needed;
    throw new PluginError('IMAGE_ACI_DEPENDS', { source, names: names.join(', ') });
  }
  const architecture = labels.get('arch') ?? '';
  return {
    name: raw.name,
    os: labels.get('os') ?? '',
    architecture: ARCHITECTURES[architecture] ?? architecture,
    app: raw.app ? appOf(raw.app, bad) : undefined,
    pathWhitelist: raw.pathWhitelist ?? [],
  };
}

function read(bytes: Uint8Array, bad: (reason: string) => PluginError): RawManifest {
  let document: unknown;
  try {
    document = parseJson(bytes, MAX_MANIFEST_BYTES);
  } catch (error) {
    throw error instanceof JsonRefused ? bad(error.message) : error;
  }
  if (!isAciManifest(document)) throw bad(describeSchemaError(isAciManifest));
  return document as RawManifest;
}

function appOf(app: NonNullable<RawManifest['app']>, bad: (reason: string) => PluginError): AciApp {
  const workingDirectory = app.workingDirectory ?? '';
  const mountPoints = (app.mountPoints ?? []).map(({ path }) => path);
  const paths = [...mountPoints, ...(workingDirectory === '' ? [] : [workingDirectory])];
  if (!paths.every((path) => path.startsWith('/')))
    throw bad('a path of its app does not start with a slash');
  return {
    exec: app.exec ?? [],
    user: app.user,
    group: app.group,
    workingDirectory,
    environment: (app.environment ?? []).map(({ name, value }) => `${name}=${value}`),
    mountPoints,
  };
}
