/** Errors of the policy that says which images may run. Texts of strangers in them are bounded and escaped. */
export interface TrustErrors {
  /** `scope`: where in the policy the requirements are. `demanded` and `found` are parts of a sentence. */
  TRUST_REFUSED: {
    image: string;
    digest: string | undefined;
    policy: string;
    /** The name under which the policy has the image's scopes. */
    transport: 'docker' | 'oci' | 'oci-archive' | 'docker-archive' | 'aci' | 'tarball' | 'cvmfs';
    scope: string;
    /** Undefined where no signature would help. */
    demanded: string | undefined;
    found: string;
  };
  /** The program that verifies OpenPGP signatures is not there, or does not work. */
  TRUST_GPGV: { reason: string };
  /** A place of signatures gives neither a signature nor says that there is none. */
  TRUST_LOOKASIDE: { url: string; reason: string };
  /** An image has to be signed, and only a CVMFS repository has its layers, which nothing verifies. */
  TRUST_UNVERIFIED_LAYERS: { image: string; repository: string; policy: string };
  /** The sums of `check --policy`. */
  TRUST_FINDINGS: { refused: number; unknown: number };
  /** A verb that only makes sense with a policy. */
  TRUST_NO_POLICY: Record<string, never>;
}
