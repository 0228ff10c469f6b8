import { PluginError } from '../../lib/base/errors/error.ts';
import { settleLimited } from '../../lib/base/pool.ts';
import { redactReference } from '../../lib/oci/reference-registry.ts';
import { explain } from '../sentences/report.ts';
import { layersAtATime } from './layers-at-a-time.ts';
import { readList } from './read-list.ts';
import type { VerbContext } from './verb-context.ts';

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
  const images = imagesIn(path);
  const layers = Math.max(1, Math.floor(layersAtATime() / Math.min(IMAGES_AT_A_TIME, images.length)));
  const results = await settleLimited(images, IMAGES_AT_A_TIME, async (image) => {
    signal.throwIfAborted();
    try {
      out.text(await pull(image, layers));
    } catch (error) {
      if (!signal.aborted) {
        log.error('image-not-pulled', error, {});
        out.text(`${redactReference(image)}: not pulled: ${explain(error, []).sentence}`);
      }
      throw error;
    }
  });
  signal.throwIfAborted();
  const failed = results.filter(({ status }) => status === 'rejected').length;
  if (failed > 0) throw new PluginError('CACHE_PULL_FAILED', { failed, images: images.length });
}

function imagesIn(path: string): string[] {
  const lines = readList(path, 'CACHE_LIST')
    .split('\n')
    .map((line) => line.trim());
  const images = [...new Set(lines.filter((line) => line !== '' && !line.startsWith('#')))];
  if (images.length === 0) throw new PluginError('CACHE_LIST', { path, reason: 'it names no image' });
  return images;
}
