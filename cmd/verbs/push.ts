import { PluginError } from '../../lib/base/errors/error.ts';
import { readLayoutImage } from '../../lib/image/push/layout-image.ts';
import { parseImageReference, type RegistryReference } from '../../lib/oci/reference.ts';
import { type Pushed, pushImage } from '../../lib/plugin/push.ts';
import { PushClient } from '../../lib/registry/push/push-client.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { counted, shortBytes } from '../sentences/words.ts';
import { policyOf } from '../sources/registry-source.ts';

export async function run(context: VerbContext<'push'>): Promise<void> {
  const { args, credentials, log, progress, signal, out } = context;
  const [from = '', to = ''] = args.positionals;
  const layout = parseImageReference(from);
  if (layout.kind !== 'oci')
    throw new PluginError('BAD_REFERENCE', {
      reference: from,
      reason: 'only the image of a layout is pushed: oci:///DIRECTORY[:REF]',
    });
  const target = parseTarget(to);
  const image = readLayoutImage(layout);
  const policy = await policyOf(context, false);
  const mountFrom = (args.options['mount-from'] ?? []).map((name) => repositoryAt(name, target));
  const client = new PushClient({ reference: target, credentials, policy, mountFrom, log });
  try {
    const { parallel } = policy;
    const pushed = await pushImage({ image, target, client, parallel, progress, signal });
    if (args.options.json === true) out.json(pushed);
    else out.text(forPeople(pushed));
  } finally {
    client.close();
  }
}

function parseTarget(text: string): RegistryReference {
  const target = parseImageReference(text);
  if (target.kind === 'registry') return target;
  throw new PluginError('BAD_REFERENCE', {
    reference: text,
    reason: 'an image is pushed to docker://HOST[:PORT]/NAME[:TAG]',
  });
}

/** The repository in a value of `--mount-from`, which is written as in an image reference. */
function repositoryAt(text: string, target: RegistryReference): string {
  const { registry, repository } = parseTarget(text.includes('://') ? text : `docker://${text}`);
  if (registry === target.registry) return repository;
  const reason = `--mount-from names a repository of ${registry}, and only one of ${target.registry} can be mounted`;
  throw new PluginError('BAD_REFERENCE', { reference: text, reason });
}

function forPeople({ image, digest, blobs, manifests, uploadedBytes }: Pushed): string {
  const total = blobs.uploaded + blobs.mounted + blobs.there;
  const mounted = blobs.mounted === 0 ? '' : `, ${blobs.mounted} mounted`;
  const foreign = blobs.foreign === 0 ? '' : `, ${blobs.foreign} left at their URLs`;
  const all = blobs.uploaded + blobs.mounted + manifests.pushed === 0;
  const news = all
    ? 'all was there'
    : `${blobs.uploaded} of ${counted(total, 'blob')} sent, ${shortBytes(uploadedBytes)}${mounted}`;
  const shown = image.endsWith(`@${digest}`) ? image : `${image}@${digest}`;
  return `${shown}: ${news}${foreign}`;
}
