import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { unlinkSync } from 'node:fs';
import { OCI_LAYER } from '../../../../lib/oci/media-types.ts';
import { imageSourceSuite } from '../../../suites/image-source.suite.ts';
import { LayoutBuilder } from '../../../support/images/layout-builder.ts';
import { freePort, tempDir } from '../../../support/temp.ts';
import { recordingLog, rejection } from '../../oci/support.ts';
import { BLOB, RemoteBench, type Serving, status, whole } from './remote-bench.ts';
import { layerAt, layoutSource, NEVER } from './support.ts';

imageSourceSuite('OciLayoutSource with a remote layer', async () => {
  const dir = tempDir();
  const layout = new LayoutBuilder(dir.at('layout'));
  const blobs = [Buffer.from('local'), Buffer.alloc(8 << 20, 'remote')];
  const [local = Buffer.alloc(0), remote = Buffer.alloc(0)] = blobs;
  const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response(remote) });
  const far = layout.layer(remote, { urls: [`http://127.0.0.1:${server.port}/remote`] });
  layout.write([layout.image([layout.layer(local), far])]);
  unlinkSync(layout.blobPath(far));
  return {
    create: () => layoutSource(layout.url()),
    createMissing: () => layoutSource(layout.url('missing')),
    blobs,
    dispose: async () => {
      await server.stop(true);
      await dir.remove();
    },
  };
});

describe('a layer with urls', () => {
  let bench: RemoteBench;
  beforeEach(() => {
    bench = new RemoteBench();
  });
  afterEach(() => bench.dispose());

  describe('comes from', () => {
    test('the first url that answers 200, without asking the others', async () => {
      const [good, unasked] = [
        await bench.serve(() => whole()),
        await bench.serve(() => whole(Buffer.from('wrong'))),
      ];
      const bad = await bench.serve(() => status('404 Not Found'));
      const urls = [
        `http://${bad.host}/a`,
        `http://${good.host}/b?signature=x&y=%20`,
        `http://${unasked.host}/c`,
      ];
      expect(await bench.fetchFrom(urls)).toEqual(BLOB);
      expect([bad, good, unasked].map(({ server }) => server.seen.length)).toEqual([1, 1, 0]);
      expect(good.server.seen[0]).toMatchObject({ method: 'GET', path: '/b?signature=x&y=%20' });
      expect(good.server.seen[0]?.headers.get('accept-encoding')).toBe('identity');
    });

    test('its url although there is a local blob', async () => {
      const { host, server } = await bench.serve(() => whole());
      expect(await bench.fetchFrom([`http://${host}/`], { keep: true })).toEqual(BLOB);
      expect(server.seen.length).toBe(1);
    });

    test('the local blob where no url is of the web', async () => {
      const urls = ['file:///etc/shadow', 'ftp://127.0.0.1/x', 'not a url', ''];
      expect(await bench.fetchFrom(urls, { keep: true })).toEqual(BLOB);
    });

    test('where a redirect leads, ten times and over hosts', async () => {
      const end = await bench.serve(() => whole());
      const start: Serving = await bench.serve(({ path }) =>
        path === '/10'
          ? status('307 Temporary Redirect', `Location: http://${end.host}/blob\n`)
          : status('302 Found', `Location: ${Number(path.slice(1)) + 1}\n`),
      );
      expect(await bench.fetchFrom([`http://${start.host}/1`])).toEqual(BLOB);
      expect(start.server.seen.length).toBe(10);
    });

    test('the raw bytes, whatever encoding the server says they have', async () => {
      const gzip = Buffer.from(Bun.gzipSync(new Uint8Array(BLOB)));
      const { host } = await bench.serve(() => whole(gzip, 'Content-Encoding: gzip\n'));
      const descriptor = bench.layout.blob(`${OCI_LAYER}+gzip`, gzip);
      expect(await bench.fetchFrom([`http://${host}/`], { descriptor })).toEqual(gzip);
    });

    test('a body without a declared length', async () => {
      const { host } = await bench.serve(() => ({
        head: 'HTTP/1.1 200 OK\nConnection: close\n\n',
        body: BLOB,
        afterwards: 'hang up',
      }));
      expect(await bench.fetchFrom([`http://${host}/`])).toEqual(BLOB);
    });

    test('a server that is in trouble for a moment', async () => {
      let calls = 0;
      const { host, server } = await bench.serve(() => {
        calls += 1;
        return calls < 3 ? status('503 Service Unavailable') : whole();
      });
      expect(await bench.fetchFrom([`http://${host}/`])).toEqual(BLOB);
      expect(server.seen.length).toBe(3);
    });
  });

  describe('is refused when', () => {
    test('every url says no, once each, and the sentence shows no secret', async () => {
      const { host, server } = await bench.serve(({ path }) =>
        status(path.startsWith('/a') ? '403 Forbidden' : '410 Gone'),
      );
      const reasons = await bench.failure([
        `http://user:hunter2@${host}/a?signature=hunter2`,
        `http://${host}/b#hunter2`,
      ]);
      expect(reasons).toBe(`http://${host}/a: status 403; http://${host}/b: status 410`);
      expect(server.seen.length).toBe(2);
    });

    test('a server stays in trouble, after three rounds', async () => {
      const log = recordingLog();
      const { host, server } = await bench.serve(() => status('500 Internal Server Error'));
      expect(await bench.failure([`http://${host}/x?hunter2`], { log })).toBe(`http://${host}/x: status 500`);
      expect(server.seen.length).toBe(3);
      expect(JSON.stringify(log.events)).not.toContain('hunter2');
    });

    test('nobody listens', async () => {
      expect(await bench.failure([`http://127.0.0.1:${await freePort()}/`])).toMatch(
        /^http:\/\/127\.0\.0\.1:\d+\/: .+/,
      );
    });

    test('redirects do not end, or lead out of the web', async () => {
      const loop = await bench.serve(() => status('302 Found', 'Location: /again\n'));
      expect(await bench.failure([`http://${loop.host}/`])).toContain('more than 10 redirects');
      expect(loop.server.seen.length).toBe(11);
      const out = await bench.serve(() => status('302 Found', 'Location: file:///etc/shadow\n'));
      expect(await bench.failure([`http://${out.host}/`])).toContain('not http or https');
      const nowhere = await bench.serve(() => status('302 Found'));
      expect(await bench.failure([`http://${nowhere.host}/`])).toContain('status 302');
    });

    test('an answer is only a part', async () => {
      const { host } = await bench.serve(() => ({
        ...whole(),
        head: whole().head.replace('200 OK', '206 Partial Content'),
      }));
      expect(await bench.failure([`http://${host}/`])).toContain('status 206');
    });

    test("the declared length is not the manifest's, where digests are facts", async () => {
      const { host } = await bench.serve(() => whole(BLOB.subarray(1)));
      expect(await rejection('LAYER_SIZE_MISMATCH', bench.fetchFrom([`http://${host}/`]))).toEqual({
        expected: BLOB.length,
        actual: BLOB.length - 1,
        when: 'reported',
      });
      expect(await bench.fetchFrom([`http://${host}/`], { skipLayerValidation: true })).toEqual(
        BLOB.subarray(1),
      );
    });

    test('a server does not answer within the deadline, and the next one is asked', async () => {
      const silent = await bench.serve(() => ({ head: '', afterwards: 'stay' }));
      const good = await bench.serve(() => whole());
      const urls = [`http://${silent.host}/`, `http://${good.host}/`];
      expect(await bench.fetchFrom(urls, { idleSeconds: 0.2 })).toEqual(BLOB);
      expect(silent.server.seen.length).toBe(1);
    });
  });

  test('leaves no connection behind when it is closed in the middle', async () => {
    const endless = await bench.serve(() => ({
      head: `HTTP/1.1 200 OK\nContent-Length: ${BLOB.length}\n\n`,
      body: BLOB.subarray(0, 10),
      afterwards: 'stay',
    }));
    const layer = bench.layout.layer(BLOB, { urls: [`http://${endless.host}/`] });
    bench.layout.write([bench.layout.image([layer])]);
    const source = layoutSource(bench.layout.url());
    const image = await source.resolve(NEVER);
    await source.open(layerAt(image, 0), NEVER);
    expect(endless.server.connections).toBe(1);
    await source.close();
    for (let waited = 0; endless.server.connections > 0 && waited < 200; waited += 1) await Bun.sleep(10);
    expect(endless.server.connections).toBe(0);
  });

  describe('with credentials', () => {
    test('sends the userinfo of a url there and not to another origin', async () => {
      const store = await bench.serve(() => whole());
      const cc: Serving = await bench.serve(({ path }) =>
        path === '/start'
          ? status('302 Found', 'Location: /next\n')
          : status('302 Found', `Location: http://${store.host}/blob\n`),
      );
      expect(await bench.fetchFrom([`http://us%20er:p%40ss@${cc.host}/start`])).toEqual(BLOB);
      const basic = `Basic ${Buffer.from('us er:p@ss').toString('base64')}`;
      expect(cc.server.seen.map(({ headers }) => headers.get('authorization'))).toEqual([basic, basic]);
      expect(store.server.seen.map(({ headers }) => headers.get('authorization'))).toEqual([undefined]);
    });
  });

  describe('through proxies', () => {
    const variables = ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY'];
    afterEach(() => {
      for (const name of [...variables, 'no_proxy', 'NO_PROXY']) delete process.env[name];
    });

    test('goes through the proxy it is given, with its credentials', async () => {
      const proxy = await bench.serve(() => whole());
      expect(
        await bench.fetchFrom(['http://droplets.invalid/x'], { proxy: `http://me:secret@${proxy.host}` }),
      ).toEqual(BLOB);
      expect(proxy.server.seen[0]?.path).toBe('http://droplets.invalid/x');
      expect(proxy.server.seen[0]?.headers.get('proxy-authorization')).toBe(
        `Basic ${Buffer.from('me:secret').toString('base64')}`,
      );
    });

    test('obeys no variable of its own', async () => {
      const { host } = await bench.serve(() => whole());
      const proxy = await bench.serve(() => whole(Buffer.from('from the proxy')));
      for (const name of variables) process.env[name] = `http://${proxy.host}`;
      expect(await bench.fetchFrom([`http://${host}/`])).toEqual(BLOB);
      for (const name of variables) delete process.env[name];
      process.env['NO_PROXY'] = process.env['no_proxy'] = '*';
      expect(
        await bench.fetchFrom(['http://droplets.invalid/x'], {
          proxy: `http://${proxy.host}`,
          skipLayerValidation: true,
        }),
      ).toEqual(Buffer.from('from the proxy'));
    });
  });
});
