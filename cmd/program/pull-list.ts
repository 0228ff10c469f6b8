import { PluginError } from '../../lib/base/errors/error.ts';
import { MiB } from '../../lib/base/limits.ts';
import { settleLimited } from '../../lib/base/pool.ts';
import { printable } from '../../lib/base/text.ts';
import { SysError } from '../../lib/sys/kernel/errno.ts';
import { readFile } from '../../lib/sys/kernel/read.ts';
import { explain } from '../sentences/report.ts';
import { layersAtATime } from './layers-at-a-time.ts';
import type { VerbContext } from './verb-context.ts';

const MAX_LIST_BYTES = 8 * MiB;
/** An image waits for its registry while the other is unpacked. */
const IMAGES_AT_A_TIME = 2;

/**
 * Pulls the images of a list, each once, and prints a line for each. An image that cannot be pulled keeps none back.
 * @param path a file with a reference in each line; empty lines and those that begin with `#` mean nothing
 * @param pull returns the line for an image; `layers` is how many it may unpack at a time
 * @throws CACHE_LIST, CACHE_PULL_FAILED after the last image
 */
export async function pullList(
  { out, log, signal }: VerbContext<'pull'>,
  path: string,
  pull: (image: string, layers: number) => Promise<string>,
): Promise<void> {
  const images = readList(path);
  const layers = Math.max(1, Math.floor(layersAtATime() / Math.min(IMAGES_AT_A_TIME, images.length)));
  const results = await settleLimited(images, IMAGES_AT_A_TIME, async (image) => {
    signal.throwIfAborted();
    try {
      out.text(await pull(image, layers));
    } catch (error) {
      if (!signal.aborted) {
        log.error('image-not-pulled', error, {});
        out.text(`not pulled: ${explain(error, []).sentence}`);
      }
      throw error;
    }
  });
  signal.throwIfAborted();
  const failed = results.filter(({ status }) => status === 'rejected').length;
  if (failed > 0) throw new PluginError('CACHE_PULL_FAILED', { failed, images: images.length });
}

function readList(path: string): string[] {
  const lines = readText(path)
    .split('\n')
    .map((line) => line.trim());
  const images = [...new Set(lines.filter((line) => line !== '' && !line.startsWith('#')))];
  if (images.length === 0) throw new PluginError('CACHE_LIST', { path, reason: 'it names no image' });
  return images;
}

function readText(path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readFile(path, MAX_LIST_BYTES));
  } catch (error) {
    if (!(error instanceof SysError) && !(error instanceof TypeError)) throw error;
    const reason = error instanceof SysError ? error.message : 'it is not UTF-8';
    throw new PluginError('CACHE_LIST', { path, reason: printable(reason) }, { cause: error });
  }
}
