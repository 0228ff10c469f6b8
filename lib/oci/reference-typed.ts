/** Image names as people type them for docker and podman, and the reference that graft wants for each. */
import { PluginError } from '../base/errors/error.ts';
import { formatReference, parseImageReference } from './reference.ts';

/** `containers-storage:[overlay@/path]NAME` and `docker-daemon:NAME` name an image in the storage of another engine. */
const STORAGE = /^(?:containers-storage:(?:\[[^\]]*\])?|docker-daemon:)/;
/** A user and a password may stand before the host; no sentence repeats them. */
const USERINFO = /@(?!sha256:)/;
/** Transports of containers-transports(5) that name no image of a registry, and `sha256:…`, which is the id of an image. */
const NO_NAME = /^(?:aci|dir|docker-archive|file|oci|oci-archive|ostree|sha256|sif|tarball):/;
const HOST = /^(?:localhost|[^/]*[.:][^/]*)$/;

/**
 * The reference that `ubuntu:22.04`, `registry:5000/app:1` or `docker.io/library/app` means for docker: the first part is
 * a host where it has a dot or a port, or is `localhost`; all else is Docker Hub's.
 * @returns undefined where the text is no such name
 */
export function typedReference(argument: string): string | undefined {
  const text = argument.replace(STORAGE, '');
  if (NO_NAME.test(text) || USERINFO.test(text) || text.startsWith('/') || text.startsWith('.'))
    return undefined;
  const slash = text.indexOf('/');
  const isHost = slash > 0 && HOST.test(text.slice(0, slash));
  try {
    return formatReference(parseImageReference(`docker://${isHost ? '' : '/'}${text}`));
  } catch (error) {
    if (error instanceof PluginError) return undefined;
    throw error;
  }
}
