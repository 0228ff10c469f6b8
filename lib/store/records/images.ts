import { isPluginError, PluginError } from '../../base/errors/error.ts';
import { MiB } from '../../base/limits.ts';
import { hasCode, SysError } from '../../sys/kernel/errno.ts';
import {
  chmodAt,
  chownAt,
  close,
  mkdirAt,
  openAt,
  RENAME_NOREPLACE,
  renameAt,
} from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { exists, listNames } from '../../sys/kernel/look.ts';
import { bytesOfText } from '../../sys/kernel/utf8.ts';
import type { QuotaDevice } from '../../sys/mounts/quota.ts';
import { setProjectId, setProjectLimit } from '../../sys/mounts/quota.ts';
import { MAX_IMAGE_RECORD_BYTES, MAX_NUMBER_BYTES } from '../layout/ceilings.ts';
import { type ImageId, imageIdOrUndefined } from '../layout/image-id.ts';
import type { Layout } from '../layout/layout.ts';
import type { OwnerName } from '../layout/owner-name.ts';
import { type Ids, letPass } from '../layout/passage.ts';
import { readFact, readRecord } from '../layout/read-file.ts';
import { discardStaged, removeName, replaceSmall, stageDirectory, writeSmall } from '../layout/staging.ts';
import { decodeImageRecord, encodeImageRecord, type ImageRecord } from './image-record.ts';
import type { ProjectIds } from './project-ids.ts';

/** A container's directory in tmp/, before it is published. */
export interface StagedImage {
  readonly directory: string;
  readonly projectId: number | undefined;
}

export interface NewImage {
  /** The host's uid and gid of the container's root. */
  readonly owner: Ids;
  /** False where the caller mounts the overlay (`--without-mount`), as the container's root. */
  readonly mounted: boolean;
  /** Bytes of the layers below, for `image_info`. */
  readonly layerBytes: number;
  /** The limits to set on the directory; undefined for none. Of bytes, 0 is none. */
  readonly quota:
    | { readonly bytes: number; readonly inodes?: number | undefined; readonly device: QuotaDevice }
    | undefined;
  readonly lease: OwnerName;
}

/** The containers' directories of one store. */
/** Text of records after which their garbage is collected. */
const GARBAGE_BYTES = 12 * MiB;

export class Images {
  readonly #layout: Layout;
  readonly #projectIds: ProjectIds;

  constructor(layout: Layout, projectIds: ProjectIds) {
    this.#layout = layout;
    this.#projectIds = projectIds;
  }

  exists(id: ImageId): boolean {
    return exists(this.#layout.image(id));
  }

  list(): ImageId[] {
    return listNames(this.#layout.images).flatMap((name) => imageIdOrUndefined(name) ?? []);
  }

  /**
   * Makes a container's directory in tmp/. The project id is set while the directory is empty: a file inherits the id
   * when it is made, not later (ioctl_xfs_fsgetxattr(2)).
   */
  stage(image: NewImage): StagedImage {
    const directory = stageDirectory(this.#layout, 'image');
    let projectId: number | undefined;
    try {
      if (image.quota) {
        projectId = this.#projectIds.take(image.lease, image.quota.device);
        limit(directory, projectId, image.quota);
      }
      fill(directory, image);
      return { directory, projectId };
    } catch (error) {
      this.discard({ directory, projectId }, image.quota?.device);
      throw error;
    }
  }

  /** Removes a staged directory after another error, which the caller reports. */
  discard(staged: StagedImage, device: QuotaDevice | undefined): void {
    discardStaged(staged.directory);
    if (staged.projectId === undefined || device === undefined) return;
    try {
      this.#projectIds.giveBack(staged.projectId, device);
    } catch (error) {
      // The next sweep gives the id back: no directory carries it, and its owner is dead by then.
      if (!(error instanceof SysError)) throw error;
    }
  }

  /** Renames the directory to its id. @throws IMAGE_EXISTS when the id is taken; that image is not changed. */
  publish(staged: StagedImage, id: ImageId): void {
    try {
      renameAt(AT_FDCWD, staged.directory, AT_FDCWD, this.#layout.image(id), RENAME_NOREPLACE);
    } catch (error) {
      if (hasCode(error, 'EEXIST')) throw new PluginError('IMAGE_EXISTS', { id });
      throw error;
    }
  }

  /**
   * Writes the record.
   * @throws IMAGE_DELETED when the image was deleted while it was being made; then no record is left.
   */
  writeRecord(id: ImageId, record: ImageRecord): void {
    replaceSmall(this.#layout, this.#layout.imageRecord(id), 'record', encodeImageRecord(record));
    if (this.exists(id)) return;
    this.removeRecord(id);
    throw new PluginError('IMAGE_DELETED', { id });
  }

  /** The record of an image; undefined when there is none. @throws STORE_DAMAGED */
  record(id: ImageId): ImageRecord | undefined {
    const path = this.#layout.imageRecord(id);
    const text = readRecord(path, MAX_IMAGE_RECORD_BYTES);
    if (text === undefined) return undefined;
    this.#collectGarbage(text.length);
    return decodeImageRecord(text, path);
  }

  /**
   * A verb that reads all records makes garbage faster than the engine collects it on its own: with 500 records of 400 KB
   * the process had 154 MiB, and has 101 MiB so. A verb for one container never comes here.
   */
  #collectGarbage(bytes: number): void {
    this.#readBytes += bytes;
    if (this.#readBytes < GARBAGE_BYTES) return;
    this.#readBytes = 0;
    Bun.gc(true);
  }
  #readBytes = 0;

  /** The record for callers that only report: undefined also when the record is damaged. */
  recordIfReadable(id: ImageId): ImageRecord | undefined {
    try {
      return this.record(id);
    } catch (error) {
      if (isPluginError(error, 'STORE_DAMAGED')) return undefined;
      throw error;
    }
  }

  hasRecord(id: ImageId): boolean {
    return exists(this.#layout.imageRecord(id));
  }

  removeRecord(id: ImageId): void {
    removeName(this.#layout, this.#layout.imageRecord(id));
  }

  /** Whether a delete of the image began and failed. */
  isBeingDeleted(id: ImageId): boolean {
    return this.recordIfReadable(id)?.deleting === true;
  }

  /** Removes `image_info`, so that `stats` does not report a half deleted container. */
  forgetSize(id: ImageId): void {
    removeName(this.#layout, `${this.#layout.image(id)}/image_info`);
  }

  /** The number in `image_info` or `image_quota`; 0 when the file is missing or empty. */
  number(id: ImageId, file: 'image_info' | 'image_quota'): number {
    const value = Number(readFact(`${this.#layout.image(id)}/${file}`, MAX_NUMBER_BYTES));
    return Number.isSafeInteger(value) && value > 0 ? value : 0;
  }
}

function limit(directory: string, projectId: number, quota: NonNullable<NewImage['quota']>): void {
  const fd = openAt(AT_FDCWD, directory, O.RDONLY | O.DIRECTORY);
  try {
    setProjectId(fd, projectId);
    const { bytes, inodes } = quota;
    setProjectLimit(quota.device, projectId, inodes === undefined ? bytes : { bytes, inodes });
  } finally {
    close(fd);
  }
}

/**
 * Fills a container's directory. No further file may be in it: a fresh directory with a limit has to report 8192
 * bytes. `diff` has the attributes of the image's `/`. `workdir` and `rootfs` are only for the kernel and for the
 * mount, but the user who mounts must be able to write in them.
 */
function fill(directory: string, image: NewImage): void {
  for (const name of ['diff', 'workdir', 'rootfs']) {
    const path = `${directory}/${name}`;
    mkdirAt(AT_FDCWD, path, 0o700);
    if (image.mounted && name !== 'diff') continue;
    chownAt(AT_FDCWD, path, image.owner.uid, image.owner.gid);
    chmodAt(AT_FDCWD, path, 0o755);
  }
  writeSmall(`${directory}/image_info`, bytesOfText(String(image.layerBytes)));
  if (image.quota && image.quota.bytes > 0)
    writeSmall(`${directory}/image_quota`, bytesOfText(String(image.quota.bytes)));
  letPass(directory, image.owner);
}
