import type { Schema } from './schema.ts';

/** The values that a schema allows, as words that follow `it must be`. */
export function inWords(schema: Schema): string {
  if (schema.enum !== undefined) return either(schema.enum.map(String));
  switch (schema.type) {
    case 'boolean':
      return 'true or false';
    case 'integer':
      return `a whole number${between(schema.minimum, schema.maximum)}`;
    case 'array':
      return `a list${counted(schema.minItems, schema.maxItems)}`;
    case 'object':
      return 'a mapping of keys to values';
    default:
      return textInWords(schema);
  }
}

/** The forms of texts in the schemas of settings, by their patterns. */
export const FORMS: Readonly<Record<string, string>> = {
  '^/': 'an absolute path',
  '^(/[^/]+)+$': 'an absolute path without a slash at its end',
  '^[^/]+(/[^/]+)*$': 'a relative path',
  '^[^\\s/]+$': 'HOST or HOST:PORT',
  '^[^\\s/]+(/[^\\s/]+)*$': 'HOST[:PORT][/PATH] without https://',
  '^[A-Za-z0-9.:_-]+(/[a-z0-9._-]+)*$|^\\[[0-9a-fA-F:.]+\\](:[0-9]+)?(/[a-z0-9._-]+)*$':
    'HOST[:PORT] or HOST[:PORT]/PATH without https://',
  '^[A-Za-z_][A-Za-z0-9_]*$': 'the name of a variable',
  '^[a-z0-9][a-z0-9-]*$': 'the NAME of docker-credential-NAME, in lower case',
  '^[A-Za-z0-9][A-Za-z0-9._-]*$': 'the name of a repository such as unpacked.cern.ch',
  '^!?[^!\\s]+$': 'a pattern such as registry.example.com/team/*, with or without ! in front',
  '^(follow|fixed|[0-9a-f]{40,128}(-[a-z0-9]+)?)$': 'follow, fixed or a root hash of 40 or more hex digits',
  '^https?://[!-)+-.0-~]+(/[!-~]*)?$': 'a URL with https:// without * in its host',
  '^[a-z][a-z0-9+.-]*://[!-)+-.0-~]+(/[!-~]*)?$': 'a URI such as https://host/path without * in its host',
  '^(\\[[0-9a-fA-F:]+\\]|[0-9.]+):[0-9]{1,5}$': 'ADDRESS:PORT such as 127.0.0.1:8087',
  '^[a-z0-9.:\\[\\]-]+$': 'HOST or HOST:PORT in lower case',
  '^([a-z0-9._-]+/)*([a-z0-9._-]+|\\*)$': 'a repository such as team/app, or team/*',
  '^[a-z]+:': 'directory:/PATH or cvmfs:REPOSITORY',
};

function textInWords({ pattern, minLength = 0, maxLength }: Schema): string {
  const form = pattern === undefined ? 'text' : (FORMS[pattern] ?? 'text in another form');
  if (minLength > 0 && pattern === undefined) return 'text that is not empty';
  return maxLength === undefined ? form : `${form}, at most ${maxLength} characters long`;
}

function between(minimum: number | undefined, maximum: number | undefined): string {
  if (minimum === undefined || maximum === undefined) return '';
  return maximum === Number.MAX_SAFE_INTEGER ? ` of at least ${minimum}` : ` from ${minimum} to ${maximum}`;
}

function counted(least = 0, most?: number): string {
  if (most === undefined) return least > 0 ? ` of at least ${least}` : '';
  return ` of ${least} to ${most}`;
}

export function either(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}
