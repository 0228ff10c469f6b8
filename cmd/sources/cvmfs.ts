/** The CVMFS repositories of the configuration, for the verbs that use layers. */
import type { CvmfsDeps } from '../../lib/cvmfs/locate.ts';
import type { CvmfsSettings } from '../../lib/cvmfs/settings.ts';
import type { Store } from '../../lib/store/store.ts';
import { probeCommand } from '../program/executable.ts';
import type { SourceContext } from './context.ts';

/**
 * The services with which verbs ask repositories; undefined where none is configured. Without a store nothing is remembered
 * of a repository that hangs, and owners are those of the image.
 */
export function cvmfsFor(
  context: SourceContext,
  store: Store | undefined,
): () => Promise<CvmfsDeps | undefined> {
  return async () => {
    const extra = await context.extra();
    if ((extra.cvmfs?.repositories ?? []).length === 0) return undefined;
    const { startProbe } = await import('../../lib/cvmfs/probe.ts');
    const ready = [startProbe(probeCommand())];
    const [{ cvmfsSettings }, { HangFiles, NO_MEMORY }] = await Promise.all([
      import('../../lib/cvmfs/settings.ts'),
      import('../../lib/cvmfs/hang-memory.ts'),
    ]);
    const now = () => Date.now();
    const { layout, format } = store ?? {};
    return {
      settings: cvmfsSettings(extra.cvmfs, extra.source, layout?.root ?? ''),
      probeCommand: probeCommand(),
      ready,
      mappings: format?.mappings ?? { uids: [], gids: [] },
      hangs: layout === undefined ? NO_MEMORY : new HangFiles(layout.locks, now),
      now,
      log: context.log,
    };
  };
}

/** The CVMFS settings for thin images. Their URLs are compared with the settings, which may have no repository. */
export async function cvmfsSettingsFor(
  context: SourceContext,
  store: Store | undefined,
): Promise<CvmfsSettings> {
  const cvmfs = await cvmfsFor(context, store)();
  return cvmfs?.settings ?? { repositories: [] };
}
