import type { Digest } from '../base/digest.ts';
import { PluginError } from '../base/errors/error.ts';
import type { Secret } from '../base/secret.ts';
import { printable } from '../base/text.ts';
import {
  isLayoutRef,
  parseArchiveParts,
  parseLayoutParts,
  parseLocalPath,
  type Refuse,
} from './reference-path.ts';
import { parseRegistryParts, redactReference } from './reference-registry.ts';

/** An image in a registry. Where there are both a tag and a digest, the digest decides. */
export interface RegistryReference {
  readonly kind: 'registry';
  /** `host[:port]` in lower case. Docker Hub is `docker.io` here; its requests go to `registry-1.docker.io`. */
  readonly registry: string;
  /** With `library/` in front for Docker Hub's official images. */
  readonly repository: string;
  /** `latest` where the argument has neither tag nor digest; so at least one of the two is defined. */
  readonly tag: string | undefined;
  readonly digest: Digest | undefined;
  /** From the URI. Logs, records and sentences never contain it. */
  readonly userinfo: { readonly username: string; readonly password: Secret } | undefined;
}

/** An OCI image layout: `oci:///dir[:ref]`, `ref` also `@N`. */
export interface LayoutReference {
  readonly kind: 'oci';
  readonly directory: string;
  readonly ref: string | undefined;
}

/** A local tar file. The argument itself is the path. */
export interface TarReference {
  readonly kind: 'tar';
  readonly path: string;
}

/** A name on CVMFS: `cvmfs:///cvmfs/<repository>/…`. */
export interface CvmfsReference {
  readonly kind: 'cvmfs';
  readonly path: string;
}

/** An image in an archive: `docker-archive:/file[:name]` or `oci-archive:/file[:ref]`, each also `@N`. */
export interface ArchiveReference {
  readonly kind: 'docker-archive' | 'oci-archive';
  readonly path: string;
  readonly ref: string | undefined;
}

/** An App Container Image: `aci:/file[:sha512-…]`. */
export interface AciReference {
  readonly kind: 'aci';
  readonly path: string;
  /** The image id, or its beginning. */
  readonly id: string | undefined;
}

/** rkt shows and takes the first half of an image id. */
const ACI_ID = /^sha512-[0-9a-f]{64,128}$/;

export type ImageReference =
  | RegistryReference
  | LayoutReference
  | TarReference
  | CvmfsReference
  | ArchiveReference
  | AciReference;

/** `@N`, the position of an image in an archive. */
const POSITION = /^@\d{1,4}$/;

/** Linux takes paths of 4095 bytes; percent-encoding triples them at most. */
const MAX_REFERENCE_LENGTH = 16384;

/** The scheme, as Go's net/url finds it (RFC 3986, 3.1). An argument without a scheme is a path. */
const SCHEME = /^([A-Za-z][A-Za-z0-9+.-]*):/;

/**
 * Parses the image argument of `create` as GrootFS does. Garden replaces the first `#` of a rootfs URI by `:`, and an
 * argument that still has the `#` (typed by hand, or copied from an app's settings) means the same.
 * @throws IMAGE_SCHEME, BAD_REFERENCE (never with credentials in it)
 */
export function parseImageReference(argument: string): ImageReference {
  const refuse = (reason: string) =>
    new PluginError('BAD_REFERENCE', { reference: printable(redactReference(argument)), reason });
  if (argument === '') throw refuse('it is empty');
  if (argument.length > MAX_REFERENCE_LENGTH)
    throw refuse(`it is longer than ${MAX_REFERENCE_LENGTH} characters`);
  if (argument.includes('\0')) throw refuse('it holds a NUL character');
  const scheme = SCHEME.exec(argument)?.[1];
  if (scheme === undefined) return { kind: 'tar', path: argument };
  const rest = argument.slice(scheme.length + 1).replace('#', ':');
  switch (scheme.toLowerCase()) {
    case 'docker':
      return { kind: 'registry', ...parseRegistryParts(rest, refuse) };
    case 'oci':
      return { kind: 'oci', ...parseLayoutParts(rest, refuse) };
    case 'cvmfs':
      return { kind: 'cvmfs', path: parseCvmfsPath(rest, refuse) };
    case 'docker-archive':
      return { kind: 'docker-archive', ...parseArchiveParts(rest, 'docker-archive', refuse, isSavedName) };
    case 'oci-archive':
      return { kind: 'oci-archive', ...parseArchiveParts(rest, 'oci-archive', refuse, isLayoutRef) };
    case 'aci': {
      const { path, ref } = parseArchiveParts(rest, 'aci', refuse, (text) => ACI_ID.test(text));
      return { kind: 'aci', path, id: ref };
    }
    default:
      throw new PluginError('IMAGE_SCHEME', {
        scheme: printable(scheme.toLowerCase()),
        argument: printable(withoutUserinfo(argument)),
      });
  }
}

/** `name:password@host/…` looks like a scheme too. The place in `containers-storage:[overlay@/place]name` is no secret. */
function withoutUserinfo(argument: string): string {
  return redactReference(argument).replace(/^(?!containers-storage:\[[^\]]*\][^@]*$).*@(?!sha256:)/s, '');
}

/** Parses `///cvmfs/<repository>/…`. The publisher chooses the names below, which may hold colons (`debian:stable`). */
function parseCvmfsPath(rest: string, refuse: Refuse): string {
  const path = parseLocalPath(rest, refuse);
  const [root, mount, ...names] = path.split('/');
  if (root !== '' || mount !== 'cvmfs' || names.length < 2)
    throw refuse('a CVMFS image is written cvmfs:///cvmfs/<repository>/<path>');
  return path;
}

/** True for `@N` and for a name of docker without a digest, which archives do not keep. */
function isSavedName(text: string): boolean {
  return POSITION.test(text) || savedName(text) !== undefined;
}

/** The whole name that `text` has for docker: `busybox` is `docker.io/library/busybox:latest`; undefined: it is no name. */
export function savedName(text: string): string | undefined {
  const [first = ''] = text.split('/', 1);
  const isHost = text.includes('/') && /[.:]|^localhost$/.test(first);
  const refuse = (reason: string) => new PluginError('BAD_REFERENCE', { reference: printable(text), reason });
  try {
    const { registry, repository, tag, digest } = parseRegistryParts(
      isHost ? `//${text}` : `///${text}`,
      refuse,
    );
    return digest === undefined ? `${registry}/${repository}:${tag ?? 'latest'}` : undefined;
  } catch (error) {
    if (error instanceof PluginError) return undefined;
    throw error;
  }
}

/** `registry/repository`, without tag and digest: images that share it come from the same repository. */
export function repositoryOf({ registry, repository }: RegistryReference): string {
  return `${registry}/${repository}`;
}

/** The reference as people write it, without userinfo: for logs, records and sentences. */
export function formatReference(reference: ImageReference): string {
  switch (reference.kind) {
    case 'registry': {
      const host = reference.registry === 'docker.io' ? '' : reference.registry;
      const tag = reference.tag === undefined ? '' : `:${reference.tag}`;
      const digest = reference.digest === undefined ? '' : `@${reference.digest}`;
      return `docker://${host}/${reference.repository}${tag}${digest}`;
    }
    case 'oci':
      return `oci://${encodePath(reference.directory)}${reference.ref === undefined ? '' : `:${reference.ref}`}`;
    case 'tar':
      return reference.path;
    case 'docker-archive':
    case 'oci-archive':
      return `${reference.kind}:${encodePath(reference.path)}${reference.ref === undefined ? '' : `:${reference.ref}`}`;
    case 'aci':
      return `aci:${encodePath(reference.path)}${reference.id === undefined ? '' : `:${reference.id}`}`;
    case 'cvmfs':
      return `cvmfs://${encodePath(reference.path).replaceAll('%3A', ':')}`;
  }
}

/** Encodes characters that `parseImageReference` would read otherwise, and control characters. */
function encodePath(path: string): string {
  return path.replace(/[%#?:\x00-\x20\x7f]/g, (c) => encodeURIComponent(c));
}
