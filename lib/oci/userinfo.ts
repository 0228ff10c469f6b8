/**
 * The range of userinfo in an image reference: from behind the scheme and its slashes to the `@` after it. Also found where
 * it is in a wrong part (a slash too many or too few). Where the first part has a colon, a password with slashes may
 * follow: then everything up to the last `@` that starts no digest is userinfo.
 * @returns offsets of its first character and of the `@`; undefined where there is none
 */
export function userinfoIn(argument: string): { readonly start: number; readonly end: number } | undefined {
  if (!argument.includes('@')) return undefined;
  const scheme = /^[A-Za-z][A-Za-z0-9+.-]*:\/*/.exec(argument)?.[0] ?? '';
  const rest = argument.slice(scheme.length);
  const first = rest.split('/', 1)[0] ?? '';
  let end = /[^/]\/\/$/.test(scheme) ? first.lastIndexOf('@') : -1;
  if (scheme !== '' && first.includes(':'))
    for (const found of rest.matchAll(/@(?!sha\d+[:#][0-9a-fA-F]+$)/g)) end = Math.max(end, found.index);
  return end < 0 ? undefined : { start: scheme.length, end: scheme.length + end };
}
