import { PluginError } from '../../base/errors/error.ts';
import { Failure } from '../../http/failure.ts';

/** The challenge of a 401 (RFC 9110 11.6.1; the bearer form is from distribution's token specification). */
export type Challenge =
  | { readonly scheme: 'basic' }
  | {
      readonly scheme: 'bearer';
      readonly realm: string;
      readonly service: string | undefined;
      readonly scope: string | undefined;
      /** `insufficient_scope`, `invalid_token` … */
      readonly error: string | undefined;
    };

/** Registries' headers have some hundred bytes. */
const MAX_HEADER = 8 * 1024;

/**
 * The challenge to answer. Bearer comes before Basic, which registries that offer both prefer.
 * @throws Failure REGISTRY_BAD_CHALLENGE when there is none that can be answered.
 */
export function parseChallenge(header: string | null, registry: string): Challenge {
  const bad = (reason: string) =>
    new Failure('final', new PluginError('REGISTRY_BAD_CHALLENGE', { registry, reason }));
  if (header === null || header.trim() === '') throw bad('it answers 401 without a WWW-Authenticate header');
  if (header.length > MAX_HEADER) throw bad(`its WWW-Authenticate header is longer than ${MAX_HEADER} bytes`);
  const found = split(header);
  if (found === undefined) throw bad('its WWW-Authenticate header cannot be read');
  const bearer = found.find((challenge) => challenge.scheme === 'bearer');
  const realm = bearer?.parameters.get('realm');
  if (bearer && realm !== undefined && realm !== '') {
    const get = (name: string) => bearer.parameters.get(name);
    return { scheme: 'bearer', realm, service: get('service'), scope: get('scope'), error: get('error') };
  }
  if (found.some((challenge) => challenge.scheme === 'basic')) return { scheme: 'basic' };
  if (bearer) throw bad('its Bearer challenge names no realm');
  throw bad(
    `it wants ${found.map((challenge) => challenge.scheme).join(', ')}, and graft knows Bearer and Basic`,
  );
}

interface Parsed {
  readonly scheme: string;
  readonly parameters: Map<string, string>;
}

const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"/y;
/** A challenge's token68 (RFC 9110 11.2): base64 without a name (`Negotiate TlRMTVNT=`). */
const TOKEN68 = /[A-Za-z0-9._~+/-]+=*(?=\s*(?:,|$))/y;

/** Scans the header, since commas also occur in quoted strings. Undefined where it does not follow the grammar. */
function split(header: string): Parsed[] | undefined {
  const challenges: Parsed[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const match = pattern.exec(header);
    if (match === null) return undefined;
    at = pattern.lastIndex;
    return match;
  };
  for (;;) {
    take(/[\s,]*/y);
    if (at >= header.length) return challenges.length > 0 ? challenges : undefined;
    const word = take(TOKEN)?.[0];
    if (word === undefined) return undefined;
    const current = challenges.at(-1);
    if (take(/\s*=\s*/y) !== undefined) {
      // A parameter of the last challenge. Of several with the same name the first counts.
      const value = take(QUOTED)?.[1]?.replace(/\\(.)/g, '$1') ?? take(TOKEN)?.[0];
      if (value === undefined || current === undefined) return undefined;
      const name = word.toLowerCase();
      if (!current.parameters.has(name)) current.parameters.set(name, value);
      continue;
    }
    challenges.push({ scheme: word.toLowerCase(), parameters: new Map() });
    take(/\s+/y);
    const before = at;
    // `name=value` starts a parameter list; other text up to the comma is a token68.
    if (take(/[^\s=,"]+\s*=(?!=*\s*(?:,|$))/y) !== undefined) at = before;
    else if (take(TOKEN68) === undefined) at = before;
  }
}
