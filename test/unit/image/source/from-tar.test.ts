import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  appendFileSync,
  mkdirSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { isPluginError } from '../../../../lib/base/errors/error.ts';
import { TarSource } from '../../../../lib/image/source/from-tar.ts';
import { compressionOfLayer, type ImageLayer } from '../../../../lib/image/source/image-layer.ts';
import { imageSourceSuite } from '../../../suites/image-source.suite.ts';
import { must } from '../../../support/shell.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

const NEVER = new AbortController().signal;
const source = (path: string) =>
  new TarSource({ reference: { kind: 'tar', path }, programs: '/usr/bin:/bin' });
const resolve = (path: string) => source(path).resolve(NEVER);

imageSourceSuite('TarSource', async () => {
  const dir = tempDir();
  const tar = Buffer.alloc(1 << 20, 'not looked at');
  writeFileSync(dir.at('rootfs.tar'), tar);
  return {
    create: () => source(dir.at('rootfs.tar')),
    createMissing: () => source(dir.at('missing.tar')),
    blobs: [tar],
    dispose: () => dir.remove(),
  };
});

describe('TarSource', () => {
  let dir: TempDir;
  let tar: string;
  beforeEach(() => {
    dir = tempDir();
    tar = dir.at('rootfs.tar');
    writeFileSync(tar, 'content');
  });
  afterEach(() => dir.remove());

  async function code(promise: Promise<unknown>): Promise<unknown> {
    const error = await promise.then(
      () => 'no error',
      (reason) => reason,
    );
    return isPluginError(error) ? { code: error.code, ...error.subject } : error;
  }

  test('is one layer without digest and configuration, its compression to be looked up', async () => {
    const image = await resolve(tar);
    expect(image).toMatchObject({ name: tar, manifestDigest: undefined, config: undefined });
    expect(image.layers).toMatchObject([{ kind: 'tar', path: tar, size: 7 }]);
    expect(image.layers.map(compressionOfLayer)).toEqual(['auto']);
  });

  test('follows links: BOSH packages are links', async () => {
    mkdirSync(dir.at('data'));
    renameSync(tar, dir.at('data', 'rootfs.tar'));
    symlinkSync('data', dir.at('package'));
    symlinkSync('package/rootfs.tar', tar);
    const [layer] = (await resolve(tar)).layers;
    const [same] = (await resolve(dir.at('data', 'rootfs.tar'))).layers;
    expect(layer).toMatchObject({ size: 7, identity: identityOf(same) });
  });

  test('refuses a directory', async () => {
    expect(await code(resolve(dir.path))).toEqual({ code: 'IMAGE_SOURCE_DIRECTORY', path: dir.path });
  });

  test.each(['missing.tar', 'rootfs.tar/below', 'missing/rootfs.tar'])(
    'says that %s is missing',
    async (name) => {
      expect(await code(resolve(dir.at(name)))).toEqual({ code: 'IMAGE_TAR_MISSING', path: dir.at(name) });
    },
  );

  test('refuses a dangling link as missing, and a link to itself', async () => {
    symlinkSync('nowhere', dir.at('dangling'));
    symlinkSync('loop', dir.at('loop'));
    expect(await code(resolve(dir.at('dangling')))).toMatchObject({ code: 'IMAGE_TAR_MISSING' });
    expect(await code(resolve(dir.at('loop')))).toMatchObject({ code: 'IMAGE_SOURCE_UNREADABLE' });
  });

  test('refuses a FIFO without waiting for a writer', async () => {
    await must('mkfifo', [dir.at('fifo')]);
    expect(await code(resolve(dir.at('fifo')))).toMatchObject({
      code: 'IMAGE_SOURCE_UNREADABLE',
      reason: 'it is a device or a pipe, not a regular file',
    });
  });

  test('refuses a socket', async () => {
    const server = createServer();
    await new Promise<void>((ready) => server.listen(dir.at('socket'), ready));
    try {
      expect(await code(resolve(dir.at('socket')))).toMatchObject({ code: 'IMAGE_SOURCE_UNREADABLE' });
    } finally {
      server.close();
    }
  });

  test.each(['/dev/zero', '/dev/null'])('refuses %s', async (path) => {
    expect(await code(resolve(path))).toMatchObject({ code: 'IMAGE_SOURCE_UNREADABLE', path });
  });

  test('refuses a name that the kernel does', async () => {
    expect(await code(resolve(dir.at('x'.repeat(300))))).toMatchObject({
      code: 'IMAGE_SOURCE_UNREADABLE',
      reason: 'file name too long',
    });
  });

  test.each<[string, (path: string) => void]>([
    ['written to', (path) => appendFileSync(path, '!')],
    ['touched', (path) => utimesSync(path, 1_700_000_000, 1_700_000_000)],
    [
      'replaced by a file of the same size and time',
      (path) => {
        utimesSync(path, 1_700_000_000, 1_700_000_000);
        writeFileSync(`${path}.new`, 'CONTENT');
        utimesSync(`${path}.new`, 1_700_000_000, 1_700_000_000);
        renameSync(`${path}.new`, path);
      },
    ],
  ])('has another identity once it is %s, and tells after reading', async (_how, change) => {
    const one = source(tar);
    const [before] = (await one.resolve(NEVER)).layers;
    if (before === undefined) throw new Error('no layer');
    expect(await one.open(before, NEVER)).toEqual({ kind: 'file', path: tar, size: 7 });
    await one.verifyUnchanged();
    change(tar);
    expect(await code(one.verifyUnchanged())).toEqual({ code: 'IMAGE_SOURCE_CHANGED', path: tar });
    expect(await code(one.open(before, NEVER))).toMatchObject({ code: 'IMAGE_SOURCE_CHANGED' });
    expect(identityOf((await resolve(tar)).layers[0])).not.toBe(identityOf(before));
  });

  test('tells when it is gone after reading', async () => {
    const one = source(tar);
    await one.resolve(NEVER);
    unlinkSync(tar);
    expect(await code(one.verifyUnchanged())).toMatchObject({ code: 'IMAGE_TAR_MISSING' });
  });
});

function identityOf(layer: ImageLayer | undefined): string {
  if (layer?.kind !== 'tar') throw new Error('the layer is no tar');
  return layer.identity;
}
