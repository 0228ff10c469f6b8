import { digestOf } from '../../lib/base/digest.ts';
import { MAX_MANIFEST_BYTES } from '../../lib/base/limits.ts';
import { RememberingSource } from '../../lib/image/source/remembering-source.ts';
import type { ImageSource } from '../../lib/image/source/source.ts';
import { ThinAwareSource } from '../../lib/image/source/thin-source.ts';
import { formatPlatform, type Machine, platformOf } from '../../lib/oci/machine.ts';
import {
  formatReference,
  type ImageReference,
  type LayoutReference,
  parseImageReference,
  type RegistryReference,
} from '../../lib/oci/reference.ts';
import type { Authenticate } from '../../lib/registry/policy/policy.ts';
import type { Store } from '../../lib/store/store.ts';
import { cpuVariant } from '../../lib/sys/kernel/cpu.ts';
import { lookIfThere } from '../../lib/sys/kernel/look.ts';
import { readFile } from '../../lib/sys/kernel/read.ts';
import { S } from '../../lib/sys/kernel/stat.ts';
import type { Guard } from '../../lib/trust/guard.ts';
import type { SourceContext } from './context.ts';
import { openLayout } from './layout-source.ts';

/**
 * Opens the source of an image by its reference. The reader is loaded only if the store does not remember the image.
 * Without a store nothing is remembered.
 * @param atRefusal `tell`: an image that the policy for signatures refuses is resolved all the same, with the refusal
 */
export async function openSource(
  context: SourceContext,
  argument: string,
  store: Store | undefined,
  requireDigest: boolean,
  atRefusal: 'throw' | 'tell' = 'throw',
): Promise<ImageSource> {
  const reference = parseImageReference(argument);
  const guard = await guardFor(context, reference, store, atRefusal);
  const source = await sourceOf(context, reference, store, requireDigest, guard);
  if (guard === undefined) return source;
  const { GuardedSource } = await import('../../lib/image/source/guarded-source.ts');
  return new GuardedSource(source, guard, hasManifest(reference));
}

/** True for an image with a manifest, which a signature can cover. */
export function hasManifest({ kind }: ImageReference): boolean {
  return kind === 'registry' || kind === 'oci' || kind === 'oci-archive';
}

/** The guard of an image, where a policy for signatures is set. Nothing of it is loaded where none is. */
export async function guardFor(
  context: SourceContext,
  reference: ImageReference,
  store: Store | undefined,
  atRefusal: 'throw' | 'tell',
): Promise<Guard | undefined> {
  const { trust } = await context.extra();
  if (trust?.policy === undefined) return undefined;
  const { openGuard } = await import('./trust.ts');
  return openGuard(context, trust, reference, store, atRefusal);
}

async function sourceOf(
  context: SourceContext,
  reference: ImageReference,
  store: Store | undefined,
  requireDigest: boolean,
  guard: Guard | undefined,
): Promise<ImageSource> {
  const platform = platformOf(process.arch, cpuVariant);
  switch (reference.kind) {
    case 'tar': {
      const { TarSource } = await import('../../lib/image/source/from-tar.ts');
      return new TarSource({ reference, programs: context.env.path });
    }
    case 'oci': {
      const open = async () =>
        withThinImages(await openLayout(context, reference, platform, guard), context, platform, store);
      return remembering(store, store && layoutKey(context, reference, platform), open, guard);
    }
    case 'aci':
    case 'docker-archive':
    case 'oci-archive': {
      const { archiveKey, openArchive } = await import('./archive-source.ts');
      const key = store && archiveKey(context, reference, platform);
      const open = async () =>
        withThinImages(await openArchive(context, reference, platform, guard), context, platform, store);
      return remembering(store, key, open, guard);
    }
    case 'registry': {
      const open = async () => {
        const { openRegistrySource } = await import('./registry-source.ts');
        const source = await openRegistrySource(context, reference, platform, store, requireDigest, guard);
        return withThinImages(source, context, platform, store);
      };
      const key = store && (await pinnedKey(context, reference, platform));
      const source = await remembering(store, key, open, guard);
      return store === undefined ? source : orLastKnown(context, reference, platform, store, source, guard);
    }
    case 'cvmfs': {
      const { openCvmfsSource } = await import('./cvmfs-source.ts');
      return openCvmfsSource(context, reference, platform, store, requireDigest);
    }
  }
}

/** The same source, where the settings let an image start that its registry gave before. */
async function orLastKnown(
  context: SourceContext,
  reference: RegistryReference,
  platform: Machine,
  store: Store,
  source: ImageSource,
  guard: Guard | undefined,
): Promise<ImageSource> {
  const { registries } = await context.extra();
  if (registries?.when_unreachable !== 'last_known') return source;
  const { lastKnownSource } = await import('./last-known.ts');
  return lastKnownSource(context, registries, { reference, platform, store, source, guard });
}

async function remembering(
  store: Store | undefined,
  key: string | undefined,
  make: () => Promise<ImageSource>,
  guard: Guard | undefined,
): Promise<ImageSource> {
  return store === undefined ? make() : new RememberingSource(store, key, make, guard);
}

/**
 * The key under which the store remembers an image of a layout. The digest of index.json fixes all documents below it.
 * Without validation the layers may be others, so validated and unvalidated images have different keys.
 */
function layoutKey(
  { settings }: SourceContext,
  reference: LayoutReference,
  platform: Machine,
): string | undefined {
  const path = `${reference.directory}/index.json`;
  if (!isPlainFile(path)) return undefined;
  const index = digestOf(readFile(path, MAX_MANIFEST_BYTES));
  const trust = settings.create.skipLayerValidation ? ' unvalidated' : '';
  return `${formatReference(reference)} ${index} ${formatPlatform(platform)}${trust}`;
}

/** True for a small regular file. In any other case the source is opened and reports the fault. */
function isPlainFile(path: string): boolean {
  const stat = lookIfThere(path);
  return stat !== undefined && (stat.mode & S.IFMT) === S.IFREG && stat.size <= MAX_MANIFEST_BYTES;
}

/** The setting `registries.always_authenticate`. */
export async function authenticate(context: Pick<SourceContext, 'extra'>): Promise<Authenticate> {
  const { registries } = await context.extra();
  if (registries === undefined) return 'private';
  const { authenticateOf } = await import('../../lib/registry/policy/settings.ts');
  return authenticateOf(registries);
}

/**
 * The key under which the store remembers an image that is named by digest. Undefined where there are settings for
 * registries, since they may block the registry, and the source reads them.
 */
async function pinnedKey(
  context: SourceContext,
  reference: RegistryReference,
  platform: Machine,
): Promise<string | undefined> {
  if (reference.digest === undefined) return undefined;
  if ((await context.extra()).registries !== undefined) return undefined;
  return `${formatReference(reference)} ${formatPlatform(platform)}`;
}

/** The same source, with thin images resolved to their layers on CVMFS. The modules for that are loaded when needed. */
function withThinImages(
  source: ImageSource,
  context: SourceContext,
  platform: Machine,
  store: Store | undefined,
): ImageSource {
  return new ThinAwareSource(source, {
    store,
    settings: async () => {
      const { cvmfsSettingsFor } = await import('./cvmfs.ts');
      return cvmfsSettingsFor(context, store);
    },
    anonymous: async (reference) => {
      const { anonymousSource } = await import('./cvmfs-source.ts');
      return anonymousSource(context, reference, platform, store);
    },
    log: context.log,
  });
}
