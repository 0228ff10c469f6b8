/** The CVMFS repositories of the configuration, for the verbs that use layers. */
import type { CvmfsDeps } from '../../lib/cvmfs/locate.ts';
import type { CvmfsSettings } from '../../lib/cvmfs/settings.ts';
import type { Store } from '../../lib/store/store.ts';
import { probeCommand } from '../program/executable.ts';
import type { SourceContext } from './context.ts';

/** The services with which `create`, `pull` and `inspect` ask repositories; undefined where none is configured. */
export function cvmfsFor(context: SourceContext, store: Store): () => Promise<CvmfsDeps | undefined> {
  return async () => {
    const extra = await context.extra();
    if ((extra.cvmfs?.repositories ?? []).length === 0) return undefined;
    const { startProbe } = await import('../../lib/cvmfs/probe.ts');
    const ready = [startProbe(probeCommand())];
    const [{ cvmfsSettings }, { HangFiles }] = await Promise.all([
      import('../../lib/cvmfs/settings.ts'),
      import('../../lib/cvmfs/hang-memory.ts'),
    ]);
    const now = () => Date.now();
    return {
      settings: cvmfsSettings(extra.cvmfs, extra.source, store.layout.root),
      probeCommand: probeCommand(),
      ready,
      mappings: store.format.mappings,
      hangs: new HangFiles(store.layout.locks, now),
      now,
      log: context.log,
    };
  };
}

/** The CVMFS settings for thin images. Their URLs are compared with the settings, which may have no repository. */
export async function cvmfsSettingsFor(context: SourceContext, store: Store): Promise<CvmfsSettings> {
  const cvmfs = await cvmfsFor(context, store)();
  return cvmfs?.settings ?? { repositories: [] };
}
