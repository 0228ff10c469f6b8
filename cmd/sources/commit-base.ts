/** Where `commit` reads the base image of a container: by what its record says. */
import { ArchiveBase } from '../../lib/commit/base/from-archive.ts';
import { LayoutBase } from '../../lib/commit/base/from-layout.ts';
import { RegistryBase } from '../../lib/commit/base/from-registry.ts';
import { tarReader } from '../../lib/commit/base/from-tar.ts';
import { platformOf } from '../../lib/oci/machine.ts';
import {
  formatReference,
  parseImageReference,
  type RegistryReference,
  repositoryOf,
} from '../../lib/oci/reference.ts';
import type { CommitBase } from '../../lib/plugin/commit.ts';
import { RegistryClient } from '../../lib/registry/client.ts';
import type { ImageRecord } from '../../lib/store/records/image-record.ts';
import type { Store } from '../../lib/store/store.ts';
import { cpuVariant } from '../../lib/sys/kernel/cpu.ts';
import { openArchive } from './archive-source.ts';
import type { SourceContext } from './context.ts';
import { policyOf } from './registry-source.ts';

/**
 * Undefined for an image that is named by its path on CVMFS.
 * @param target a registry that the new image goes to. User and password of the command line are for that registry, and no
 *   other one gets them.
 */
export async function commitBase(
  context: SourceContext,
  store: Store,
  record: ImageRecord,
  target?: RegistryReference,
): Promise<CommitBase | undefined> {
  const reference = parseImageReference(record.image);
  switch (reference.kind) {
    case 'registry': {
      const { log } = context;
      const isTheirs = target === undefined || target.registry === reference.registry;
      const credentials = isTheirs ? context.credentials : undefined;
      const cache = store.blobs.of(repositoryOf(reference));
      const policy = await policyOf(context, false);
      const client = new RegistryClient({ reference, credentials, policy, cache, partials: undefined, log });
      const registryName = formatReference(reference)
        .replace(/^docker:\/\/(?=[^/])/, '')
        .replace('docker:///', 'docker.io/');
      return { reader: new RegistryBase(client), kind: 'registry', registryName, reference };
    }
    case 'oci':
      return { reader: new LayoutBase(reference.directory), kind: 'layout', registryName: undefined };
    case 'aci':
    case 'docker-archive':
    case 'oci-archive': {
      const platform = platformOf(process.arch, cpuVariant);
      const reader = new ArchiveBase(reference.path, (onDocument) =>
        openArchive(context, reference, platform, undefined, onDocument),
      );
      return { reader, kind: 'layout', registryName: undefined };
    }
    case 'tar':
      return { reader: tarReader(reference.path, context.env.path), kind: 'tar', registryName: undefined };
    case 'cvmfs':
      return undefined;
  }
}
