/** A docker-registry on the port that is part of the fixtures' names, for the scripts that make and judge them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HOST } from '../../unit/trust/sigstore/fixtures.ts';

const api = (path: string) => `http://${HOST}/v2/ns/app/${path}`;
export const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

export class LocalRegistry {
  readonly #work = mkdtempSync(join(tmpdir(), 'sigstore-registry.'));
  readonly #process: ReturnType<typeof Bun.spawn>;

  constructor() {
    const storage = `{filesystem: {rootdirectory: ${join(this.#work, 'registry')}}}`;
    const configuration = join(this.#work, 'registry.yml');
    writeFileSync(configuration, `version: 0.1\nstorage: ${storage}\nhttp: {addr: '${HOST}'}\n`);
    this.#process = Bun.spawn(['docker-registry', 'serve', configuration], {
      stdout: 'ignore',
      stderr: 'ignore',
    });
  }

  /** Waits until it answers, for five seconds at most. */
  async ready(): Promise<void> {
    for (let tries = 0; tries < 100; tries += 1) {
      const answers = await fetch(`http://${HOST}/v2/`).then(
        () => true,
        () => false,
      );
      if (answers) return;
      await Bun.sleep(50);
    }
    throw new Error('docker-registry does not answer');
  }

  async upload(bytes: Uint8Array): Promise<{ digest: string; size: number }> {
    const digest = `sha256:${new Bun.CryptoHasher('sha256').update(bytes).digest('hex')}`;
    const place = (await fetch(api('blobs/uploads/'), { method: 'POST' })).headers.get('location') ?? '';
    const answer = await fetch(`${place}&digest=${digest}`, { method: 'PUT', body: Buffer.from(bytes) });
    if (!answer.ok) throw new Error(`an upload: ${answer.status}`);
    return { digest, size: bytes.length };
  }

  async uploadManifest(reference: string, bytes: Uint8Array): Promise<void> {
    const headers = { 'content-type': MANIFEST };
    const answer = await fetch(api(`manifests/${reference}`), {
      method: 'PUT',
      headers,
      body: Buffer.from(bytes),
    });
    if (!answer.ok) throw new Error(`a manifest: ${answer.status}`);
  }

  /** @param path below the repository */
  async fetch(path: string, accept: string): Promise<Buffer> {
    const answer = await fetch(api(path), { headers: { accept } });
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return Buffer.from(await answer.arrayBuffer());
  }

  stop(): void {
    this.#process.kill();
    rmSync(this.#work, { recursive: true, force: true });
  }
}

/** The blobs of an image whose only layer is empty, and which carries a number. */
export function imageDocuments(): { layer: Buffer; config: (diffId: string) => Buffer } {
  return {
    layer: Buffer.alloc(1024, 0),
    config: (diffId) =>
      Buffer.from(
        JSON.stringify({
          architecture: 'amd64',
          os: 'linux',
          rootfs: { type: 'layers', diff_ids: [diffId] },
        }),
      ),
  };
}
