import { unlinkSync } from 'node:fs';
import { LayoutBuilder, type RawDescriptor } from '../../../support/images/layout-builder.ts';
import { tempDir } from '../../../support/temp.ts';
import { rejection } from '../../oci/support.ts';
import { RawServer, type Script, type Seen } from './blob-server.ts';
import { drain, type LayoutSettings, layerAt, layoutSource, NEVER } from './support.ts';

/** What the servers of these tests hold: no two neighbouring ranges alike. */
export const BLOB = Buffer.from(Array.from({ length: 300_000 }, (_, at) => at % 251));

export interface Serving {
  readonly host: string;
  readonly server: RawServer;
}

/** One image whose only layer is behind URLs, and the servers that have it or not. */
export class RemoteBench {
  readonly #dir = tempDir();
  readonly layout = new LayoutBuilder(this.#dir.at('layout'));
  readonly #servers: RawServer[] = [];

  async serve(answer: (request: Seen) => Script): Promise<Serving> {
    const server = new RawServer(answer);
    this.#servers.push(server);
    return { host: await server.start(), server };
  }

  /** Resolves the image and reads the layer. `keep`: there is a local blob too. */
  async fetchFrom(
    urls: readonly string[],
    settings: LayoutSettings & { descriptor?: Partial<RawDescriptor>; keep?: boolean } = {},
  ): Promise<Buffer> {
    const layer = { ...this.layout.layer(BLOB, { urls }), ...settings.descriptor };
    this.layout.write([this.layout.image([layer])]);
    if (settings.keep !== true) unlinkSync(this.layout.blobPath(layer));
    const source = layoutSource(this.layout.url(), settings);
    try {
      const image = await source.resolve(NEVER);
      return await drain(await source.open(layerAt(image, 0), NEVER));
    } finally {
      await source.close();
    }
  }

  /** `fetchFrom` that must fail at every url; returns why. */
  async failure(urls: readonly string[], settings: LayoutSettings = {}): Promise<string> {
    return (await rejection('IMAGE_URLS_FAILED', this.fetchFrom(urls, settings))).reasons;
  }

  async dispose(): Promise<void> {
    for (const server of this.#servers) await server.stop();
    await this.#dir.remove();
  }
}

/** An answer without a body. */
export function status(line: string, more = ''): Script {
  return { head: `HTTP/1.1 ${line}\nContent-Length: 0\n${more}\n`, afterwards: 'stay' };
}

/** All of a blob. */
export function whole(body: Uint8Array = BLOB, more = ''): Script {
  return { head: `HTTP/1.1 200 OK\nContent-Length: ${body.length}\n${more}\n`, body, afterwards: 'stay' };
}
