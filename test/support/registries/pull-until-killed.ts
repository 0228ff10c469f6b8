/** A process of its own that reads an image's first layer: `IMAGE INSECURE-HOST PARTIAL-DIRECTORY`. */
import { silentLogger } from '../../../lib/base/log.ts';
import { PartialDirectory } from '../../../lib/registry/blobs/partial.ts';
import { NEVER, readLayer, registrySource } from './registry-client.ts';

const [image = '', insecure = '', directory = ''] = process.argv.slice(2);
const source = registrySource(image, {
  policy: { insecure: [insecure], resumeFromBytes: 0 },
  partials: new PartialDirectory(directory, silentLogger, undefined),
});
const [layer] = (await source.resolve(NEVER)).layers;
if (layer !== undefined) await readLayer(source, layer);
