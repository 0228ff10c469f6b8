/** The shapes of image documents: the keys that graft and the Go programs read. */
import { ANY, list, map, structure, TEXT } from './go-json.ts';

const DESCRIPTOR = {
  mediaType: TEXT,
  digest: TEXT,
  size: ANY,
  urls: list(TEXT),
  annotations: map(TEXT),
  artifactType: TEXT,
  data: ANY,
};

const PLATFORM = structure({
  architecture: TEXT,
  os: TEXT,
  'os.version': TEXT,
  'os.features': list(TEXT),
  variant: TEXT,
  features: list(TEXT),
});

/** Image manifests and indexes share a shape, since only the keys of a document say which of the two it is. */
export const MANIFEST = structure({
  schemaVersion: ANY,
  mediaType: TEXT,
  artifactType: TEXT,
  config: structure(DESCRIPTOR),
  layers: list(structure(DESCRIPTOR)),
  manifests: list(structure({ ...DESCRIPTOR, platform: PLATFORM })),
  fsLayers: list(ANY),
  subject: structure(DESCRIPTOR),
  annotations: map(TEXT),
});

/** manifest.json of `docker save`. */
export const SAVED_IMAGES = list(structure({ Config: TEXT, RepoTags: list(TEXT), Layers: list(TEXT) }));

export const CONFIG = structure({
  architecture: TEXT,
  os: TEXT,
  'os.version': TEXT,
  'os.features': list(TEXT),
  variant: TEXT,
  rootfs: structure({ type: TEXT, diff_ids: list(TEXT) }),
  config: structure({
    User: TEXT,
    WorkingDir: TEXT,
    Env: list(TEXT),
    Entrypoint: list(TEXT),
    Cmd: list(TEXT),
    Labels: map(TEXT),
  }),
});
