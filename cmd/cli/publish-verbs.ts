/** The verbs of release managers. */
import type { VerbDefinition } from './options.ts';
import { PUBLISH, SOURCE, THIN, UNPUBLISH } from './verb-options.ts';

export const PUBLISH_VERBS = {
  publish: {
    summary: 'publish images for CernVM-FS',
    details:
      'Writes the layers and manifests of images of registries and OCI layouts in the layout that DUCC and graft read. ' +
      'What is there is not fetched again. Exits 4 when some images failed and all others are published.',
    options: PUBLISH,
    positionals: { names: ['image…'], count: 'ignored' },
    rare: true,
  },
  unpublish: {
    summary: 'take a published image away',
    details:
      'IMAGE is a reference or the public name. Its layers are kept for --keep days, and removed by publish --prune then.',
    options: UNPUBLISH,
    positionals: { names: ['image'], count: 1 },
    rare: true,
  },
  thin: {
    summary: 'make a thin image of a published one',
    details:
      'IMAGE is a reference or the public name, OUT is oci:/DIRECTORY:REF or docker://HOST/NAME:TAG. The image has one small ' +
      'layer, which names the layers in the repository; a cell with that repository starts it without a pull.',
    options: THIN,
    positionals: { names: ['image', 'out'], count: 2 },
    rare: true,
  },
  publisher: {
    summary: 'publish images when registries or people ask for them',
    details:
      'Runs until SIGTERM, and then ends after the publication in hand. Takes notifications of docker-registry and Harbor at ' +
      'POST /events, requests at POST /publish, and answers GET /status/DIGEST, /metrics and /healthz. The settings under ' +
      'publisher: say which repositories are published and where.',
    options: { 'insecure-registry': SOURCE['insecure-registry'] },
    positionals: { names: [], count: 0 },
    rare: true,
  },
} as const satisfies Record<string, VerbDefinition>;
