/**
 * Shims and masks, seen through a kernel overlay over a FUSE mount: what a container of published layers shows.
 * Thousands of random stacks are compared in test/cvmfs/; here each rule has its name.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ByteName } from '../../../lib/base/bytes.ts';
import { type Digest, digestOf, hexOf, parseDiffId } from '../../../lib/base/digest.ts';
import { probe } from '../../../lib/cvmfs/probe.ts';
import type { LayerWalk, WalkAnswer } from '../../../lib/cvmfs/probe-protocol.ts';
import { planShims, type ShimPlan } from '../../../lib/cvmfs/shim-plan.ts';
import { SAME_OWNERS, writeShim } from '../../../lib/cvmfs/write-shim.ts';
import { mountOverlay } from '../../../lib/sys/mounts/overlay.ts';
import { RepositoryWriter } from '../../support/cvmfs/publish.ts';
import { PROBE_COMMAND, packTree, type StandIn, serveImage, setMagic } from '../../support/cvmfs/server.ts';
import { sh } from '../../support/shell.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

/** Layers of one stack, bottom first, as scripts that fill a directory; the tar has what they left. */
const LAYERS: readonly string[] = [
  `mkdir -p etc a/b/c keep tmp home; chmod 1777 tmp; chmod 0711 home; chown 5:6 home
   echo 1 > etc/one; echo 2 > etc/two; echo 3 > a/b/c/three; echo 4 > keep/four; echo 5 > gone; ln -s etc link
   mkdir -p opaque/sub replaced; echo 6 > opaque/six; echo 7 > opaque/sub/seven; echo 8 > replaced/eight`,
  `mkdir -p etc a opaque nowhere/deep replaced
   touch etc/.wh.one .wh.gone a/.wh.b opaque/.wh..wh..opq nowhere/deep/.wh.nothing .wh.never
   echo new > opaque/new; chmod 0750 etc; chown 7:8 etc; touch -d @1500000000 etc
   touch replaced/.wh..wh.plnk; touch .wh.link; echo file > link`,
  `mkdir -p a/b x; echo again > a/b/again; echo 1b > etc.txt; touch x/.wh.b`,
];

describe('a stack of published layers through FUSE', () => {
  let dir: TempDir;
  let standIn: StandIn;
  let rootfs: string;
  const cleanup = new AsyncDisposableStack();
  const digests: Digest[] = [];
  const plans: ShimPlan[] = [];

  beforeAll(async () => {
    dir = cleanup.use(tempDir());
    mkdirSync(dir.at('repository'));
    const publisher = { uid: 497, gid: 497, time: { sec: Math.floor(Date.now() / 1000), nsec: 0 } };
    const options = { root: dir.at('repository'), publisher, keepOwners: true, companion: true };
    const writer = new RepositoryWriter(options);
    for (const [index, script] of LAYERS.entries()) {
      const source = dir.at(`source${index}`);
      mkdirSync(source);
      await sh(`${script}\ntouch -hd @1400000000 $(find . -type f -o -type l)`, [], { cwd: source });
      await sh('tar --sort=name --numeric-owner -cf ../layer.tar -- $(ls -A)', [], { cwd: source });
      const tar = readFileSync(dir.at('layer.tar'));
      const digest = digestOf(tar);
      digests.push(digest);
      await writer.publishLayer({ digest, diffId: parseDiffId(digest), tar: once(tar) });
    }
    setMagic(dir.at('repository'), { fqrn: 'test' });
    await packTree(dir.at('repository'), dir.at('image'));
    standIn = cleanup.use(await serveImage(dir.at('image'), dir.at('cvmfs')));
    for (const digest of digests) plans.push(planShims(await walk(digest)));
    rootfs = mountStack();
    cleanup.defer(async () => void (await sh('umount "$1"', [rootfs])));
  });
  afterAll(() => cleanup.disposeAsync());

  function directoryOf(digest: Digest): string {
    return `.layers/${hexOf(digest).slice(0, 2)}/${hexOf(digest)}`;
  }

  async function walk(digest: Digest, companionOf?: string): Promise<LayerWalk> {
    const place = { directory: directoryOf(digest), tree: 'layerfs' };
    const how = { sizes: true, companionOf, made: 'ingest', explicit: [] } as const;
    const step = { step: 'walk', ...place, ...how } as const;
    const outcome = await probe(
      { repository: { path: standIn.mount, type: 'cvmfs', name: 'test' }, steps: [step] },
      { command: PROBE_COMMAND, deadlineMs: 10_000, stallMs: 10_000 },
    );
    const answer = outcome.steps[0] as WalkAnswer;
    if (answer.result !== 'walked') throw new Error(JSON.stringify(answer));
    return answer.walk;
  }

  /** Mask, layer, shim, for each layer, topmost first; and the catalog files hidden on top. */
  function mountStack(): string {
    const lowers: string[] = [];
    for (const [index, plan] of [...plans.entries()].reverse()) {
      const digest = digests[index] ?? digestOf('');
      const place = (name: string, directories: ShimPlan['mask']) => {
        if (directories.length === 0) return;
        const path = dir.at(`${name}${index}`);
        mkdirSync(path);
        writeShim(path, directories, SAME_OWNERS);
        lowers.push(path);
      };
      place('mask', plan.mask);
      lowers.push(join(standIn.mount, directoryOf(digest), 'layerfs'));
      place('shim', plan.shim);
    }
    for (const name of ['top', 'upper', 'work', 'rootfs']) mkdirSync(dir.at(name));
    const hidden = {
      stamp: { mode: 0o755, uid: 0, gid: 0, sec: 0, nsec: 0 },
      xattrs: [],
      opaque: false,
      ownedByRoot: true,
    };
    const whiteouts = ['.cvmfscatalog' as ByteName];
    writeShim(dir.at('top'), [{ ...hidden, path: '' as ByteName, whiteouts }], SAME_OWNERS);
    mountOverlay({
      lowers: [dir.at('top'), ...lowers],
      upper: dir.at('upper'),
      work: dir.at('work'),
      target: dir.at('rootfs'),
      flags: { nodev: true },
    });
    return dir.at('rootfs');
  }

  function list(path: string): string[] {
    return readdirSync(join(rootfs, path)).sort();
  }

  test('deletes what its markers delete, and nothing else', () => {
    expect(list('')).toEqual([
      'a',
      'etc',
      'etc.txt',
      'home',
      'keep',
      'link',
      'nowhere',
      'opaque',
      'replaced',
      'tmp',
      'x',
    ]);
    expect(list('etc')).toEqual(['two']);
    expect(list('a')).toEqual(['b']);
    expect(list('a/b')).toEqual(['again']);
    expect(list('keep')).toEqual(['four']);
    expect(readFileSync(join(rootfs, 'link'), 'utf8')).toBe('file\n');
  });

  test('ends at opaque directories', () => {
    expect(list('opaque')).toEqual(['new']);
    expect(() => lstatSync(join(rootfs, 'opaque/six'))).toThrow('ENOENT');
    expect(plans[1]?.facts.opaqueDirs).toEqual(['opaque' as ByteName]);
  });

  test('lists no ghosts: neither markers nor whiteouts over nothing', async () => {
    expect(list('nowhere/deep')).toEqual([]);
    expect(list('x')).toEqual([]);
    expect(list('replaced')).toEqual(['eight']);
    // Every name that is listed can be looked up.
    await sh('find "$1" -exec stat -c %i {} +', [rootfs]);
  });

  test('keeps attributes of directories that got a mask', () => {
    const etc = lstatSync(join(rootfs, 'etc'));
    expect([etc.mode & 0o7777, etc.uid, etc.gid, etc.mtimeMs]).toEqual([0o750, 7, 8, 1_500_000_000_000]);
    expect(lstatSync(join(rootfs, 'tmp')).mode & 0o7777).toBe(0o1777);
    expect(lstatSync(join(rootfs, 'home')).uid).toBe(5);
  });

  test('can be written: a file, a directory of a masked one, a name that was deleted', () => {
    writeFileSync(join(rootfs, 'etc/two'), 'changed');
    mkdirSync(join(rootfs, 'a/b/new'));
    writeFileSync(join(rootfs, 'etc/one'), 'back');
    expect(list('etc')).toEqual(['one', 'two']);
    expect(list('a/b')).toEqual(['again', 'new']);
    expect(readFileSync(join(rootfs, 'etc/one'), 'utf8')).toBe('back');
  });

  test('layers without markers need neither shim nor mask', () => {
    expect([plans[0]?.mask, plans[0]?.shim]).toEqual([[], []]);
    expect(plans[0]?.rootHidden).toEqual(['.cvmfscatalog' as ByteName]);
    expect(plans[0]?.facts.fileBytes).toBe(16);
  });

  test('a companion gives the same plan as the walk, without one', async () => {
    for (const [index, digest] of digests.entries()) {
      const found = planShims(await walk(digest, digest));
      const sorted = (plan: ShimPlan) => JSON.parse(JSON.stringify(plan), inOrder);
      expect(sorted(found)).toEqual(sorted(plans[index] ?? found));
    }
    const other = await walk(digests[1] ?? digestOf(''), digestOf('another'));
    expect(other.unusable).toContain('another layer');
  });

  test('whiteouts of one shim share an inode', () => {
    const inodes = ['shim1/gone', 'shim1/etc/one', 'shim1/a/b'].map((name) => lstatSync(dir.at(name)).ino);
    expect(new Set(inodes).size).toBe(1);
  });
});

/** Filesystems list names in any order. */
function inOrder(_: string, value: unknown): unknown {
  const text = (item: unknown) => JSON.stringify(item);
  return Array.isArray(value) ? value.sort((a, b) => (text(a) < text(b) ? -1 : 1)) : value;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
