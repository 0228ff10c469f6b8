/**
 * Recognises a tar that `docker save`, `podman save` or `skopeo copy` wrote: an image in a file, and no root
 * filesystem. As a root filesystem it would start a container of JSON files. The unpacked entries tell: a list of
 * images, and beside it the files that the list names.
 */
import { JsonRefused, parseJson } from '../../oci/json.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { close, openAt, openat2, RESOLVE } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { readToEnd } from '../../sys/kernel/read.ts';
import { S, statFd } from '../../sys/kernel/stat.ts';

/** The names of the transports in containers-transports(5), which convert such files. */
export type SavedImage = 'docker-archive' | 'oci-archive';

/** A list of some hundred images is smaller. */
const MAX_LIST_BYTES = 4 * 1024 * 1024;

/**
 * A root filesystem has at least one of these directories, and an archive of images has none. A root filesystem may
 * have a file `manifest.json` too.
 */
const ROOT_DIRECTORIES = ['bin', 'etc', 'lib', 'sbin', 'usr'] as const;

/** The kind of archive that was unpacked into `tree`; undefined for any other tar. */
export function savedImageIn(tree: string): SavedImage | undefined {
  const root = openAt(AT_FDCWD, tree, O.PATH | O.DIRECTORY);
  try {
    if (ROOT_DIRECTORIES.some((name) => typeOf(root, name) === S.IFDIR)) return undefined;
    // Newer versions of Docker write both forms; every tool reads the older one.
    if (isDockerArchive(root)) return 'docker-archive';
    return isOciArchive(root) ? 'oci-archive' : undefined;
  } finally {
    close(root);
  }
}

/** manifest.json: a list of images, each with the names of its configuration and its layers. */
function isDockerArchive(root: number): boolean {
  const list = readList(root, 'manifest.json');
  if (!Array.isArray(list) || list.length === 0) return false;
  return list.every((image: unknown) => {
    const { Config: config, Layers: layers } = fieldsOf(image);
    if (typeof config !== 'string' || !Array.isArray(layers)) return false;
    // A single file is enough: an archive that lost the others is no root filesystem either.
    return [config, ...layers].some((name) => typeof name === 'string' && typeOf(root, name) === S.IFREG);
  });
}

/** image-spec, image-layout.md: the marker, the index, and the blob of one of its entries. */
function isOciArchive(root: number): boolean {
  if (typeof fieldsOf(readList(root, 'oci-layout'))['imageLayoutVersion'] !== 'string') return false;
  const { manifests } = fieldsOf(readList(root, 'index.json'));
  if (!Array.isArray(manifests)) return false;
  // An empty layout names no file, and is no root filesystem.
  if (manifests.length === 0) return typeOf(root, 'blobs') === S.IFDIR;
  return manifests.some((entry: unknown) => {
    const { digest } = fieldsOf(entry);
    return typeof digest === 'string' && typeOf(root, `blobs/${digest.replace(':', '/')}`) === S.IFREG;
  });
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

function readList(root: number, name: string): unknown {
  const fd = openIn(root, name, O.RDONLY | O.NONBLOCK);
  if (fd === undefined) return undefined;
  try {
    const { mode, size } = statFd(fd);
    if ((mode & S.IFMT) !== S.IFREG || size > MAX_LIST_BYTES) return undefined;
    return parseJson(readToEnd(fd, MAX_LIST_BYTES, name), MAX_LIST_BYTES);
  } catch (error) {
    if (error instanceof JsonRefused) return undefined;
    throw error;
  } finally {
    close(fd);
  }
}

/** The type of the file that a name leads to. Archives of podman name layers through links. */
function typeOf(root: number, name: string): number | undefined {
  const fd = openIn(root, name, O.PATH);
  if (fd === undefined) return undefined;
  try {
    return statFd(fd).mode & S.IFMT;
  } finally {
    close(fd);
  }
}

/** Opens a name; undefined when there is no such file. Links stay inside the tree. */
function openIn(root: number, name: string, flags: number): number | undefined {
  // The kernel would cut a name at a NUL.
  if (name === '' || name.includes('\0')) return undefined;
  try {
    return openat2(root, name, flags, 0, RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO', 'ENAMETOOLONG', 'EISDIR')) return undefined;
    throw error;
  }
}
