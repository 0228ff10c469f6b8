import { MAX_ID } from '../base/id-mapping.ts';
import { MiB } from '../base/limits.ts';
import { hasCode } from '../sys/errno.ts';
import { close, openAt, openat2, RESOLVE } from '../sys/files.ts';
import { AT_FDCWD, O } from '../sys/libc.ts';
import { readUpTo } from '../sys/read.ts';
import { S, statFd } from '../sys/stat.ts';
import type { ProcessUser } from './runtime-spec.ts';

/** A passwd file is a stranger's: larger ones are not read to their end. */
const MAX_PASSWD_BYTES = MiB;

/**
 * The `User` of an image configuration (image-spec, config.md: `user`, `uid`, `user:group`, `uid:gid`, …) as
 * ids inside the container. Names are looked up in the image's own files; what cannot be found out is root's,
 * as the field then says nothing.
 */
export function processUser(user: string, rootfs: string | undefined): ProcessUser {
  const [who = '', group = ''] = user.split(':', 2);
  if (who === '' && group === '') return { uid: 0, gid: 0 };
  const uid = numeric(who);
  const gid = numeric(group);
  if (uid !== undefined && gid !== undefined) return { uid, gid };
  const entry = rootfs === undefined ? undefined : findUser(readText(rootfs, 'etc/passwd'), who, uid);
  const found =
    group === '' || rootfs === undefined ? undefined : findGroup(readText(rootfs, 'etc/group'), group);
  if (uid === undefined && who !== '' && entry === undefined) return { uid: 0, gid: 0 };
  return { uid: uid ?? entry?.uid ?? 0, gid: gid ?? found ?? (group === '' ? (entry?.gid ?? 0) : 0) };
}

function numeric(text: string): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id <= MAX_ID ? id : undefined;
}

/** passwd(5): name:password:uid:gid:… */
function findUser(text: string, name: string, uid: number | undefined): ProcessUser | undefined {
  for (const line of text.split('\n')) {
    const fields = line.split(':');
    const [id, group] = [numeric(fields[2] ?? ''), numeric(fields[3] ?? '')];
    if (id === undefined || group === undefined) continue;
    if (uid === undefined ? fields[0] === name : id === uid) return { uid: id, gid: group };
  }
  return undefined;
}

/** group(5): name:password:gid:… */
function findGroup(text: string, name: string): number | undefined {
  for (const line of text.split('\n')) {
    const fields = line.split(':');
    if (fields[0] === name) return numeric(fields[2] ?? '');
  }
  return undefined;
}

/**
 * A file of the image, read as if the image were the whole machine: links stay inside, a FIFO does not block
 * (both were used against engines that read a stranger's passwd). Empty when there is nothing fit to read.
 */
function readText(rootfs: string, path: string): string {
  const root = openAt(AT_FDCWD, rootfs, O.PATH | O.DIRECTORY);
  try {
    const fd = openat2(root, path, O.RDONLY | O.NONBLOCK, 0, RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS);
    try {
      if ((statFd(fd).mode & S.IFMT) !== S.IFREG) return '';
      return new TextDecoder('latin1').decode(readUpTo(fd, MAX_PASSWD_BYTES, path));
    } finally {
      close(fd);
    }
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'ENXIO', 'EISDIR')) return '';
    throw error;
  } finally {
    close(root);
  }
}
