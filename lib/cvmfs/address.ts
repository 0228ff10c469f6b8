/** Paths inside repositories, from image references and thin images. They are checked here and become typed values. */
import { PluginError } from '../base/errors/error.ts';
import { printable } from '../base/text.ts';
import type { CvmfsSettings, Repository } from './settings.ts';

/** A path inside a repository of the configuration: relative, without empty components, `.` and `..`. */
export interface RepositoryPath {
  readonly repository: Repository;
  readonly path: string;
}

/** PATH_MAX with its NUL: the kernel refuses longer paths. */
const MAX_PATH = 4095;

/** An absolute path, such as a reference `cvmfs:///cvmfs/<repository>/…` has. @throws CVMFS_NOT_ALLOWED */
export function repositoryPath(settings: CvmfsSettings, absolute: string): RepositoryPath {
  for (const repository of settings.repositories) {
    const root = repository.knownAt.find((known) => absolute === known || absolute.startsWith(`${known}/`));
    if (root !== undefined) {
      return { repository, path: insidePath(settings, absolute, absolute.slice(root.length + 1)) };
    }
  }
  throw refused(settings, absolute, 'it lies in no repository of the configuration');
}

/**
 * `cvmfs://<repository>/<path>`, as thin images name their layers. A stranger wrote the image, so graft looks only at
 * repositories that the operator listed.
 * @throws CVMFS_NOT_ALLOWED
 */
export function thinAddress(settings: CvmfsSettings, url: string): RepositoryPath {
  const match = /^cvmfs:\/\/([^/]+)\/(.+)$/s.exec(url);
  if (match === null) throw refused(settings, url, 'it is not cvmfs:// with a repository and a path');
  const [, name = '', path = ''] = match;
  const repository = settings.repositories.find((candidate) => candidate.name === name);
  if (repository === undefined) throw refused(settings, url, 'its repository is not in the configuration');
  return { repository, path: insidePath(settings, url, path) };
}

/** Refuses a path with `.`, `..` or empty components instead of normalising it: no honest publisher writes one. */
function insidePath(settings: CvmfsSettings, whole: string, path: string): string {
  const parts = path.split('/').filter((part, at, all) => part !== '' || at !== all.length - 1);
  if (path.length > MAX_PATH) throw refused(settings, whole, `its path has more than ${MAX_PATH} characters`);
  if (path.includes('\0')) throw refused(settings, whole, 'its path holds a NUL');
  if (parts.some((part) => part === '.' || part === '..')) {
    throw refused(settings, whole, 'its path has "." or ".." components');
  }
  if (parts.some((part) => part === '')) throw refused(settings, whole, 'its path has empty components');
  return parts.join('/');
}

function refused(settings: CvmfsSettings, path: string, reason: string): PluginError {
  const repositories = settings.repositories.map(({ name }) => name).join(', ');
  return new PluginError('CVMFS_NOT_ALLOWED', { path: printable(path), repositories, reason });
}
