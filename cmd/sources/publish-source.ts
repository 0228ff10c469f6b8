/** Sources of images for verbs that keep no store: what they read is kept by the documents of the caller. */
import type { ImageSource } from '../../lib/image/source/source.ts';
import { platformOf } from '../../lib/oci/machine.ts';
import type { ImageDocuments } from '../../lib/publish/documents.ts';
import type { PublishableReference } from '../../lib/publish/repository/names.ts';
import { cpuVariant } from '../../lib/sys/kernel/cpu.ts';
import type { Guard } from '../../lib/trust/guard.ts';
import type { SourceContext } from './context.ts';
import { openLayout } from './layout-source.ts';
import { openSourceWith } from './registry-source.ts';
import { guardFor, hasManifest } from './source.ts';

export interface PublishSourceOptions {
  readonly requireDigest: boolean;
  /** The image was published before, so that its documents may be there. */
  readonly known: boolean;
}

export async function openPublishSource(
  context: SourceContext,
  reference: PublishableReference,
  documents: ImageDocuments,
  { requireDigest, known }: PublishSourceOptions,
): Promise<ImageSource> {
  const guard = await guardFor(context, reference, undefined, 'throw');
  const source = await sourceOf(context, reference, documents, { requireDigest, known }, guard);
  if (guard === undefined) return source;
  const { GuardedSource } = await import('../../lib/image/source/guarded-source.ts');
  return new GuardedSource(source, guard, hasManifest(reference));
}

async function sourceOf(
  context: SourceContext,
  reference: PublishableReference,
  documents: ImageDocuments,
  { requireDigest, known }: PublishSourceOptions,
  guard: Guard | undefined,
): Promise<ImageSource> {
  const platform = platformOf(process.arch, cpuVariant);
  switch (reference.kind) {
    case 'registry': {
      const seen = { has: () => known, add: () => undefined };
      const memory = { cache: documents, seen, partials: undefined };
      return openSourceWith(context, reference, platform, memory, requireDigest, guard);
    }
    case 'oci':
      return openLayout(context, reference, platform, guard, (bytes) => documents.add(bytes));
    case 'aci':
    case 'docker-archive':
    case 'oci-archive': {
      const { openArchive } = await import('./archive-source.ts');
      return openArchive(context, reference, platform, guard, (bytes) => documents.add(bytes));
    }
  }
}
