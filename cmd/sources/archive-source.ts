/** Images in archives: `docker-archive:`, `oci-archive:` and `aci:`. */

import { DEFAULT_BUDGET } from '../../lib/image/pull/budget.ts';
import { ArchiveFile } from '../../lib/image/source/archive-file.ts';
import { AciSource } from '../../lib/image/source/from-aci.ts';
import { DockerArchiveSource } from '../../lib/image/source/from-docker-archive.ts';
import { LayoutArchive } from '../../lib/image/source/layout-archive.ts';
import { identityOf } from '../../lib/image/source/local-file.ts';
import type { ImageSource } from '../../lib/image/source/source.ts';
import { formatPlatform, type Machine } from '../../lib/oci/machine.ts';
import { type AciReference, type ArchiveReference, formatReference } from '../../lib/oci/reference.ts';
import { hasCode } from '../../lib/sys/kernel/errno.ts';
import { statFollowing } from '../../lib/sys/kernel/stat.ts';
import type { Guard } from '../../lib/trust/guard.ts';
import type { SourceContext } from './context.ts';
import { layoutSource } from './layout-source.ts';

/** @param onDocument takes the bytes of manifests and the configuration */
export async function openArchive(
  context: SourceContext,
  reference: ArchiveReference | AciReference,
  platform: Machine,
  guard: Guard | undefined,
  onDocument?: (bytes: Uint8Array) => void,
): Promise<ImageSource> {
  const file = new ArchiveFile(reference.path, { programs: context.env.path, budget: DEFAULT_BUDGET });
  const { log } = context;
  if (reference.kind === 'aci') {
    const maxFileBytes = DEFAULT_BUDGET.tarBytes;
    return new AciSource({ reference, file, platform, maxFileBytes, log, onDocument });
  }
  const { kind, path, ref } = reference;
  if (kind === 'docker-archive')
    return new DockerArchiveSource({ reference, file, platform, log, onDocument });
  const place = { transport: kind, path, ref } as const;
  return layoutSource(context, { place, files: new LayoutArchive(file), platform, guard, onDocument });
}

/**
 * The key under which the store remembers an image of an archive: the file as it is now. Undefined for a file that is not
 * there, which the source reports.
 */
export function archiveKey(
  { settings }: SourceContext,
  reference: ArchiveReference | AciReference,
  platform: Machine,
): string | undefined {
  try {
    const identity = identityOf(statFollowing(reference.path));
    const trust = settings.create.skipLayerValidation ? ' unvalidated' : '';
    return `${formatReference(reference)} ${identity} ${formatPlatform(platform)}${trust}`;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP')) return undefined;
    throw error;
  }
}
