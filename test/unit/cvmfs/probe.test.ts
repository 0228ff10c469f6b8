import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ProbeOutcome, probe, startProbe } from '../../../lib/cvmfs/probe.ts';
import type { LayerAnswer, ProbeStep } from '../../../lib/cvmfs/probe-protocol.ts';
import { lsetxattr } from '../../../lib/sys/kernel/files.ts';
import {
  layerDirectory,
  PROBE_COMMAND,
  packTree,
  ROOT_HASH,
  type StandIn,
  serveImage,
  setMagic,
} from '../../support/cvmfs/server.ts';
import { cleanEnv, sh } from '../../support/shell.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const NAME = 'test.example.org';
const hex = (digit: string) => digit.repeat(64);
/** No answer takes as long, however busy the machine is. */
const PATIENCE_MS = 300_000;
const DEADLINE = { command: PROBE_COMMAND, deadlineMs: PATIENCE_MS, stallMs: PATIENCE_MS };

function layerStep(digit: string): ProbeStep {
  return { step: 'layer', directory: `.layers/${digit}${digit}/${hex(digit)}`, tree: 'layerfs' };
}

function ask(
  path: string,
  steps: readonly ProbeStep[],
  deadlineMs = DEADLINE.deadlineMs,
): Promise<ProbeOutcome> {
  const options = { ...DEADLINE, deadlineMs, stallMs: deadlineMs };
  return probe({ repository: { path, type: 'cvmfs', name: NAME }, steps }, options);
}

function found(answer: unknown): Extract<LayerAnswer, { result: 'found' }> {
  const layer = answer as LayerAnswer;
  if (layer.result !== 'found') throw new Error(`not found: ${JSON.stringify(layer)}`);
  return layer;
}

describe('a repository served through FUSE', () => {
  let dir: TempDir;
  let image: string;

  beforeAll(async () => {
    dir = tempDir();
    const tree = dir.at('tree');
    layerDirectory(tree, hex('a'), (layerfs) => {
      mkdirSync(join(layerfs, 'etc'));
      writeFileSync(join(layerfs, 'etc/passwd'), 'x'.repeat(200_000));
      utimesSync(join(layerfs, 'etc'), 1_600_000_000, 1_600_000_000);
    });
    writeFileSync(join(tree, '.layers/aa', hex('a'), '.metadata/layers.json'), '[]');
    mkdirSync(join(tree, '.layers/bb', hex('b')), { recursive: true });
    layerDirectory(tree, hex('c'), (layerfs) => writeFileSync(join(layerfs, 'big'), 'y'.repeat(3_000_000)));
    setMagic(tree, { fqrn: NAME });
    image = dir.at('repository.sqfs');
    await packTree(tree, image);
  });
  afterAll(() => dir.remove());

  async function served(): Promise<StandIn> {
    const copy = dir.at(`${crypto.randomUUID()}.sqfs`);
    await sh('cp --sparse=always "$1" "$2"', [image, copy]);
    return serveImage(copy, dir.at('cvmfs', crypto.randomUUID()));
  }

  test('answers who it is, what a layer is, and that only ENOENT is a miss', async () => {
    await using standIn = await served();
    const outcome = await ask(standIn.mount, [layerStep('a'), layerStep('b'), layerStep('d')]);
    expect(outcome.ended).toBe('answered');
    expect(outcome.repository).toMatchObject({
      ok: true,
      filesystem: 'fuse',
      magic: { fqrn: NAME, revision: '42', root_hash: ROOT_HASH, expires: '3' },
    });
    const layer = found(outcome.steps[0]);
    expect(layer).toMatchObject({
      record: '[]',
      owners: ['0:0'],
      publisher: { uid: 0, gid: 0 },
      companion: false,
    });
    expect(layer.fingerprint).toMatch(/^[0-9a-f]{32}$/);
    expect(outcome.steps[1]).toMatchObject({ result: 'half', failure: { code: 'ENOENT' } });
    expect(outcome.steps[2]).toEqual({ result: 'miss' });
    const again = await ask(standIn.mount, [layerStep('a')]);
    expect(found(again.steps[0]).fingerprint).toBe(layer.fingerprint);
  });

  test('is given up at the deadline when it hangs, and what hung can be ended', async () => {
    await using standIn = await served();
    standIn.stop();
    // The server is resumed only after it.
    const outcome = await ask(standIn.mount, [layerStep('a')], 300);
    expect(outcome).toMatchObject({ ended: 'late', repository: undefined, steps: [undefined] });
    expect(outcome.leftBehind).toBeGreaterThan(1);
    standIn.resume();
  });

  test('keeps what it heard before a hang', async () => {
    await using standIn = await served();
    const request = { repository: { path: standIn.mount, type: 'cvmfs', name: NAME }, steps: [] } as const;
    // A child that answers for the repository and then sleeps, as one that hangs in the first layer does.
    const script = `printf '%s\\n' '{"line":"repository","answer":{"ok":true,"filesystem":"fuse","magic":{}}}'; exec sleep 600`;
    const outcome = await probe(
      { ...request, steps: [layerStep('a')] },
      { command: ['/bin/sh', '-c', script], deadlineMs: 5000, stallMs: 5000 },
    );
    expect(outcome).toMatchObject({ ended: 'late', repository: { ok: true }, steps: [undefined] });
    await eventuallyGone(outcome.leftBehind ?? 0);
  });

  test('says ENOTCONN when its server is dead', async () => {
    await using standIn = await served();
    await standIn.kill();
    const outcome = await ask(standIn.mount, [layerStep('a')]);
    expect(outcome).toMatchObject({
      ended: 'answered',
      repository: { ok: false, failure: { code: 'ENOTCONN' } },
    });
  });

  test('says EIO for layers that a cut image cannot give', async () => {
    await using standIn = await served();
    // Names and attributes stay in the server's cache; the record's data was never read.
    expect(found((await ask(standIn.mount, [layerStep('c')])).steps[0]).record).toBeUndefined();
    standIn.truncate(4096);
    const outcome = await ask(standIn.mount, [layerStep('a')]);
    expect(outcome.ended).toBe('answered');
    expect(outcome.steps[0]).toMatchObject({ result: 'failed', failure: { code: 'EIO' } });
  });

  test('holds no descriptor of its parent, and lives in a session of its own', async () => {
    await using standIn = await served();
    const report = dir.at('report');
    const script = `ls -l /proc/self/fd > ${report}; cat /proc/self/stat > ${report}.stat; readlink /proc/self/cwd > ${report}.cwd; env > ${report}.env`;
    await using leak = tempDir();
    writeFileSync(leak.at('open'), '');
    // Opened without close-on-exec, as what Garden leaves open is: bash passes 7 on to bun, and bun must not.
    const program = `
      import { probe } from '${join(import.meta.dir, '../../../lib/cvmfs/probe.ts')}';
      await probe({ repository: { path: '${standIn.mount}', type: 'cvmfs', name: 'x' }, steps: [] },
        { command: ['/bin/bash', '-c', ${JSON.stringify(script)}], deadlineMs: 300_000, stallMs: 300_000 });`;
    writeFileSync(leak.at('parent.ts'), program);
    await sh(
      'exec 7<"$1"; cd "$2"; SECRET=1 "$3" "$4"',
      [leak.at('open'), leak.path, process.execPath, leak.at('parent.ts')],
      { env: cleanEnv({ SECRET: 'x' }) },
    );
    const descriptors = readFileSync(report, 'utf8').trim().split('\n').slice(1);
    expect(descriptors.filter((line) => line.includes(leak.path))).toEqual([]);
    expect(descriptors.length).toBe(4);
    expect(readFileSync(`${report}.cwd`, 'utf8')).toBe('/\n');
    expect(readFileSync(`${report}.env`, 'utf8')).not.toContain('SECRET');
    const [, , , , , session] = readFileSync(`${report}.stat`, 'utf8').split(' ');
    expect(Number(session)).not.toBe(sessionOf(process.pid));
  });
});

function sessionOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[3]);
}

/** A killed process is a zombie until its parent has been told. */
async function eventuallyGone(pid: number): Promise<void> {
  for (const deadline = performance.now() + PATIENCE_MS; performance.now() < deadline; await Bun.sleep(5)) {
    if (!existsSync(`/proc/${pid}/stat`) || / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))) return;
  }
  throw new Error(`process ${pid} lives on`);
}

describe('what is no repository', () => {
  test('a missing path, a file, an answer that is no answer, a child that dies', async () => {
    await using dir = tempDir();
    writeFileSync(dir.at('file'), '');
    expect((await ask(dir.at('missing'), [])).repository).toMatchObject({ failure: { code: 'ENOENT' } });
    expect((await ask(dir.at('file'), [])).repository).toMatchObject({ failure: { code: 'ENOTDIR' } });
    const request = { repository: { path: dir.path, type: 'cvmfs', name: NAME }, steps: [] } as const;
    for (const script of ['echo nonsense; exec sleep 600', 'exit 3', 'kill -9 $$']) {
      const outcome = await probe(request, { ...DEADLINE, command: ['/bin/sh', '-c', script] });
      expect(outcome).toMatchObject({ ended: 'died', repository: undefined });
    }
  });

  test('a child that was started ahead answers like any, ends when it is not asked, and may be dead by then', async () => {
    const request = { repository: { path: '/', type: 'directory', name: 'x' }, steps: [] } as const;
    const asked = await probe(request, DEADLINE, startProbe(PROBE_COMMAND));
    expect(asked).toMatchObject({ ended: 'answered', repository: { ok: true } });
    const spare = startProbe(PROBE_COMMAND);
    spare.stdin.end();
    expect([await spare.exited, await new Response(spare.stdout).text()]).toEqual([0, '']);
    const dead = startProbe(PROBE_COMMAND);
    dead.kill('SIGKILL');
    await dead.exited;
    expect(await probe(request, DEADLINE, dead)).toMatchObject({ ended: 'died', repository: undefined });
  });

  test('a plain directory has no magic attributes', async () => {
    await using dir = tempDir();
    const outcome = await ask(dir.path, []);
    expect(JSON.stringify(outcome.repository)).toMatch(/^{"ok":true,"filesystem":"[^"]+","magic":{}}$/);
  });

  test('a record that is a FIFO, a link out, or too large does not stop the probe', async () => {
    await using dir = tempDir();
    for (const digit of ['a', 'b', 'c']) layerDirectory(dir.path, hex(digit), () => undefined);
    const record = (digit: string) => dir.at('.layers', digit + digit, hex(digit), '.metadata/layers.json');
    await sh('mkfifo "$1"; ln -s /etc/passwd "$2"; truncate -s 1G "$3"', [
      record('a'),
      record('b'),
      record('c'),
    ]);
    const outcome = await ask(dir.path, [layerStep('a'), layerStep('b'), layerStep('c')]);
    expect(outcome.ended).toBe('answered');
    expect(outcome.steps.map((step) => JSON.stringify(step)).join()).not.toContain('root:');
    expect(outcome.steps[1]).toMatchObject({ result: 'failed', failure: { code: 'ELOOP' } });
    expect(outcome.steps[2]).toMatchObject({ result: 'failed', failure: { code: 'EFBIG' } });
  });

  test('attributes listed in a layer are reported', async () => {
    await using dir = tempDir();
    const layerfs = layerDirectory(dir.path, hex('a'), () => undefined);
    lsetxattr(layerfs, 'user.fqrn', Buffer.from(NAME));
    expect(found((await ask(dir.path, [layerStep('a')])).steps[0]).listed).toContain('user.fqrn');
  });
});
