import { digestOf } from '../../lib/base/digest.ts';
import { MAX_MANIFEST_BYTES } from '../../lib/base/limits.ts';
import { RememberingSource } from '../../lib/image/source/remembering-source.ts';
import type { ImageSource } from '../../lib/image/source/source.ts';
import { ThinAwareSource } from '../../lib/image/source/thin-source.ts';
import { formatPlatform, type Machine, platformOf } from '../../lib/oci/platform.ts';
import {
  formatReference,
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
import type { VerbContext } from '../program/verb-context.ts';

/** Seconds without a byte after which a remote layer counts as broken off. */
const REMOTE_IDLE_SECONDS = 30;

/** What the verbs that read images have in common. */
export type SourceContext = Pick<VerbContext, 'settings' | 'extra' | 'credentials' | 'env' | 'log'>;

/** The place an image comes from, by its reference. What reads it is loaded when its name alone does not answer. */
export async function openSource(
  context: SourceContext,
  argument: string,
  store: Store,
  requireDigest: boolean,
): Promise<ImageSource> {
  const reference = parseImageReference(argument);
  const platform = platformOf(process.arch, cpuVariant);
  switch (reference.kind) {
    case 'tar': {
      const { TarSource } = await import('../../lib/image/source/from-tar.ts');
      return new TarSource({ reference });
    }
    case 'oci':
      return new RememberingSource(store, layoutKey(context, reference, platform), async () =>
        withThinImages(await openLayout(context, reference, platform), context, platform, store),
      );
    case 'registry':
      return new RememberingSource(store, await pinnedKey(context, reference, platform), async () => {
        const { openRegistrySource } = await import('./registry-source.ts');
        const source = await openRegistrySource(context, reference, platform, store, requireDigest);
        return withThinImages(source, context, platform, store);
      });
    case 'cvmfs': {
      const { openCvmfsSource } = await import('./cvmfs-source.ts');
      return openCvmfsSource(context, reference, platform, store, requireDigest);
    }
  }
}

/**
 * The bytes of the index fix everything below it. Where blobs are not held against their digests, what they say of
 * layers is another image: validated and unvalidated ones must never be taken for each other.
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

/** Anything odd in the place of an index is for the source to complain about. */
function isPlainFile(path: string): boolean {
  const stat = lookIfThere(path);
  return stat !== undefined && (stat.mode & S.IFMT) === S.IFREG && stat.size <= MAX_MANIFEST_BYTES;
}

/** `registries.always_authenticate`. */
export async function authenticate(context: Pick<SourceContext, 'extra'>): Promise<Authenticate> {
  const { registries } = await context.extra();
  if (registries === undefined) return 'private';
  const { authenticateOf } = await import('../../lib/registry/policy/settings.ts');
  return authenticateOf(registries);
}

/** A digest fixes the image. Settings may still block its registry: where there are any, they are asked. */
async function pinnedKey(
  context: SourceContext,
  reference: RegistryReference,
  platform: Machine,
): Promise<string | undefined> {
  if (reference.digest === undefined) return undefined;
  if ((await context.extra()).registries !== undefined) return undefined;
  return `${formatReference(reference)} ${formatPlatform(platform)}`;
}

async function openLayout(
  { settings, env, log }: SourceContext,
  reference: LayoutReference,
  platform: Machine,
): Promise<ImageSource> {
  const [{ OciLayoutSource }, { proxyFor }] = await Promise.all([
    import('../../lib/image/source/from-oci-layout.ts'),
    proxies(env),
  ]);
  const { skipLayerValidation, remoteLayerCertificates: certificates } = settings.create;
  const remote = { certificates, proxyFor, idleSeconds: REMOTE_IDLE_SECONDS };
  return new OciLayoutSource({ reference, platform, skipLayerValidation, remote, log });
}

/** The same source, with thin images resolved to their layers on CVMFS. What does that is loaded where it is needed. */
function withThinImages(
  source: ImageSource,
  context: SourceContext,
  platform: Machine,
  store: Store,
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

/** Proxies for layers that an OCI layout keeps behind URLs; read from the environment once, at the first URL. */
async function proxies(env: SourceContext['env']): Promise<{ proxyFor: (url: URL) => string | undefined }> {
  if (env.proxy.http === undefined && env.proxy.https === undefined) return { proxyFor: () => undefined };
  const [{ Proxies }, { Secret }] = await Promise.all([
    import('../../lib/http/proxy.ts'),
    import('../../lib/base/secret.ts'),
  ]);
  const secret = (value: string | undefined) => (value === undefined ? undefined : new Secret(value));
  const all = new Proxies({ http: secret(env.proxy.http), https: secret(env.proxy.https), no: env.proxy.no });
  return { proxyFor: (url) => all.for(url)?.url.reveal() };
}
