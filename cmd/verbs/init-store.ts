import { PluginError } from '../../lib/base/errors/error.ts';
import { parseIdRange } from '../../lib/base/id-mapping.ts';
import { restoreMounts } from '../../lib/plugin/restore-mounts.ts';
import { initStore } from '../../lib/store/init/init.ts';
import { runProgram } from '../program/run-program.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { bytesInWords } from '../sentences/words.ts';

export async function run({ settings, args, env, log, out }: VerbContext<'init-store'>): Promise<void> {
  if (process.getuid?.() !== 0) throw new PluginError('STORE_NOT_ROOT', { store: settings.store });
  const { options } = args;
  const done = await initStore(
    {
      path: settings.store,
      sizeBytes: settings.init.storeSizeBytes,
      mappings: {
        uids: (options['uid-mapping'] ?? []).map((text) => parseIdRange(text, 'uid')),
        gids: (options['gid-mapping'] ?? []).map((text) => parseIdRange(text, 'gid')),
      },
    },
    { run: runProgram(env), log, directIo: settings.init.withDirectIo },
  );
  if (done.noLimits !== undefined) out.text(`Disk limits are not available in this store: ${done.noLimits}.`);
  if (done.keptBytes !== undefined)
    out.text(
      `The store keeps its size of ${bytesInWords(done.keptBytes)}; it can only grow, when it is mounted the next time.`,
    );
  if (options['restore-mounts'] !== true) return;
  const { mounted, failed } = await restoreMounts(done.store, log);
  if (mounted > 0) out.text(`${mounted} root filesystems mounted again.`);
  if (failed.length > 0)
    throw new PluginError('STORE_MOUNT_FAILED', { what: failed.join(', '), reason: 'see the log' });
}
