import type { Digest } from '../base/digest.ts';
import { PluginError } from '../base/errors/error.ts';
import type { Secret } from '../base/secret.ts';
import { printable } from '../base/text.ts';
import { parseLayoutParts, parseLocalPath } from './reference-path.ts';
import { parseRegistryParts, redactReference } from './reference-registry.ts';

/** An image in a registry. With tag and digest together the digest decides. */
export interface RegistryReference {
  readonly kind: 'registry';
  /** `host[:port]`, lower case; Docker Hub is `registry-1.docker.io` when dialled, `docker.io` here. */
  readonly registry: string;
  /** `library/` already added for Docker Hub's official images. */
  readonly repository: string;
  /** `latest` where the argument names neither tag nor digest: one of the two is always there. */
  readonly tag: string | undefined;
  readonly digest: Digest | undefined;
  /** From the URI: accepted, never shown. */
  readonly userinfo: { readonly username: string; readonly password: Secret } | undefined;
}

/** An OCI image layout: `oci:///dir[:ref]`, `ref` also `@N`. */
export interface LayoutReference {
  readonly kind: 'oci';
  readonly directory: string;
  readonly ref: string | undefined;
}

/** A local tar: the argument itself is the path. */
export interface TarReference {
  readonly kind: 'tar';
  readonly path: string;
}

/** A name on CVMFS: `cvmfs:///cvmfs/<repository>/…`. */
export interface CvmfsReference {
  readonly kind: 'cvmfs';
  readonly path: string;
}

export type ImageReference = RegistryReference | LayoutReference | TarReference | CvmfsReference;

/** Linux takes paths of 4095 bytes; percent-encoding triples them at most. */
const MAX_REFERENCE_LENGTH = 16384;

/** As Go's net/url finds it (RFC 3986, 3.1): what has no scheme is a path. */
const SCHEME = /^([A-Za-z][A-Za-z0-9+.-]*):/;

/**
 * The image argument of `create`, as GrootFS reads it and as Garden writes it: Garden replaces the first `#`
 * of a rootfs URI by `:`. An argument that still has one (typed by hand, or copied from an app's settings)
 * means the same here.
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
    default:
      throw new PluginError('IMAGE_SCHEME', { scheme: printable(scheme.toLowerCase()) });
  }
}

export type Refuse = (reason: string) => PluginError;

/** `///cvmfs/<repository>/…`: names below it are the publisher's and may hold colons (`debian:stable`). */
function parseCvmfsPath(rest: string, refuse: Refuse): string {
  const path = parseLocalPath(rest, refuse);
  const [root, mount, ...names] = path.split('/');
  if (root !== '' || mount !== 'cvmfs' || names.length < 2)
    throw refuse('a CVMFS image is written cvmfs:///cvmfs/<repository>/<path>');
  return path;
}

/** The repository alone: two images of one repository are from one place. */
export function repositoryOf({ registry, repository }: RegistryReference): string {
  return `${registry}/${repository}`;
}

/** The reference as people write it, for logs, records and sentences; userinfo is left out. */
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
    case 'cvmfs':
      return `cvmfs://${encodePath(reference.path).replaceAll('%3A', ':')}`;
  }
}

/** Encodes what would not come back from `parseImageReference`, and what no log should hold raw. */
function encodePath(path: string): string {
  return path.replace(/[%#?:\x00-\x20\x7f]/g, (c) => encodeURIComponent(c));
}
