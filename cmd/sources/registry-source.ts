import { asPluginError } from '../../lib/http/failure.ts';
import { RegistrySource, type RegistrySourceOptions } from '../../lib/image/source/from-registry.ts';
import type { Machine } from '../../lib/oci/machine.ts';
import { type RegistryReference, repositoryOf } from '../../lib/oci/reference.ts';
import { PartialDirectory } from '../../lib/registry/blobs/partial.ts';
import { RegistryClient } from '../../lib/registry/client.ts';
import type { RegistryPolicy } from '../../lib/registry/policy/policy.ts';
import { registryPolicy } from '../../lib/registry/policy/settings.ts';
import type { Store } from '../../lib/store/store.ts';
import type { Guard } from '../../lib/trust/guard.ts';
import { VERSION } from '../program/version.ts';
import type { SourceContext } from './context.ts';

/** The name of the settings in errors, since the validator does not know which file has the fault. */
const SETTINGS = 'registries: in the extra settings';

/** Nothing is remembered where there is no store. */
const NOTHING: SourceMemory = { cache: { get: () => undefined, put() {} }, partials: undefined };

/** Opens an image in a registry, with the settings of flags, files and environment. */
export async function openRegistrySource(
  context: SourceContext,
  reference: RegistryReference,
  platform: Machine,
  store: Store | undefined,
  requireDigest: boolean,
  guard?: Guard,
): Promise<RegistrySource> {
  if (store === undefined) return openSourceWith(context, reference, platform, NOTHING, requireDigest, guard);
  const memory: SourceMemory = {
    cache: store.blobs.of(repositoryOf(reference)),
    seen: {
      has: (name) => store.sources.hasSeen(name),
      add: (name, topmost) => store.sources.rememberSeen(name, topmost),
    },
    partials: new PartialDirectory(store.layout.partial, context.log, repositoryOf(reference)),
  };
  return openSourceWith(context, reference, platform, memory, requireDigest, guard);
}

/** Where a source keeps documents and the first bytes of blobs for the next call. */
export type SourceMemory = Pick<RegistrySourceOptions, 'cache' | 'seen' | 'partials'>;

/** As `openRegistrySource`, for a caller without a store. */
export async function openSourceWith(
  context: SourceContext,
  reference: RegistryReference,
  platform: Machine,
  memory: SourceMemory,
  requireDigest: boolean,
  guard?: Guard,
): Promise<RegistrySource> {
  const { credentials, log } = context;
  const policy = await policyOf(context, requireDigest);
  return new RegistrySource({ reference, platform, credentials, policy, ...memory, guard, log });
}

/** Opens an image in a registry without credentials and client certificates, since another image has named it. */
export async function openAnonymousSource(
  context: SourceContext,
  reference: RegistryReference,
  platform: Machine,
  store: Store | undefined,
): Promise<RegistrySource> {
  const policy = await policyOf(context, false);
  const hosts = Object.fromEntries(
    Object.entries(policy.hosts).map(([host, of]) => [host, { ...of, helper: undefined, client: undefined }]),
  );
  return new RegistrySource({
    reference,
    platform,
    credentials: undefined,
    policy: {
      ...policy,
      hosts,
      credentials: { ...policy.credentials, configFile: undefined },
      anonymous: true,
    },
    cache: store?.blobs.of(repositoryOf(reference)) ?? NOTHING.cache,
    partials: undefined,
    log: context.log,
  });
}

/** The tags of a repository. @throws REGISTRY_* */
export async function listRegistryTags(
  context: SourceContext,
  reference: RegistryReference,
  signal: AbortSignal,
): Promise<string[]> {
  const { credentials, log } = context;
  const policy = await policyOf(context, false);
  const client = new RegistryClient({ reference, credentials, policy, log, ...NOTHING });
  try {
    return await client.tags(signal);
  } catch (error) {
    throw asPluginError(error);
  } finally {
    client.close();
  }
}

/** The settings of registries. @throws CONFIG_INVALID */
export async function policyOf(
  { settings, extra, env }: SourceContext,
  requireDigest: boolean,
): Promise<RegistryPolicy> {
  const { registries } = await extra();
  return registryPolicy(registries, SETTINGS, {
    userAgent: `graft/${VERSION}`,
    insecure: settings.create.insecureRegistries,
    requireDigest,
    home: env.home,
    path: env.path,
    helperEnv: env.forChildren,
    proxy: env.proxy,
    sslCertFile: env.sslCertFile,
    sslCertDir: env.sslCertDir,
  });
}
