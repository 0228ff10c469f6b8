/**
 * Tries whether layers can be images here: writes a small image in the store, mounts it each way, and reads it. Versions of
 * kernels do not tell: the option is a matter of their configuration, and of the filesystem that holds the store.
 */

import { FILE_TYPE } from '../../layer/erofs/format.ts';
import { ImageWriter } from '../../layer/erofs/image-writer.ts';
import { ROOT } from '../../layer/erofs/numbers.ts';
import { SysError } from '../../sys/kernel/errno.ts';
import { mkdirAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';
import { readText } from '../../sys/kernel/read.ts';
import { type ErofsWay, mountFile, mountLoop } from '../../sys/mounts/erofs.ts';
import { unmount } from '../../sys/mounts/mount.ts';
import { detachImage } from '../collect/unmount-layers.ts';
import type { LayerForm, LayerWish } from '../layout/layer-form.ts';
import type { Layout } from '../layout/layout.ts';
import { discardStaged, stageDirectory } from '../layout/staging.ts';

/** The failure of each way of mounting; undefined where the way works. */
type Trial = Readonly<Record<ErofsWay, string | undefined>>;

/** Decides how layers are written from now on. Nothing that is there is converted. */
export function formFor(wish: LayerWish, before: LayerForm, layout: Layout): LayerForm {
  // Images of earlier times are mounted as they were.
  if (wish === 'directories') return { wish, kind: 'directories', way: before.way };
  const { file, loop } = tryImages(layout);
  if (file === undefined) return { wish, kind: 'images', way: 'file' };
  if (wish === 'images' && loop === undefined) return { wish, kind: 'images', way: 'loop' };
  const lack = wish === 'images' ? `${file}; with a loop device: ${loop}` : file;
  return { wish, kind: 'directories', way: loop === undefined ? 'loop' : before.way, lack };
}

function tryImages(layout: Layout): Trial {
  const stage = stageDirectory(layout, 'trial');
  try {
    const [image, target] = [`${stage}/fs.erofs`, `${stage}/fs`];
    mkdirAt(AT_FDCWD, target, 0o700);
    writeImage(image);
    return {
      file: trying(target, () => mountFile(image, target)),
      loop: trying(target, () => mountLoop(image, target)),
    };
  } finally {
    // A mount that could not be removed would keep the stage.
    detachImage(stage);
    discardStaged(stage);
  }
}

const NAME = 'file';
/** Longer than a block, so that the kernel reads both content in blocks and content behind the inode. */
const CONTENT = 'graft '.repeat(1000);

function writeImage(path: string): void {
  const common = { uid: 0, gid: 0, mtime: { sec: 0, nsec: 0 }, xattrs: new Uint8Array(0) };
  using image = new ImageWriter(path, 0o644);
  image.tree.directories.set(ROOT, { ...common, mode: 0o755 });
  const place = image.file({ ...common, mode: 0o644 }, CONTENT.length);
  image.content(Buffer.from(CONTENT));
  image.endOfFile();
  image.tree.add(ROOT, NAME, FILE_TYPE.file, place);
  image.finish();
}

/** @returns the reason for a failure, in the kernel's words */
function trying(target: string, mount: () => void): string | undefined {
  try {
    mount();
    try {
      const read = readText(`${target}/${NAME}`, CONTENT.length + 1);
      return read === CONTENT ? undefined : 'the kernel reads other bytes than were written';
    } finally {
      unmount(target, { detach: true });
    }
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    return whyNot(error);
  }
}

function whyNot(error: SysError): string {
  if (error.syscall !== 'mount') return error.message;
  switch (error.code) {
    case 'ENODEV':
      return 'the kernel has no EROFS (its module is erofs)';
    case 'ENOTBLK':
      return 'the kernel does not mount an EROFS image from its file here (Linux 6.12 and newer can)';
    case 'EINVAL':
      return 'the kernel does not read an EROFS image with direct I/O (Linux 6.13 and newer can)';
    default:
      return error.message;
  }
}
