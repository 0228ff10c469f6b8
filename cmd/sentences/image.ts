import type { ImageErrors } from '../../lib/base/errors/image.ts';
import { printable } from '../../lib/base/text.ts';
import { typedReference } from '../../lib/oci/reference-typed.ts';
import { bytesInWords } from './words.ts';

/** The sentences of images. They repeat the words of GrootFS where it has some, since its tests and operators search for them. */
export const imageSentences: { [C in keyof ImageErrors]: (s: ImageErrors[C]) => string } = {
  BAD_REFERENCE: (s) => `invalid image reference '${s.reference}': ${s.reason}`,
  BAD_DIGEST: (s) =>
    `invalid digest '${printable(s.digest)}': graft knows sha256: followed by 64 lower-case hex digits`,
  IMAGE_SCHEME: (s) => `unsupported image scheme '${s.scheme}': ${adviceForScheme(s.scheme, s.argument)}`,
  IMAGE_SOURCE_MISSING: () => "Image source doesn't exist",
  IMAGE_TAR_MISSING: (s) =>
    `fetching image timestamp: stat ${printable(s.path)}: no such file or directory; an image is a tar file, ` +
    `oci:///directory[:ref], docker://host/name or docker:///name${orTyped(s.path)}`,
  IMAGE_SOURCE_UNREADABLE: (s) => `reading image source ${printable(s.path)}: ${s.reason}`,
  IMAGE_SOURCE_DIRECTORY: () => 'invalid base image: directory provided instead of a tar file',
  IMAGE_SAVED: (s) =>
    `${printable(s.path)} is a saved image (${s.format}), not the tar of a root filesystem; its reference is ` +
    `${s.format}:${printable(s.path)}`,
  IMAGE_SOURCE_CHANGED: (s) =>
    `${printable(s.path)} changed while it was read; nothing of it was kept, create again once it is written`,
  IMAGE_BAD_ARCHIVE: (s) =>
    `${printable(s.path)} is no archive of images that graft can read: ${s.reason}; write it again with docker save, ` +
    'podman save or skopeo copy',
  IMAGE_ACI_DEPENDS: (s) =>
    `${printable(s.source)} lies on other App Container Images, which graft does not fetch: ${s.names}; build it as an ` +
    'image of its own, without dependencies',
  IMAGE_ACI_OTHER_ID: (s) =>
    `${printable(s.path)} is another image than the one asked for: expected ${s.expected}, it is ${s.actual}`,
  IMAGE_NEEDS_PROGRAM: (s) =>
    `${printable(s.path)} is compressed with ${s.program}, and there is no program ${s.program} in PATH; install ` +
    `the package ${s.program === 'xz' ? 'xz-utils' : s.program}`,
  IMAGE_AMBIGUOUS: (s) =>
    `more than one image in ${s.transport === 'oci' ? 'oci' : 'the archive'}, choose an image: ` +
    `${s.transport}:${s.transport === 'oci' ? '//' : ''}${printable(s.path)}:NAME with one of ${s.names}`,
  IMAGE_REF_MISSING: (s) =>
    `no descriptor found for reference "${printable(s.ref)}" in ${printable(s.path)}; it has ${s.names}`,
  IMAGE_BAD_MANIFEST: (s) =>
    `invalid image manifest of ${printable(s.source)}: ${s.reason}; build or push the image again`,
  IMAGE_SIZES_INVENTED: (s) =>
    `${printable(s.source)} declares 0 bytes for its files, as Garden's own layouts (preloaded+layer) do; those need ` +
    'create.skip_layer_validation: true in the configuration file (--skip-layer-validation)',
  IMAGE_BAD_CONFIG: (s) =>
    `invalid image configuration of ${printable(s.source)}: ${s.reason}; build or push the image again`,
  IMAGE_USER: (s) =>
    `the image's User '${s.user}' cannot be made into ids: ${s.reason}; build the image with a user that it has, or with ` +
    'numbers as in USER 1000:1000',
  IMAGE_NO_PLATFORM: (s) =>
    `${printable(s.source)} has no image for ${s.wanted}, it offers ${s.offered}; build it with ` +
    `--platform ${s.wanted}`,
  IMAGE_UNSUPPORTED: (s) =>
    `${printable(s.source)} holds '${s.mediaType}', which graft cannot use: ${s.advice}`,
  IMAGE_SCHEMA1: (s) =>
    `converting V1 schema failed: ${printable(s.source)} has a manifest of the obsolete schema 1; ` +
    'pull and push it once with a current docker, podman or skopeo, and it is up to date',
  IMAGE_ENCRYPTED: (s) =>
    `${printable(s.source)} has encrypted layers, and graft holds no keys; decrypt it into another name, ` +
    'with skopeo copy --decryption-key say',
  IMAGE_FOREIGN: (s) =>
    `${printable(s.source)} keeps a layer outside its registry, at ${printable(s.url)}, a host that is not ` +
    'allowed; push the image with its foreign layers into the registry, or allow the host for it',
  IMAGE_URLS_FAILED: (s) => `failed fetching external blob from all urls: ${s.digest}: ${s.reasons}`,
  IMAGE_CERTIFICATES: (s) =>
    `create.remote_layer_client_certificates_path, ${printable(s.directory)}: ${s.reason}; it holds ` +
    'authorities as *.crt and each client certificate as NAME.cert with NAME.key',
  IMAGE_TOO_MANY_LAYERS: (s) =>
    `the image has ${s.layers} layers, and ${s.limit} are the most that can be stacked; build it with fewer, ` +
    'squashed or in several stages',
  IMAGE_TOO_COMPLEX: (s) =>
    `putting the layers of the image together takes more than ${s.limit} ${s.what}, which no real image does; ` +
    'build it with fewer layers, squashed say',
  IMAGE_EXCEEDS_LIMIT: (s) =>
    `layers exceed disk quota ${s.size}/${s.limit} bytes; raise the limit to more than ` +
    `${bytesInWords(s.size)}, which is what the layers take compressed`,
  IMAGE_DIGEST_MISMATCH: (s) =>
    `manifest or configuration digest mismatch: expected: ${s.expected}, actual: ${s.actual}; what was read ` +
    'is not what the image names, so the copy is damaged or was tampered with',
};

function orTyped(path: string): string {
  const typed = typedReference(path);
  return typed === undefined ? '' : `; for the image of a registry give ${typed}`;
}

function intoLayout(argument: string): string {
  return `copy it into a layout: skopeo copy ${printable(argument)} oci:/DIRECTORY:REF`;
}

function adviceForScheme(scheme: string, argument: string): string {
  const typed = typedReference(argument);
  switch (scheme) {
    case 'containers-storage':
    case 'docker-daemon':
      return (
        'graft reads no storage of another engine; push the image to a registry' +
        `${typed === undefined ? '' : ` and give ${typed}`}, or ${intoLayout(argument)}`
      );
    case 'dir':
      return `graft reads no such files; ${intoLayout(argument)}`;
    case 'file':
      return 'give the path of the tar alone, without file://';
    case 'preloaded':
    case 'preloaded+layer':
      return 'Garden and Diego turn this into a path or an oci: directory before graft sees it; check their settings';
    case 'http':
    case 'https':
      return 'give docker://host/name for a registry, or download the tar and give its path';
    default:
      if (typed !== undefined)
        return `for the image of a registry give ${typed}, for a tar file ./${printable(argument)}`;
      return 'graft knows docker://, oci://, docker-archive:, oci-archive:, aci:, cvmfs:// and paths of tar files (./ in front of a name with a colon)';
  }
}
