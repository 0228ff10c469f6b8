/**
 * A stand-in of `cvmfs_server` (2.12) for one repository: the verbs ingest, transaction, publish, abort and list.
 *
 *   GRAFT_TEST_SERVER/cvmfs/<repository>      a link to the current revision, or to the writable copy of a transaction
 *   GRAFT_TEST_SERVER/revisions/<n>           each revision that was published
 *   GRAFT_TEST_SERVER/spool/<repository>/in_transaction.lock     marks an open transaction, as the real one does
 *   GRAFT_TEST_SERVER/calls                   a line of JSON for each call
 *   GRAFT_TEST_SERVER/fault                   `stop-open`: stops itself when the transaction is open; `kill-end`: kills itself
 *                                             before the publication; `gateway`: the repository has one
 *
 * Seen on the real one: an ingest that reads a broken archive aborts its transaction and exits 1; an archive that ends
 * between two members is accepted; `-d` of what is not there is a warning; paths of several `-d` are joined with a colon.
 * Read in its scripts (cvmfs_server_ingest.sh, cvmfs_server_list.sh), not seen: every token before the last is looked at,
 * values too, unknown ones are ignored, and the last token is the name; the lines of `list`; the lock of a transaction is
 * an empty file. What becomes of the members of an archive is in ingest-tree.ts.
 */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { ingestTar } from './ingest.ts';

const state = process.env['GRAFT_TEST_SERVER'] ?? '';
const words = process.argv.slice(2);
const repository = words.at(-1) ?? '';
const flag = join(state, 'spool', repository, 'in_transaction.lock');
const next = join(state, 'next');

function die(text: string): never {
  process.stderr.write(`${text}\n`);
  process.exit(1);
}

function fault(): string {
  const path = join(state, 'fault');
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : '';
}

function revisions(): number[] {
  return readdirSync(join(state, 'revisions'))
    .map(Number)
    .sort((a, b) => a - b);
}

function show(target: string): void {
  const link = join(state, 'cvmfs', repository);
  symlinkSync(target, `${link}.new`);
  renameSync(`${link}.new`, link);
}

function open(): void {
  if (existsSync(flag)) die(`Repository ${repository} is already in a transaction`);
  writeFileSync(flag, '');
  const copied = Bun.spawnSync(['cp', '-a', join(state, 'revisions', String(revisions().at(-1))), next]);
  if (!copied.success) die(copied.stderr.toString());
}

function publish(): void {
  if (fault() === 'kill-end') process.kill(process.pid, 'SIGKILL');
  const number = (revisions().at(-1) ?? 0) + 1;
  renameSync(next, join(state, 'revisions', String(number)));
  show(join(state, 'revisions', String(number)));
  rmSync(flag);
}

function abort(): void {
  show(join(state, 'revisions', String(revisions().at(-1))));
  rmSync(next, { recursive: true, force: true });
  rmSync(flag, { force: true });
}

/** As the loop of the script: each token is compared, and its successor taken for its value. */
function ingestOptions() {
  const found = { base: '', tar: '', remove: [] as string[], keep: false, catalog: false };
  for (let at = 0; at + 1 < words.length; at += 1) {
    const value = words[at + 1] ?? '';
    if (words[at] === '-b' || words[at] === '--base_dir') found.base = value;
    if (words[at] === '-t' || words[at] === '--tar_file') found.tar = value;
    if (words[at] === '-d' || words[at] === '--delete') found.remove.push(value);
    if (words[at] === '-c' || words[at] === '--catalog') found.catalog = true;
    if (words[at] === '-k' || words[at] === '--keep-ownership') found.keep = true;
  }
  return found;
}

async function ingest(): Promise<void> {
  const { base, tar, remove, keep, catalog } = ingestOptions();
  if (tar === '' && base === '' && remove.length === 0) die('Please provide some parameters');
  if ((tar === '') !== (base === '')) die('Please provide the tarball and the base directory');
  if (fault() === 'gateway' && (remove.length > 1 || (remove.length > 0 && tar !== '')))
    die('Could not do this while using gateway.');
  open();
  if (fault() === 'stop-open') process.kill(process.pid, 'SIGSTOP');
  try {
    for (const path of remove.join(':').split(':').filter(Boolean)) {
      if (existsSync(join(next, path))) rmSync(join(next, path), { recursive: true });
      else process.stderr.write(`${path} cannot be deleted. Unrecognized file type.\n`);
    }
    if (tar !== '') await ingestInto(base, keep, catalog, tar);
  } catch (error) {
    abort();
    die(`Synchronization failed: ${error}`);
  }
  publish();
}

async function ingestInto(base: string, keepOwners: boolean, catalog: boolean, tar: string): Promise<void> {
  const isRoot = base === '/';
  const target = isRoot ? next : join(next, base);
  if (!isRoot) mkdirSync(target, { recursive: true });
  const publisher = { uid: 497, gid: 498, time: { sec: Math.floor(Date.now() / 1000), nsec: 0 } };
  const input = tar === '-' ? Bun.stdin.stream() : Bun.file(tar).stream();
  await ingestTar(target, input, { publisher, keepOwners, intoRepository: isRoot && !catalog });
}

appendFileSync(join(state, 'calls'), `${JSON.stringify(words)}\n`);
switch (words[0]) {
  case 'list':
    for (const name of readdirSync(join(state, 'spool'))) {
      const open = existsSync(join(state, 'spool', name, 'in_transaction.lock')) ? ' - in transaction' : '';
      process.stdout.write(`${name} (stratum0 / ${fault() === 'gateway' ? 'gw' : 'local'}${open})  \n`);
    }
    break;
  case 'ingest':
    await ingest();
    break;
  case 'transaction':
    open();
    show(next);
    break;
  case 'publish':
    if (!existsSync(flag)) die(`Repository ${repository} is not in a transaction`);
    publish();
    break;
  case 'abort':
    if (!existsSync(flag)) die(`Repository ${repository} is not in a transaction`);
    abort();
    break;
  default:
    die('Usage: cvmfs_server COMMAND [options] <parameters>');
}
