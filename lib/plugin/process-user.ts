/**
 * The `User` of an image configuration, as ids inside the container. The rules are those of Docker, containerd and
 * umoci: digits are an id, even when passwd has a name with these digits; the first matching entry of a file counts;
 * the supplementary groups are the groups that list the user, unless the image names a group itself.
 *
 * A user that cannot be resolved is an error: a process that should have few rights must not get those of root
 * because a file is missing or a number is too large (CVE-2024-40635).
 */
import { PluginError } from '../base/errors/error.ts';
import { type IdMappings, type IdRange, toHostId } from '../base/id-mapping.ts';
import { printable } from '../base/text.ts';
import type { AccountFiles } from './account-files.ts';
import type { ProcessUser } from './runtime-spec.ts';

/** The largest id that runc and the Go libraries accept: some of them store ids as signed 32-bit numbers. */
const MAX_USER_ID = 2 ** 31 - 1;

/** A passwd entry has seven fields, a group entry four. */
interface User {
  readonly name: string;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
}
interface Group {
  readonly name: string;
  readonly gid: number | undefined;
  readonly members: readonly string[];
}

/**
 * @param field `user`, `uid`, `user:group`, `uid:gid` and so on (image-spec, config.md); empty: root
 * @param mappings those of the store; an id outside the mapping is refused
 * @throws IMAGE_USER
 */
export function processUser(field: string, files: AccountFiles, mappings: IdMappings): ProcessUser {
  if (field === '') return rootUser(files, mappings);
  const bad = (reason: string) => new PluginError('IMAGE_USER', { user: printable(field), reason });
  const [who = '', group, ...more] = field.split(':');
  if (more.length > 0) throw bad('it has more than one colon');
  const user = findUser(who, files, bad);
  const named = group === undefined || group === '' ? undefined : findGroup(group, files, bad);
  const uid = inContainer(user.uid, 'uid', mappings.uids, bad);
  const gid = inContainer(named ?? user.gid, 'gid', mappings.gids, bad);
  return withGroups({ uid, gid }, named === undefined ? groupsOf(user.name, files, mappings) : []);
}

type Bad = (reason: string) => PluginError;

/** The user when `User` is empty: root, even when the files cannot be read; with supplementary groups if they can. */
function rootUser(files: AccountFiles, mappings: IdMappings): ProcessUser {
  const root = { uid: 0, gid: 0 };
  const { text } = files.read('etc/passwd');
  const entry = text === undefined ? undefined : users(text).find(({ uid }) => uid === 0);
  return withGroups(root, groupsOf(entry?.name, files, mappings));
}

function withGroups(user: { uid: number; gid: number }, groups: readonly number[]): ProcessUser {
  return groups.length === 0 ? user : { ...user, additionalGids: groups };
}

function findUser(
  who: string,
  files: AccountFiles,
  bad: Bad,
): { uid: number; gid: number; name: string | undefined } {
  const id = who === '' ? 0 : numberIn(who, bad);
  const { text, problem } = files.read('etc/passwd');
  const name = bytesAsText(who);
  const entry =
    text === undefined
      ? undefined
      : users(text).find((user) => (id === undefined ? user.name === name : user.uid === id));
  if (entry !== undefined) {
    const { uid, gid } = entry;
    if (uid === undefined || gid === undefined) throw bad('its entry in /etc/passwd has no valid ids');
    return { uid, gid, name: entry.name };
  }
  // A numeric user needs no passwd entry. But an unreadable file may have an entry with the user's group.
  if (problem !== undefined) throw bad(problem);
  if (id === undefined)
    throw bad(text === undefined ? 'the image has no /etc/passwd' : 'it is not in /etc/passwd of the image');
  return { uid: id, gid: 0, name: undefined };
}

function findGroup(group: string, files: AccountFiles, bad: Bad): number {
  const id = numberIn(group, bad);
  if (id !== undefined) return id;
  const { text, problem } = files.read('etc/group');
  if (problem !== undefined) throw bad(problem);
  const name = bytesAsText(group);
  const entry = text === undefined ? undefined : groups(text).find((one) => one.name === name);
  if (entry === undefined)
    throw bad(
      text === undefined ? 'the image has no /etc/group' : 'its group is not in /etc/group of the image',
    );
  if (entry.gid === undefined) throw bad('the entry of its group in /etc/group has no valid id');
  return entry.gid;
}

/** The user's groups in the order of the file. A group whose id is not valid for a process is left out. */
function groupsOf(name: string | undefined, files: AccountFiles, mappings: IdMappings): number[] {
  if (name === undefined || name === '') return [];
  const { text } = files.read('etc/group');
  if (text === undefined) return [];
  return groups(text).flatMap(({ gid, members }) =>
    gid !== undefined && members.includes(name) && toHostId(mappings.gids, gid) !== undefined ? [gid] : [],
  );
}

/** The id; undefined for a name. A number that is not a valid id is refused, and never looked up as a name. */
function numberIn(text: string, bad: Bad): number | undefined {
  if (!/^[+-]?\d+$/.test(text)) return undefined;
  const id = idIn(text);
  if (id === undefined) throw bad(`${printable(text)} is not an id from 0 to ${MAX_USER_ID}`);
  return id;
}

function idIn(text: string): number | undefined {
  if (!/^\+?\d{1,20}$/.test(text)) return undefined;
  const id = Number(text);
  return id <= MAX_USER_ID ? id : undefined;
}

function inContainer(id: number, kind: 'uid' | 'gid', ranges: readonly IdRange[], bad: Bad): number {
  if (toHostId(ranges, id) !== undefined) return id;
  throw bad(`the store's ${kind} mapping does not have ${id}`);
}

/** passwd(5): name:password:uid:gid:… */
function users(text: string): User[] {
  return entries(text).map(([name = '', , uid = '', gid = '']) => ({ name, uid: idIn(uid), gid: idIn(gid) }));
}

/** group(5): name:password:gid:member,member */
function groups(text: string): Group[] {
  return entries(text).map(([name = '', , gid = '', members = '']) => ({
    name,
    gid: idIn(gid),
    members: members.split(','),
  }));
}

function entries(text: string): string[][] {
  return text.split('\n').flatMap((line) => {
    const trimmed = line.trim();
    return trimmed === '' ? [] : [trimmed.split(':')];
  });
}

/** Converts a name to one character for each byte, as the files are read, since they may have any encoding. */
function bytesAsText(name: string): string {
  return Buffer.from(name, 'utf8').toString('latin1');
}
