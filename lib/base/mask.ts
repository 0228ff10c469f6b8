import { printable } from './text.ts';

/** From this length on a secret is no part of other words by chance. */
const LONG = 8;
/** Shorter ones are words of their own too often ("a", "to", "in"). */
const SHORT = 4;

/**
 * Takes a secret out of somebody else's text. A long one goes wherever it stands. One of 4 to 7 characters goes where no
 * letter or digit is beside it. An even shorter one goes only as a value: the whole text, or beside a quote, `=`, `:` or
 * `@`. Masked inside words it would spoil every message, and the gaps would spell it.
 */
export function mask(text: string, secret: string): string {
  if (secret === '' || !text.includes(secret)) return text;
  if (secret.length >= LONG || text === secret) return text.replaceAll(secret, '***');
  let masked = '';
  let from = 0;
  for (let at = text.indexOf(secret); at >= 0; at = text.indexOf(secret, at)) {
    const end = at + secret.length;
    if (standsAlone(text, at, end, secret.length < SHORT)) {
      masked += `${text.slice(from, at)}***`;
      from = end;
      at = end;
    } else {
      at += 1;
    }
  }
  return masked + text.slice(from);
}

function standsAlone(text: string, at: number, end: number, asValue: boolean): boolean {
  const [before, after] = [text.slice(0, at), text.slice(end, end + 1)];
  if (/[\p{L}\p{N}]$/u.test(before.slice(-2)) || /^[\p{L}\p{N}]/u.test(after)) return false;
  return !asValue || /["'`=:@]\s?$/.test(before.slice(-2)) || /^["'`=:@]/.test(after);
}

/** The forms in which facts repeat a secret: itself, escaped as names are, and encoded as in a URL. */
export function formsOf(secret: string): string[] {
  const forms = new Set([secret, printable(secret), encoded(secret), JSON.stringify(secret).slice(1, -1)]);
  // Longest first: what holds another form goes whole.
  return [...forms].sort((a, b) => b.length - a.length);
}

/** encodeURIComponent throws for half a surrogate pair. */
function encoded(secret: string): string {
  return secret.isWellFormed() ? encodeURIComponent(secret) : secret;
}

/** Takes secrets out of every text of a value, and leaves its shape. */
export function maskFacts<T>(facts: T, secrets: readonly string[]): T {
  const forms = secrets.flatMap(formsOf);
  if (forms.length === 0) return facts;
  const hide = (value: unknown): unknown => {
    if (typeof value === 'string') return forms.reduce(mask, value);
    if (Array.isArray(value)) return value.map(hide);
    if (value instanceof Error) return hide(value.message);
    if (typeof value !== 'object' || value === null) return value;
    if ('toJSON' in value && typeof value.toJSON === 'function') return hide(value.toJSON());
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, hide(member)]));
  };
  return hide(facts) as T;
}
