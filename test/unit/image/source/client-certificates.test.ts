import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { LayoutBuilder } from '../../../support/images/layout-builder.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';
import { rejection } from '../../oci/support.ts';
import { makeCertificates } from './blob-server.ts';
import { BLOB } from './remote-bench.ts';
import { drain, layerAt, layoutSource, NEVER } from './support.ts';

describe('a layer behind TLS', () => {
  let dir: TempDir;
  let server: Bun.Server<undefined>;
  let layout: LayoutBuilder;
  beforeAll(async () => {
    dir = tempDir();
    await makeCertificates(dir.path);
    const pem = (name: string) => readFileSync(dir.at(name), 'utf8');
    server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      tls: {
        cert: pem('server.crt'),
        key: pem('server.key'),
        ca: pem('ca.crt'),
        requestCert: true,
        rejectUnauthorized: true,
      },
      fetch: () => new Response(BLOB),
    });
    layout = new LayoutBuilder(dir.at('layout'));
    const layer = layout.layer(BLOB, { urls: [`https://127.0.0.1:${server.port}/droplet`] });
    layout.write([layout.image([layer])]);
  });
  afterAll(async () => {
    await server.stop(true);
    await dir.remove();
  });

  async function fetchWith(certificates: string | undefined): Promise<Buffer> {
    const source = layoutSource(layout.url(), { ...(certificates === undefined ? {} : { certificates }) });
    try {
      const image = await source.resolve(NEVER);
      return await drain(await source.open(layerAt(image, 0), NEVER));
    } finally {
      await source.close();
    }
  }

  test('comes with the client certificate and the authority of the directory', async () => {
    expect(await fetchWith(dir.at('client'))).toEqual(BLOB);
  });

  test.each<[string, string, readonly string[]]>([
    ['without any certificates', '', []],
    ['without the authority', 'no-ca', ['client.cert', 'client.key']],
    ['without the client certificate', 'no-client', ['ca.crt']],
    ['with a directory that does not exist', 'nowhere', []],
  ])('does not come %s', async (_what, name, files) => {
    const directory = name === '' ? undefined : dir.at(name);
    for (const file of files) await Bun.write(`${directory}/${file}`, Bun.file(dir.at('client', file)));
    expect((await rejection('IMAGE_URLS_FAILED', fetchWith(directory))).reasons).toContain('/droplet: ');
  });

  test('does not come because somebody switched verification off for the whole process', async () => {
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
    try {
      await Bun.write(dir.at('no-authority', 'client.cert'), Bun.file(dir.at('client', 'client.cert')));
      await Bun.write(dir.at('no-authority', 'client.key'), Bun.file(dir.at('client', 'client.key')));
      await rejection('IMAGE_URLS_FAILED', fetchWith(dir.at('no-authority')));
    } finally {
      delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    }
  });

  test.each([
    ['client.cert', 'client.cert has no key beside it (client.key)'],
    ['client.key', 'client.key has no certificate beside it (client.cert)'],
  ])('is an error of the settings with half a pair (%s)', async (file, reason) => {
    rmSync(dir.at('half'), { recursive: true, force: true });
    await Bun.write(dir.at('half', file), 'PEM');
    expect(await rejection('IMAGE_CERTIFICATES', fetchWith(dir.at('half')))).toEqual({
      directory: dir.at('half'),
      reason,
    });
  });

  test('comes with the server’s own certificate as the anchor, and with a broken authority beside the good one', async () => {
    const files = { 'client.cert': 'client/client.cert', 'client.key': 'client/client.key' };
    for (const [name, from] of Object.entries({ ...files, 'ca.crt': 'server.crt' }))
      await Bun.write(dir.at('anchor', name), Bun.file(dir.at(from)));
    expect(await fetchWith(dir.at('anchor'))).toEqual(BLOB);
    for (const [name, from] of Object.entries(files))
      await Bun.write(dir.at('mixed', name), Bun.file(dir.at(from)));
    const broken = '-----BEGIN CERTIFICATE-----\nMIIBhTCCASugAwIBAgIQ\n-----END CERTIFICATE-----\n';
    writeFileSync(dir.at('mixed', 'ca.crt'), broken + readFileSync(dir.at('ca.crt'), 'utf8'));
    expect(await fetchWith(dir.at('mixed'))).toEqual(BLOB);
  });

  test.each([
    [
      'client.key',
      'server.key',
      'client.key: its private key does not belong to the certificate in client.cert',
    ],
    ['client.key', 'ca.crt', 'client.key: it has no private key in PEM form'],
    ['client.cert', 'server.key', 'client.cert: it has no certificate in PEM form'],
    ['ca.crt', 'server.key', 'ca.crt: it has no certificate in PEM form'],
  ])('is an error of the settings where %s has %s in it', async (file, from, reason) => {
    const files = {
      'client.cert': 'client/client.cert',
      'client.key': 'client/client.key',
      'ca.crt': 'ca.crt',
    };
    rmSync(dir.at('wrong'), { recursive: true, force: true });
    for (const [name, right] of Object.entries(files))
      await Bun.write(dir.at('wrong', name), Bun.file(dir.at(name === file ? from : right)));
    expect(await rejection('IMAGE_CERTIFICATES', fetchWith(dir.at('wrong')))).toEqual({
      directory: dir.at('wrong'),
      reason,
    });
  });

  test('is an error of the settings where a file is none', async () => {
    writeFileSync(dir.at('a-file'), '');
    expect((await rejection('IMAGE_CERTIFICATES', fetchWith(dir.at('a-file')))).reason).toBe(
      'not a directory',
    );
    await Bun.write(dir.at('odd', 'x', 'y'), '');
    rmSync(dir.at('odd', 'x', 'y'));
    await Bun.write(dir.at('odd', 'dir.crt', 'y'), '');
    expect((await rejection('IMAGE_CERTIFICATES', fetchWith(dir.at('odd')))).reason).toBe(
      'dir.crt: is a directory',
    );
  });
});
