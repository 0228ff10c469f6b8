/** Wherever the archive in a pipe breaks off, its last block is cut: no reader takes a beginning for the whole. */
import { expect, test } from 'bun:test';
import { CutSafePipe } from '../../../lib/publish/targets/cut-safe-pipe.ts';
import { close } from '../../../lib/sys/kernel/files.ts';
import { openPipe } from '../../../lib/sys/kernel/pipe.ts';
import { readToEnd } from '../../../lib/sys/kernel/read.ts';

const never = new AbortController().signal;

test.each([1024, 10240, 64 * 1024, 700 * 1024])('a stream of %i bytes that nobody reads', async (size) => {
  const { reader, writer } = openPipe();
  const pipe = new CutSafePipe(writer);
  const stop = new AbortController();
  const written = pipe.write(Buffer.alloc(size, 1), stop.signal).then(
    () => 'buffered',
    () => 'stopped',
  );
  await Bun.sleep(20);
  stop.abort();
  await written;
  pipe.close();
  const got = readToEnd(reader, 2 ** 22, 'pipe').length;
  close(reader);
  expect(got === 0 || got % 512 === 100).toBe(true);
  expect(got).toBeLessThan(size);
});

test('a stream that is read and ended is whole', async () => {
  const { reader, writer } = openPipe();
  const pipe = new CutSafePipe(writer);
  const bytes = Buffer.alloc(700 * 1024);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = at % 251;
  const child = Bun.spawn(['cat'], { stdin: reader, stdout: 'pipe' });
  close(reader);
  const output = new Response(child.stdout).bytes();
  for (let at = 0; at < bytes.length; at += 1000) await pipe.write(bytes.subarray(at, at + 1000), never);
  await pipe.end(never);
  expect(Buffer.from(await output).equals(bytes)).toBe(true);
});

test('a reader that has ended is an error', async () => {
  const { reader, writer } = openPipe();
  close(reader);
  const pipe = new CutSafePipe(writer);
  await expect(pipe.write(Buffer.alloc(700 * 1024), never)).rejects.toMatchObject({ code: 'EPIPE' });
  pipe.close();
});
