/**
 * Finds images by their public name. `<registry>/<repository>:<tag>` is a link to a flat root filesystem, and
 * `.metadata` has the manifest of the layers that it was made from. An image for several platforms has a name for each
 * of them below `.multiarch/<arch>`; the name of this machine's platform is tried first.
 */
import { type Digest, digestFromHex, digestOf, hexOf } from '../base/digest.ts';
import { MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES, MiB } from '../base/limits.ts';
import type { Platform } from '../oci/machine.ts';
import type { ImageManifest } from '../oci/manifest.ts';
import { errnoMeaning } from '../sys/kernel/errno.ts';
import type { RepositoryPath } from './address.ts';
import { type CvmfsDeps, noteHang } from './locate.ts';
import { probe } from './probe.ts';
import type { LinkRules, ProbeStep, ReadAnswer, ResolveAnswer } from './probe-protocol.ts';
import { podmanName } from './publish-names.ts';
import { parseDuccManifest } from './records.ts';
import { type Doubtful, doubtful, hang, judgeProbe, type RepositoryState } from './repository.ts';
import type { Repository } from './settings.ts';
import { parseSingularity, type SingularityConfig } from './singularity.ts';

export interface NamedImage {
  readonly ok: true;
  readonly state: RepositoryState;
  /** The manifest as DUCC keeps it. Its layers lie in the same repository. */
  readonly manifest: ImageManifest | undefined;
  /** The directory that the name leads to, relative to the repository. */
  readonly directory: string | undefined;
  /** `<registry>/<repository>:<tag>`, without a platform's prefix. */
  readonly publicName: string;
  readonly configDigest: Digest | undefined;
  /** The image configuration's bytes, verified by digest, where the repository keeps them for podman. */
  readonly config: Uint8Array | undefined;
  readonly singularity: SingularityConfig | undefined;
}

export type NameAnswer = NamedImage | { readonly ok: 'missing' } | Doubtful;

/**
 * Looks up a name. A fault of the repository is an answer, not an error. @throws CVMFS_BAD_RECORD, IMAGE_BAD_MANIFEST
 * and others for a bad manifest
 */
export async function resolveName(
  deps: CvmfsDeps,
  at: RepositoryPath,
  platform: Platform,
): Promise<NameAnswer> {
  const { repository } = at;
  const found = await lookUp(deps, at, platform);
  if (found.ok !== true) return found;
  const { manifest, directory, state } = found;
  if (manifest === undefined && directory === undefined) return { ok: 'missing' };
  const flat = /^(?:.*\/)?\.flat\/[0-9a-f]{2}\/([0-9a-f]{64})$/.exec(directory ?? '')?.[1];
  const configDigest = manifest?.config.digest ?? (flat === undefined ? undefined : digestFromHex(flat));
  const kept = await readKept(deps, repository, { directory, config: configDigest, named: found.named });
  if (kept.ok !== true) return kept;
  return {
    ok: true,
    state,
    manifest,
    directory,
    publicName: withoutPlatform(at.path),
    configDigest,
    config: kept.config,
    singularity: kept.singularity,
  };
}

/** The prefixes of a name below `.multiarch` and `.metadata/.multiarch`, the best first; `''` is the name itself. */
function prefixes(path: string, platform: Platform): string[] {
  if (path.startsWith('.')) return [''];
  const known: Readonly<Record<string, readonly string[]>> = { arm64: ['arm64:v8', 'arm64'] };
  const names = known[platform.architecture] ?? [platform.architecture];
  return [...names.map((name) => `.multiarch/${name}/`), ''];
}

function withoutPlatform(path: string): string {
  return path.replace(/^\.multiarch\/[^/]+\//, '');
}

type LookedUp =
  | {
      readonly ok: true;
      readonly state: RepositoryState;
      readonly manifest: ImageManifest | undefined;
      readonly directory: string | undefined;
      /** The directory of the image's documents, relative to the repository. */
      readonly named: string | undefined;
    }
  | Doubtful;

async function lookUp(deps: CvmfsDeps, at: RepositoryPath, platform: Platform): Promise<LookedUp> {
  const { repository } = at;
  const links = linkRules(repository);
  const candidates = prefixes(at.path, platform).map((prefix) => `${prefix}${at.path}`);
  const manifests = candidates.map((name) => inside(repository, `.metadata/${name}/manifest.json`));
  const steps: ProbeStep[] = [
    ...candidates.map((name) => ({ step: 'resolve', path: inside(repository, name), links }) as const),
    ...manifests.map((path) => ({ step: 'read', path, links, limit: MAX_MANIFEST_BYTES }) as const),
  ];
  const asked = await ask(deps, repository, steps);
  if (asked.ok !== true) return asked;
  const resolved = asked.answers.slice(0, candidates.length) as ResolveAnswer[];
  const read = asked.answers.slice(candidates.length) as ReadAnswer[];
  const failed = [...resolved, ...read].find((answer) => answer.result === 'failed');
  if (failed?.result === 'failed') {
    // The publisher made a link that leads out of the repository. graft does not follow it.
    const out = failed.failure.code === 'EXDEV';
    const what = out ? 'a link leads out of the repository' : errnoMeaning(failed.failure.code);
    return doubtful(out ? 'unusable_layer' : 'io_error', what);
  }
  const directory = resolved.find((answer) => answer.result === 'found' && answer.directory);
  const manifest = read.find((answer) => answer.result === 'found');
  return {
    ok: true,
    state: asked.state,
    directory: directory?.result === 'found' ? directory.path : undefined,
    named: manifest?.result === 'found' ? manifest.path.replace(/\/[^/]*$/, '') : undefined,
    manifest:
      manifest?.result === 'found'
        ? parseDuccManifest(Buffer.from(manifest.base64, 'base64'), manifest.path)
        : undefined,
  };
}

const ENVIRONMENT = '.singularity.d/env/10-docker2singularity.sh';
const RUNSCRIPT = '.singularity.d/runscript';

type Kept =
  | {
      readonly ok: true;
      readonly config: Uint8Array | undefined;
      readonly singularity: SingularityConfig | undefined;
    }
  | Doubtful;

/**
 * Reads the image's configuration from the repository: beside the manifest, as graft publishes it, or the bytes that it
 * keeps for podman, or the scripts of a flat root filesystem.
 */
async function readKept(
  deps: CvmfsDeps,
  repository: Repository,
  {
    directory,
    config,
    named,
  }: Readonly<Record<'directory' | 'named', string | undefined>> & {
    readonly config: Digest | undefined;
  },
): Promise<Kept> {
  const links = linkRules(repository);
  const paths = [
    config && inside(repository, `podmanStore/overlay-images/${hexOf(config)}/${podmanName(config)}`),
    directory === undefined ? undefined : `${directory}/${ENVIRONMENT}`,
    directory === undefined ? undefined : `${directory}/${RUNSCRIPT}`,
    named === undefined ? undefined : `${named}/config.json`,
  ];
  const limits = [MAX_CONFIG_BYTES, MiB, MiB, MAX_CONFIG_BYTES];
  const steps = paths.flatMap((path, at) =>
    path === undefined ? [] : [{ step: 'read', path, links, limit: limits[at] ?? MiB } as const],
  );
  if (steps.length === 0) return { ok: true, config: undefined, singularity: undefined };
  const asked = await ask(deps, repository, steps);
  if (asked.ok !== true) return asked;
  const byPath = new Map(steps.map(({ path }, at) => [path, bytesIn(asked.answers[at] as ReadAnswer)]));
  const [podman, env, runscript, beside] = paths.map((path) =>
    path === undefined ? undefined : byPath.get(path),
  );
  const text = (found: Uint8Array | undefined) => found && Buffer.from(found).toString('utf8');
  return {
    ok: true,
    // The name may lead to another image for a moment while it is published again.
    config: [beside, podman].find((bytes) => bytes !== undefined && digestOf(bytes) === config),
    singularity:
      env === undefined && runscript === undefined ? undefined : parseSingularity(text(env), text(runscript)),
  };
}

function bytesIn(answer: ReadAnswer): Uint8Array | undefined {
  return answer.result === 'found' ? Buffer.from(answer.base64, 'base64') : undefined;
}

async function ask(
  deps: CvmfsDeps,
  repository: Repository,
  steps: readonly ProbeStep[],
): Promise<{ ok: true; state: RepositoryState; answers: readonly unknown[] } | Doubtful> {
  const memory = deps.hangs.recall(repository.path, repository.retryAfterHangSeconds);
  if (memory !== undefined) return doubtful('hang', memory);
  const { path, type, name } = repository;
  const outcome = await probe(
    { repository: { path, type, name }, steps },
    {
      command: deps.probeCommand,
      deadlineMs: repository.probeDeadlineMs,
      stallMs: repository.probeDeadlineMs,
    },
  );
  noteHang(deps, repository, outcome);
  const judged = judgeProbe(repository, outcome, deps.now() / 1000);
  if (!judged.ok) return judged;
  if (outcome.ended === 'late') return hang(repository);
  if (outcome.ended === 'died') return doubtful('io_error', 'the process that asked for it ended');
  return { ok: true, state: judged.state, answers: outcome.steps };
}

function inside(repository: Repository, path: string): string {
  return repository.subdirectory === '' ? path : `${repository.subdirectory}/${path}`;
}

/** The machine names of uname(2), which the client puts into CVMFS_ARCH. */
const MACHINES: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' };

function linkRules(repository: Repository): LinkRules {
  return { roots: repository.knownAt, variables: { CVMFS_ARCH: MACHINES[process.arch] ?? process.arch } };
}
