/** The tags of a repository (distribution-spec, "Listing Tags"), page by page. */
import { PluginError } from '../base/errors/error.ts';
import { MiB } from '../base/limits.ts';
import { Failure } from '../http/failure.ts';
import { JsonRefused, parseJson } from '../oci/json.ts';
import type { Ask, Endpoint } from './endpoint.ts';

/** The largest repositories of public registries have some ten thousand tags. */
const MAX_TAGS = 50_000;
const PAGE_TAGS = 1000;
/** A registry may give fewer tags in a page than it is asked for. */
const MAX_PAGES = 500;
const MAX_PAGE_BYTES = MiB;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

/**
 * All tags, each once. Names that no reference can have are left out.
 * @throws Failure; REGISTRY_BAD_RESPONSE for more tags than MAX_TAGS, and for pages without end
 */
export async function listTags(endpoint: Endpoint, attempts: number, signal: AbortSignal): Promise<string[]> {
  const tags = new Set<string>();
  let last: string | undefined;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const query = new URLSearchParams({ n: String(PAGE_TAGS), ...(last !== undefined && { last }) });
    const ask: Ask = { method: 'GET', kind: 'tags', reference: 'list', query, headers: {}, accepts: [] };
    const { bytes, next } = await endpoint.retrying(attempts, signal, async () => {
      const answer = await endpoint.once(ask, signal);
      const link = answer.headers.get('link');
      return { bytes: await answer.body.bytes(MAX_PAGE_BYTES, 'a list of tags'), next: nextIn(link) };
    });
    for (const tag of tagsIn(bytes, endpoint)) tags.add(tag);
    if (tags.size > MAX_TAGS) throw bad(endpoint, `it lists more than ${MAX_TAGS} tags`);
    if (next === undefined || next === last) return [...tags];
    last = next;
  }
  throw bad(endpoint, `its list of tags has more than ${MAX_PAGES} pages`);
}

/** Where the next page begins. Only this word is taken from the registry, and never the rest of its URL. */
function nextIn(link: string | null): string | undefined {
  const target = /<([^>]*)>\s*;\s*rel="?next"?/i.exec(link ?? '')?.[1];
  if (target === undefined) return undefined;
  const query = target.slice(target.indexOf('?') + 1);
  return new URLSearchParams(query).get('last') ?? undefined;
}

function tagsIn(bytes: Uint8Array, endpoint: Endpoint): string[] {
  try {
    const { tags } = (parseJson(bytes, MAX_PAGE_BYTES) ?? {}) as { tags?: unknown };
    // Go's nil slice: a repository whose last tag was deleted.
    if (tags === null || tags === undefined) return [];
    if (!Array.isArray(tags)) throw bad(endpoint, 'its list of tags is no list');
    return tags.filter((tag): tag is string => typeof tag === 'string' && TAG.test(tag));
  } catch (error) {
    if (error instanceof JsonRefused) throw bad(endpoint, `its list of tags is no JSON: ${error.message}`);
    throw error;
  }
}

function bad({ host }: Endpoint, reason: string): Failure {
  return new Failure('final', new PluginError('REGISTRY_BAD_RESPONSE', { registry: host, reason }));
}
