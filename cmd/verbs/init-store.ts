import { PluginError } from '../../lib/base/errors/error.ts';
import { parseIdRange } from '../../lib/base/id-mapping.ts';
import { restoreMounts } from '../../lib/plugin/restore-mounts.ts';
import { initStore } from '../../lib/store/init/init.ts';
import { isLayerWish, LAYER_WISHES, type LayerWish } from '../../lib/store/layout/layer-form.ts';
import { runProgram } from '../program/run-program.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { bytesInWords } from '../sentences/words.ts';

export async function run({
  settings,
  args,
  env,
  log,
  out,
  extra,
}: VerbContext<'init-store'>): Promise<void> {
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
      layers: await layerWish(options.layers, extra),
    },
    { run: runProgram(env), log, directIo: settings.init.withDirectIo },
  );
  if (done.noLimits !== undefined) out.text(`Disk limits are not available in this store: ${done.noLimits}.`);
  if (done.keptBytes !== undefined)
    out.text(
      `The store keeps its size of ${bytesInWords(done.keptBytes)}; it can only grow, when it is mounted the next time.`,
    );
  const { lack } = done.store.format.layers;
  if (lack !== undefined) out.text(`Layers are written as directories: ${lack}.`);
  if (options['restore-mounts'] !== true) return;
  const { mounted, failed } = await restoreMounts(done.store, log);
  if (mounted > 0) out.text(`${mounted} root filesystems mounted again.`);
  if (failed.length > 0)
    throw new PluginError('STORE_MOUNT_FAILED', { what: failed.join(', '), reason: 'see the log' });
}

/** @throws CLI_BAD_ARGUMENTS for another word */
async function layerWish(
  option: string | undefined,
  extra: VerbContext<'init-store'>['extra'],
): Promise<LayerWish | undefined> {
  if (option === undefined) return (await extra()).layers;
  if (isLayerWish(option)) return option;
  throw new PluginError('CLI_BAD_ARGUMENTS', {
    usage: `init-store --layers ${LAYER_WISHES.join('|')}`,
    misplaced: undefined,
  });
}
