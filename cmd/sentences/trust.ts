import type { TrustErrors } from '../../lib/base/errors/trust.ts';
import { printable } from '../../lib/base/text.ts';

export const trustSentences: { [C in keyof TrustErrors]: (s: TrustErrors[C]) => string } = {
  TRUST_REFUSED: (s) =>
    `${printable(s.image)}${s.digest === undefined ? '' : ` (${s.digest})`} may not run on this machine: ` +
    `${s.demanded === undefined ? '' : `it needs ${s.demanded}, and `}${s.found}; the rule is ${s.scope} in ${printable(s.policy)}${advice(s)}`,
  TRUST_GPGV: (s) =>
    `GPG signatures cannot be verified, so the image is refused: gpgv cannot be used, ${s.reason}; install the ` +
    'package gpgv',
  TRUST_LOOKASIDE: (s) =>
    `the place of signatures ${printable(s.url)} cannot be used, so the image is refused: ${s.reason}; it is set in ` +
    'registries.d (trust.registries_d in the extra settings)',
  TRUST_UNVERIFIED_LAYERS: (s) =>
    `${printable(s.image)} has to be signed (${printable(s.policy)}), and its layers lie in the CVMFS repository ` +
    `${s.repository} only, where nothing verifies them; name the repository in trust.accept_unverified_layers, or use ` +
    'the image that it was made from',
  TRUST_FINDINGS: (s) =>
    `${s.refused} containers and images would be refused today` +
    `${s.unknown === 0 ? '' : `, and ${s.unknown} could not be judged`}; delete and create them again once their images are ` +
    'signed, or change the policy',
  TRUST_NO_POLICY: () =>
    'there is no policy to check by; name a policy.json under trust.policy in the extra settings',
};

/**
 * A tar file or a layout, as Garden's root filesystems are, cannot be signed. A policy that does not name their transport
 * refuses them by its default, often unintended.
 */
function advice({ transport, scope, policy }: TrustErrors['TRUST_REFUSED']): string {
  if (transport === 'docker' || scope !== 'default') return '';
  const accept = `"${transport}": {"": [{"type": "insecureAcceptAnything"}]}`;
  return `; images of this kind cannot be signed: to let them run, add ${accept} to "transports" in ${printable(policy)}`;
}
