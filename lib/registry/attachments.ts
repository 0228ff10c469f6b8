import { type Digest, digestOf } from '../base/digest.ts';
import { PluginError } from '../base/errors/error.ts';
import { MAX_MANIFEST_BYTES } from '../base/limits.ts';
import { Failure } from '../http/failure.ts';
import { MANIFEST_ACCEPT, OCI_INDEX } from '../oci/media-types.ts';
import type { BlobDescriptor } from './blobs/blob-request.ts';
import type { Ask, Endpoint } from './endpoint.ts';
import type { Endpoints } from './endpoints.ts';
import type { RegistryPolicy } from './policy/policy.ts';
import { readWhole } from './read-whole.ts';

export interface AttachedDocument {
  readonly bytes: Uint8Array;
  readonly contentType: string | undefined;
}

/** Registries put some hundred entries on a page. The referrers of an image are its signatures, reports and such. */
const MAX_PAGES = 8;

/**
 * Documents that lie beside an image in its repository, as signatures do. They are read from mirrors too, since the caller
 * verifies them, and each time anew: one that is added or withdrawn has to be seen.
 */
export class Attachments {
  readonly #endpoints: Endpoints;
  readonly #policy: RegistryPolicy;

  constructor(endpoints: Endpoints, policy: RegistryPolicy) {
    this.#endpoints = endpoints;
    this.#policy = policy;
  }

  /** The manifest with a tag or a digest; undefined when the repository does not have it. @throws Failure */
  manifest(reference: string, signal: AbortSignal): Promise<AttachedDocument | undefined> {
    const ask: Ask = {
      ...GET,
      kind: 'manifests',
      reference,
      headers: { accept: MANIFEST_ACCEPT.join(', ') },
    };
    return ifThere(
      this.#endpoints.first('content', async (endpoint, last) => {
        const bounds = this.#bounds(last, MAX_MANIFEST_BYTES, 'a manifest');
        const { bytes, headers } = await readWhole(endpoint, ask, bounds, signal);
        return { bytes, contentType: headers.get('content-type') ?? undefined };
      }),
    );
  }

  /**
   * The pages of the list of manifests that name a digest as their subject (distribution-spec, "Listing Referrers");
   * undefined where the registry does not have such lists, whose clients then use a tag. @throws Failure
   */
  referrers(digest: Digest, signal: AbortSignal): Promise<readonly AttachedDocument[] | undefined> {
    return ifThere(
      this.#endpoints.first('content', async (endpoint, last) => {
        const pages: AttachedDocument[] = [];
        for (let query: URLSearchParams | undefined = new URLSearchParams(); query !== undefined; ) {
          if (pages.length === MAX_PAGES) throw tooManyPages(endpoint);
          const ask: Ask = {
            ...GET,
            kind: 'referrers',
            reference: digest,
            query,
            headers: { accept: OCI_INDEX },
          };
          const bounds = this.#bounds(last, MAX_MANIFEST_BYTES, 'a list of referrers');
          const { bytes, headers } = await readWhole(endpoint, ask, bounds, signal);
          pages.push({ bytes, contentType: headers.get('content-type') ?? undefined });
          query = nextPage(headers.get('link'));
        }
        return pages;
      }),
    );
  }

  /** The bytes of a small blob, held against its digest. @throws Failure, also when the repository does not have it */
  blob({ digest, size }: BlobDescriptor, what: string, signal: AbortSignal): Promise<Uint8Array> {
    const ask: Ask = { ...GET, kind: 'blobs', reference: digest, headers: {} };
    return this.#endpoints.first('content', async (endpoint, last) => {
      const { bytes } = await readWhole(endpoint, ask, this.#bounds(last, size, what), signal);
      const actual = digestOf(bytes);
      if (actual === digest) return bytes;
      throw new Failure('final', new PluginError('IMAGE_DIGEST_MISMATCH', { expected: digest, actual }));
    });
  }

  #bounds(last: boolean, limit: number, what: string) {
    return { attempts: last ? this.#policy.retry.attempts : 1, limit, what };
  }
}

const GET = { method: 'GET', accepts: [] } as const;

async function ifThere<T>(asking: Promise<T>): Promise<T | undefined> {
  try {
    return await asking;
  } catch (error) {
    if (error instanceof Failure && error.error.code === 'REGISTRY_NOT_FOUND') return undefined;
    throw error;
  }
}

/** The query of the next page. Its path is the one that was asked for, whatever the registry says (RFC 8288). */
function nextPage(link: string | null): URLSearchParams | undefined {
  const [, target] = /<([^>]*)>\s*;\s*rel="?next"?/i.exec(link ?? '') ?? [];
  const query = target?.indexOf('?') ?? -1;
  return target === undefined || query < 0
    ? undefined
    : new URLSearchParams(target.slice(query).split('#')[0]);
}

function tooManyPages({ source }: Endpoint): Failure {
  const reason = `its list of what belongs to an image has more than ${MAX_PAGES} pages`;
  return new Failure('final', new PluginError('REGISTRY_BAD_RESPONSE', { registry: source.name, reason }));
}
