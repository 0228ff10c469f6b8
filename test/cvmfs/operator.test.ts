/** What an operator sees: `inspect`, `doctor`, and the settings themselves. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { packTree, ROOT_HASH, setMagic } from '../support/cvmfs/server.ts';
import { cvmfsWorld, DEADLINE_MS, NAME, PATIENCE_MS, type World } from '../support/cvmfs/world.ts';
import {
  layoutImage,
  type MadeLayer,
  makeLayer,
  type PublishedImage,
  publishLayers,
  repositoryWriter,
} from '../support/images/published-image.ts';
import { sh } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

interface Diagnosis {
  readonly name: string;
  readonly verdict: string;
  readonly detail: string;
  readonly advice: string;
}

describe('an operator', () => {
  let dir: TempDir;
  let layers: MadeLayer[];
  let image: PublishedImage;

  beforeAll(async () => {
    dir = tempDir();
    const scripts = [
      `mkdir bin; head -c 300000 /dev/urandom > bin/sh`,
      `mkdir etc; echo x > etc/x; touch .wh.bin`,
    ];
    layers = await Promise.all(scripts.map((script) => makeLayer(dir, script)));
    image = layoutImage(dir, layers);
  });
  afterAll(() => dir.remove());

  async function pack(
    options: {
      magic?: Record<string, string>;
      keepOwners?: boolean;
      published?: readonly MadeLayer[];
      change?: string;
    } = {},
  ): Promise<string> {
    const root = dir.at(`repository-${crypto.randomUUID()}`);
    mkdirSync(root);
    await publishLayers(
      repositoryWriter(root, { keepOwners: options.keepOwners ?? true }),
      options.published ?? layers,
    );
    if (options.change) await sh(options.change, [], { cwd: root });
    setMagic(root, { fqrn: NAME, ...options.magic });
    await packTree(root, `${root}.sqfs`);
    return `${root}.sqfs`;
  }

  async function doctor(w: World): Promise<{ code: number; about: Diagnosis[] }> {
    const ran = await w.graft(['doctor', '--json']);
    const all = JSON.parse(ran.stdout) as Diagnosis[];
    return { code: ran.code, about: all.filter(({ name }) => name === `repository ${NAME}`) };
  }

  test('sees with inspect where each layer would come from, and nothing is fetched', async () => {
    await using w = await cvmfsWorld({ packed: await pack({ published: layers.slice(0, 1) }) });
    const ran = await w.graft(['inspect', '--json', image.url]);
    const { layers: seen } = JSON.parse(ran.stdout) as { layers: Record<string, unknown>[] };
    expect(seen).toMatchObject([
      {
        from: 'cvmfs',
        reason: `published in ${NAME}`,
        unpackedBytes: layers[0]?.tar.length,
        cvmfs: { repository: NAME, revision: '42', rootHash: ROOT_HASH },
      },
      { from: 'source', reason: `not published in ${NAME}` },
    ]);
    const text = (await w.graft(['inspect', image.url])).stdout;
    expect(text).toContain(`on CVMFS: published in ${NAME}`);
    expect(text).toContain(`to be fetched: not published in ${NAME}`);
  });

  test('is told by doctor what a healthy repository is, and what it always loses', async () => {
    await using w = await cvmfsWorld({ packed: await pack() });
    const { about } = await doctor(w);
    // How long a read takes is the machine's; what is slow, test/unit/cvmfs/doctor.test.ts tells.
    const [speed] = about.splice(-1);
    expect(speed?.detail).toMatch(/^first read of a file: \d+ bytes in \d+ ms$/);
    expect(about.map(({ verdict, detail }) => [verdict, detail])).toEqual([
      [
        'ok',
        expect.stringContaining(
          `revision 42, root hash ${ROOT_HASH}, follows new revisions, client 2.12.0.0`,
        ),
      ],
      ['ok', expect.stringContaining('no file capabilities or other extended attributes (policy: accept)')],
    ] as never);
  });

  test('is told what to do about a repository that is not mounted, hangs, or is another', async () => {
    await using w = await cvmfsWorld({ packed: await pack(), deadlineMs: DEADLINE_MS });
    w.standIn.stop();
    expect((await doctor(w)).about).toMatchObject([
      {
        verdict: 'problem',
        detail: expect.stringContaining('no answer within 1500 ms (hang)'),
        advice: expect.stringContaining('cvmfs_talk'),
      },
    ] as never);
    w.standIn.resume();
    w.setDeadline(PATIENCE_MS);
    await w.standIn[Symbol.asyncDispose]();
    const gone = await doctor(w);
    expect(gone.code).toBe(1);
    expect(gone.about).toMatchObject([
      {
        verdict: 'problem',
        detail: expect.stringContaining('(not_mounted)'),
        advice: expect.stringContaining('mount -t cvmfs'),
      },
    ] as never);
  });

  test('is told when owners were lost, with the client settings to use', async () => {
    await using w = await cvmfsWorld({ packed: await pack({ keepOwners: false }) });
    const [, lost] = (await doctor(w)).about;
    expect(lost).toMatchObject({
      verdict: 'warning',
      detail: expect.stringContaining('all its files belong to 497'),
      advice: expect.stringContaining('\nCVMFS_CLAIM_OWNERSHIP=no\n'),
    } as never);
  });

  test('is told when a store with a mapping has no mount of its own', async () => {
    const maps = ['0:4294967294:1', '1:1:4294967293'];
    const init = maps.flatMap((map) => ['--uid-mapping', map, '--gid-mapping', map]);
    await using w = await cvmfsWorld({ packed: await pack(), init });
    const { about } = await doctor(w);
    expect(about.find(({ detail }) => detail.includes('maps root to 4294967294'))).toMatchObject({
      verdict: 'warning',
      advice: expect.stringMatching(/uid\.map\n0 4294967294\n.*\n0 4294967294\n/s),
    } as never);
    expect(about.find(({ detail }) => detail.includes('(wrong_owner)'))).toBeDefined();
  });

  test('is told of errors that the client had', async () => {
    const magic = { nioerr: '7', timestamp_last_ioerr: '1000' };
    await using w = await cvmfsWorld({ packed: await pack({ magic }) });
    expect((await doctor(w)).about[1]).toMatchObject({
      verdict: 'warning',
      detail: expect.stringContaining('7 input/output errors'),
    } as never);
  });

  const wrong: readonly (readonly [what: string, yaml: string, says: RegExp])[] = [
    [
      'an unknown key',
      'repositories: [{path: /cvmfs/a, layuot: ducc}]',
      /cvmfs\.repositories\[0\]\.layuot is not a setting; did you mean layout\?/,
    ],
    [
      'a relative path',
      'repositories: [{path: cvmfs/a}]',
      /cvmfs\.repositories\[0\]\.path is "cvmfs\/a"; it must be an absolute path/,
    ],
    ['a path with ..', 'repositories: [{path: /cvmfs/../a}]', /not a normal absolute path/],
    [
      'a deadline of zero',
      'repositories: [{path: /cvmfs/a, probe_deadline_ms: 0}]',
      /probe_deadline_ms is 0; it must be a whole number from 50 to 600000/,
    ],
    [
      'an unknown doubt',
      'repositories: [{path: /cvmfs/a, fall_back_on: [sometimes]}]',
      /fall_back_on\[0\] is "sometimes"; it must be not_mounted, .* or unusable_layer/,
    ],
    [
      'one path twice',
      'repositories: [{path: /cvmfs/a}, {path: /cvmfs/a, name: b}]',
      /\/cvmfs\/a is named twice/,
    ],
    ['one name twice', 'repositories: [{path: /cvmfs/a}, {path: /other/a}]', /two repositories a/],
    [
      'repair of what cannot be repaired',
      'repositories: [{path: /cvmfs/a, lost_metadata: {setuid: repair}}]',
      /lost_metadata\.setuid is "repair"; it must be accept or fall_back/,
    ],
  ];
  for (const [what, yaml, says] of wrong) {
    test(`is told of ${what} in the settings`, async () => {
      await using w = await cvmfsWorld({ packed: await pack({ published: [] }) });
      writeFileSync(w.extra, `cvmfs: {${yaml}}\n`);
      const ran = await w.create(image.url, 'box');
      expect([ran.code, ran.stdout]).toEqual([1, expect.stringMatching(says)] as never);
    });
  }
});
