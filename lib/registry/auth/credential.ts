import type { Secret } from '../../base/secret.ts';

/** The proof of identity for a registry. `where` names its source for logs, and is never a secret. */
export type Credential =
  | {
      readonly kind: 'password';
      readonly username: string;
      readonly password: Secret;
      readonly where: string;
    }
  /** A refresh token, which only a token server accepts. */
  | { readonly kind: 'identity-token'; readonly token: Secret; readonly where: string };

/** The sources of credentials that come with the call. */
export const FLAGS = 'flags';
export const IMAGE_URI = 'the image URI';

/** True when the credential came with the call; otherwise the settings of the cell have it. */
export function isOfCall({ where }: Credential): boolean {
  return where === FLAGS || where === IMAGE_URI;
}
