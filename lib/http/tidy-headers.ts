/** Headers of which a single value is read. Of other headers, challenges for instance, several are valid. */
const SINGLE = [
  'content-length',
  'content-range',
  'content-type',
  'docker-content-digest',
  'etag',
  'location',
  'ratelimit-limit',
  'retry-after',
];

/**
 * Headers as Go's clients read them: several equal values count as a single value, and Content-Length does not count beside
 * Transfer-Encoding (RFC 9112 6.3). Proxies in front of registries send both.
 * @returns the headers, or the fault in words where several values differ
 */
export function tidyHeaders(given: Headers): Headers | string {
  const headers = new Headers(given);
  for (const name of SINGLE) {
    const value = headers.get(name);
    const one = value === null ? undefined : single(value);
    if (one !== undefined && one !== value) headers.set(name, one);
  }
  for (const name of ['content-length', 'docker-content-digest']) {
    if (headers.get(name)?.includes(',')) return `it sends several ${name} headers that differ`;
  }
  if (headers.has('transfer-encoding')) headers.delete('content-length');
  return headers;
}

/** The value that is repeated, or the whole text. The runtime joins headers of the same name: `5, 5`. */
function single(value: string): string {
  const parts = value.split(', ');
  for (let size = 1; size <= parts.length / 2; size += 1) {
    const first = parts.slice(0, size).join(', ');
    const repeated =
      parts.length % size === 0 && new Array(parts.length / size).fill(first).join(', ') === value;
    if (repeated) return first;
  }
  return value;
}
