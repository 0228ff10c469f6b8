/** The guard of an image, with graft's settings for signatures. */
import { PluginError } from '../../lib/base/errors/error.ts';
import {
  type ImageReference,
  parseImageReference,
  type RegistryReference,
  repositoryOf,
} from '../../lib/oci/reference.ts';
import type { ImageRecord } from '../../lib/store/records/image-record.ts';
import type { Store } from '../../lib/store/store.ts';
import type { SignatureRepository } from '../../lib/trust/find/sigstore-artefacts.ts';
import { Guard } from '../../lib/trust/guard.ts';
import { type TrustFile, trustSettings } from '../../lib/trust/settings.ts';
import type { SourceContext } from './context.ts';

/** Undefined without a policy. @throws CONFIG_MISSING for a policy that cannot be read */
export function openGuard(
  context: SourceContext,
  trust: TrustFile,
  reference: ImageReference,
  store: Store | undefined,
  atRefusal: 'throw' | 'tell',
): Guard | undefined {
  const settings = trustSettings(trust);
  if (settings === undefined) return undefined;
  return new Guard({
    settings,
    reference,
    store,
    atRefusal,
    path: context.env.path,
    registries: async () => {
      const { policyOf } = await import('./registry-source.ts');
      return policyOf(context, false);
    },
    repository: async () => (reference.kind === 'registry' ? openRepository(context, reference) : undefined),
    parseYaml,
    log: context.log,
  });
}

/** The repository of an image whose manifest was not asked for in this call. */
async function openRepository(
  context: SourceContext,
  reference: RegistryReference,
): Promise<SignatureRepository> {
  const [{ policyOf }, { RegistryClient }] = await Promise.all([
    import('./registry-source.ts'),
    import('../../lib/registry/client.ts'),
  ]);
  const { credentials, log } = context;
  const policy = await policyOf(context, false);
  const cache = { get: () => undefined, put: () => undefined };
  const client = new RegistryClient({ reference, credentials, policy, cache, partials: undefined, log });
  return { client, name: repositoryOf(reference), log };
}

/** The guard of an image by its reference, for images that the store has. */
export async function guardOf(
  context: SourceContext,
  trust: TrustFile,
  image: string,
  store: Store,
): Promise<Guard> {
  const guard = openGuard(context, trust, parseImageReference(image), store, 'throw');
  if (guard === undefined) throw new PluginError('TRUST_NO_POLICY', {});
  return guard;
}

/** Holds a container against the policy as it is now, as a create would its image. @throws TRUST_* */
export async function requireTrusted(
  context: SourceContext,
  record: ImageRecord,
  store: Store,
  signal: AbortSignal,
): Promise<void> {
  const { trust } = await context.extra();
  if (trust?.policy === undefined) return;
  const { refusal } = await import('../../lib/plugin/check-policy.ts');
  const { image, manifestDigest: digest } = record;
  const error = await refusal(
    { image, digest, record },
    (reference) => guardOf(context, trust, reference, store),
    signal,
  );
  if (error !== undefined) throw error;
}

/** @throws CONFIG_SYNTAX */
export async function parseYaml(path: string, text: string): Promise<unknown> {
  const { parseConfig } = await import('../settings/groot-yaml.ts');
  return parseConfig(path, text);
}
