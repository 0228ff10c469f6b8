import { formsOf, mask } from '../../base/mask.ts';
import type { Credential } from './credential.ts';

/**
 * Takes a credential out of a text, in every form that it is sent in: the password or refresh token, the same in a
 * URL's or a form's encoding, and what follows the scheme in the Authorization header. Short ones go as `mask` says.
 * @param header the whole Authorization header
 */
export function credentialMask(
  credential: Credential | undefined,
  header: string | undefined,
): (text: string) => string {
  const forms = new Set<string>([header?.slice(header.indexOf(' ') + 1) ?? '', ...sentForms(credential)]);
  forms.delete('');
  // Longest first: what holds another one goes whole.
  const ordered = [...forms].sort((a, b) => b.length - a.length);
  return (text) => ordered.reduce(mask, text);
}

function sentForms(credential: Credential | undefined): string[] {
  if (credential === undefined) return [];
  const secret = (credential.kind === 'password' ? credential.password : credential.token).reveal();
  const pair = credential.kind === 'password' ? `${credential.username}:${secret}` : '';
  const inForm = new URLSearchParams({ s: secret }).toString().slice('s='.length);
  return [...formsOf(secret), inForm, Buffer.from(pair, 'utf8').toString('base64')];
}
