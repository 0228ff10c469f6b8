/** The place of an image that a verb makes: an OCI layout or a registry. */
import { PluginError } from '../../lib/base/errors/error.ts';
import type { Progress } from '../../lib/base/progress.ts';
import { printable } from '../../lib/base/text.ts';
import {
  formatReference,
  type LayoutReference,
  parseImageReference,
  type RegistryReference,
} from '../../lib/oci/reference.ts';
import type { CommitTarget } from '../../lib/plugin/commit-target.ts';
import { toLayout } from '../../lib/plugin/commit-to-layout.ts';
import { toRegistry } from '../../lib/plugin/commit-to-registry.ts';
import { PushClient } from '../../lib/registry/push/push-client.ts';
import type { SourceContext } from './context.ts';
import { policyOf } from './registry-source.ts';

type NewImage = RegistryReference | (LayoutReference & { readonly ref: string });

/** @throws COMMIT_TARGET, BAD_REFERENCE, IMAGE_SCHEME */
export function newImageOf(argument: string): NewImage {
  const refuse = (target: string, reason: string) => new PluginError('COMMIT_TARGET', { target, reason });
  const reference = parseImageReference(argument);
  switch (reference.kind) {
    case 'registry': {
      if (reference.digest === undefined) return reference;
      throw refuse(formatReference(reference), 'the digest of a new image cannot be chosen; write a tag');
    }
    case 'oci': {
      const { ref } = reference;
      if (ref !== undefined && !ref.startsWith('@')) return { ...reference, ref };
      throw refuse(printable(argument), 'it lacks a name for the image; write oci:/DIRECTORY:REF');
    }
    default:
      throw refuse(printable(argument), 'a target is written oci:/DIRECTORY:REF or docker://HOST/NAME:TAG');
  }
}

/**
 * @param directory for a new layer until a registry has it
 * @param base an image in a registry whose layers the new one has, so that the same registry can mount them
 * @throws COMMIT_TARGET, COMMIT_TARGET_FULL, REGISTRY_*
 */
export async function openNewImage(
  context: SourceContext & { readonly progress: Progress },
  target: NewImage,
  directory: string,
  base?: RegistryReference,
): Promise<CommitTarget> {
  if (target.kind === 'oci') return toLayout(target);
  const { credentials, log, progress } = context;
  const policy = await policyOf(context, false);
  const mountFrom = base?.registry === target.registry ? [base.repository] : [];
  const client = new PushClient({ reference: target, credentials, policy, mountFrom, log });
  const { parallel } = policy;
  return toRegistry({ reference: target, client, directory, parallel, progress });
}
