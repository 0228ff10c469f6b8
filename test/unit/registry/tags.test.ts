/** The list of a repository's tags: pages, bounds, and what a hostile registry may answer. */
import { afterEach, describe, expect, test } from 'bun:test';
import { parseImageReference, type RegistryReference } from '../../../lib/oci/reference.ts';
import { RegistryClient } from '../../../lib/registry/client.ts';
import { type RawRequest, type RawServer, rawServer } from '../../support/registries/raw-server.ts';
import { MemoryCache, NEVER, RecordingLog, testPolicy } from '../../support/registries/registry-client.ts';

let server: RawServer | undefined;
afterEach(() => server?.stop());

interface Page {
  readonly body: string;
  readonly link?: string;
}

/** The tags that a registry lists by these pages, and the requests for them. */
async function listed(page: (request: RawRequest, number: number) => Page): Promise<string[] | string> {
  let number = 0;
  const started = rawServer(async (request, answer) => {
    if (!request.target.startsWith('/v2/app/')) {
      await answer.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
      return;
    }
    const { body, link } = page(request, number);
    number += 1;
    const header = link === undefined ? '' : `link: ${link}\r\n`;
    await answer.write(
      `HTTP/1.1 200 OK\r\n${header}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
  });
  server = started;
  const client = new RegistryClient({
    reference: parseImageReference(`docker://${started.host}/app`) as RegistryReference,
    credentials: undefined,
    policy: testPolicy({ insecure: [started.host] }),
    cache: new MemoryCache(),
    partials: undefined,
    log: new RecordingLog(),
  });
  try {
    return await client.tags(NEVER);
  } catch (error) {
    return (error as { error?: { code: string } }).error?.code ?? String(error);
  } finally {
    client.close();
  }
}

const asked = () =>
  (server?.requests ?? []).map(({ target }) => target).filter((target) => target.startsWith('/v2/app/'));

describe('the list of tags', () => {
  test('goes on where a page says, by the word `last` alone', async () => {
    const evil = '<http://169.254.169.254/steal?n=1&last=b%2F..%3F>; rel="next"';
    const tags = await listed((_, number) =>
      number === 0 ? { body: '{"tags":["a","b"]}', link: evil } : { body: '{"tags":["c"]}' },
    );
    expect(tags).toEqual(['a', 'b', 'c']);
    expect(asked()).toEqual(['/v2/app/tags/list?n=1000', '/v2/app/tags/list?n=1000&last=b%2F..%3F']);
  });

  test('has each tag once, and no name that a reference cannot have', async () => {
    const body = JSON.stringify({ tags: ['a', 'a', '../../x', '', 'a'.repeat(129), 7, '-x', 'ok.1'] });
    expect(await listed(() => ({ body }))).toEqual(['a', 'ok.1']);
  });

  test.each(['{"tags":null}', '{}', 'null'])('may be empty: %s', async (body) => {
    expect(await listed(() => ({ body }))).toEqual([]);
  });

  test.each(['{"tags":{}}', 'no json', '[', '<html>'])('that is %s is refused', async (body) => {
    expect(await listed(() => ({ body }))).toBe('REGISTRY_BAD_RESPONSE');
  });

  test('ends where a registry repeats itself', async () => {
    const link = '</v2/app/tags/list?last=b>; rel=next';
    expect(await listed(() => ({ body: '{"tags":["b"]}', link }))).toEqual(['b']);
    expect(asked()).toHaveLength(2);
  });

  test('of more tags than a repository has is refused, in a page or in pages', async () => {
    const page = (number: number) => {
      const tags = Array.from({ length: 9000 }, (_, i) => `t${number}-${i}`);
      return { body: JSON.stringify({ tags }), link: `<x?last=${number}>; rel="next"` };
    };
    expect(await listed((_, number) => page(number))).toBe('REGISTRY_BAD_RESPONSE');
    expect(asked().length).toBeLessThan(8);
    await server?.stop();
    expect(await listed(() => ({ body: `{"tags":["${'a'.repeat(2 ** 21)}"]}` }))).toBe(
      'REGISTRY_BODY_TOO_LARGE',
    );
  });
});
