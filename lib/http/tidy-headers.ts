/** What one value is read of. Several challenges or links may rightly come; of these there is one. */
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
 * Headers as Go's clients see them: of several equal ones there is one, and a length that the chunks contradict is none
 * (RFC 9112 6.3). Proxies in front of registries send both kinds. In words what is wrong where several are unequal:
 * which of them is meant nobody can know.
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

/** The runtime joins headers of one name: `5, 5`. The value that is repeated, or all of it where nothing is. */
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
