/**
 * Damaged policies, registries.d files, keyrings, payloads and lines of gpgv through their readers in lib/trust. No
 * reader throws another error than its own, and a policy that is let through has the requirements that JSON.parse sees.
 */

import { parseConfig } from '../../cmd/settings/groot-yaml.ts';
import { isPluginError } from '../../lib/base/errors/error.ts';
import { KeyringProblem, readKeyring } from '../../lib/trust/gpg/keyring.ts';
import { openPgpMessage } from '../../lib/trust/gpg/message.ts';
import { signerOf } from '../../lib/trust/gpg/verify-gpg.ts';
import { readPolicy } from '../../lib/trust/policy/read-policy.ts';
import { readRegistriesD } from '../../lib/trust/policy/registries-d.ts';
import { readSimpleSigning } from '../../lib/trust/policy/simple-signing.ts';
import { PolicyProblem } from '../../lib/trust/policy/strict.ts';
import { Random } from '../property/random.ts';
import { damaged } from './signature-damage.ts';

/** How many cases each reader refused, and how many it let through. */
type Counts = Record<string, { refused: number; read: number }>;

/** A public key and a signature of version 4 that ends it, without their numbers (RFC 4880, 5.5.2 and 5.2.3). */
const PACKETS = Buffer.from(
  '980c0465000000010008010203' + '04' + '8810' + '04130108000609030015180000000000',
  'hex',
);
const KEY = Buffer.from(
  `-----BEGIN PGP PUBLIC KEY BLOCK-----

${PACKETS.toString('base64')}
-----END PGP PUBLIC KEY BLOCK-----
`,
);
const POLICY = JSON.stringify({
  default: [{ type: 'reject' }],
  transports: {
    docker: {
      'registry.example/team': [
        {
          type: 'signedBy',
          keyType: 'GPGKeys',
          keyPaths: ['/a', '/b'],
          signedIdentity: { type: 'matchRepository' },
        },
      ],
      '*.example': [
        {
          type: 'sigstoreSigned',
          fulcio: { caPath: '/ca', oidcIssuer: 'https://issuer.example', subjectEmail: 'a@b.example' },
          rekorPublicKeyPath: '/rekor',
          signedIdentity: { type: 'remapIdentity', prefix: 'a.example', signedPrefix: 'b.example' },
        },
      ],
    },
    oci: { '/srv/images': [{ type: 'insecureAcceptAnything' }] },
    tarball: { '': [{ type: 'insecureAcceptAnything' }] },
  },
});
const REGISTRIES = `default-docker:
  lookaside: file:///var/lib/signatures
docker:
  registry.example/team:
    lookaside: https://signatures.example/a
    use-sigstore-attachments: true
`;
const PAYLOAD = JSON.stringify({
  critical: {
    type: 'atomic container signature',
    image: { 'docker-manifest-digest': `sha256:${'a'.repeat(64)}` },
    identity: { 'docker-reference': 'registry.example/app:v1' },
  },
  optional: { creator: 'skopeo', timestamp: 1_700_000_000 },
});
const FINGERPRINT = '0123456789ABCDEF0123456789ABCDEF01234567';
const STATUS = `NEWSIG
GOODSIG 0123456789ABCDEF alice
VALIDSIG ${FINGERPRINT} 2026-01-01 1767225600 0 4 0 1 10 00 ${FINGERPRINT}
PLAINTEXT 62 1767225600`;

type Reader = (bytes: Buffer) => boolean;

/** True where the bytes are let through. @throws any error that is not the reader's own */
const READERS: Readonly<Record<string, readonly [seed: string | Buffer, read: Reader]>> = {
  policy: [
    POLICY,
    refusing(PolicyProblem, (bytes) => {
      const { default: standard } = readPolicy(bytes, () => KEY);
      const seen = JSON.parse(bytes.toString('utf8')).default.map(({ type }: { type: string }) => type);
      const read = standard.map(({ type }) => type);
      if (JSON.stringify(seen) !== JSON.stringify(read)) throw new Error(`read as ${read}, is ${seen}`);
    }),
  ],
  registries: [
    REGISTRIES,
    refusing(PolicyProblem, (bytes) => {
      readRegistriesD([{ path: 'fuzz.yaml', value: parseConfig('fuzz.yaml', bytes.toString('utf8')) }]);
    }),
  ],
  keyring: [KEY, refusing(KeyringProblem, (bytes) => void readKeyring(bytes))],
  message: [
    Buffer.concat([Buffer.from('\0simple-signing\n'), Buffer.from([0xa3, 1, 2, 3])]),
    (bytes) => typeof openPgpMessage(bytes) !== 'string',
  ],
  payload: [PAYLOAD, (bytes) => !('code' in readSimpleSigning(bytes, 'atomic container signature'))],
  status: [
    STATUS,
    (bytes) => {
      const status = bytes.toString('utf8').split('\n');
      const signer = signerOf({ status, code: 0 });
      if ('code' in signer) return false;
      const valid = status.filter((line) => line.startsWith('VALIDSIG '));
      if (valid.length !== 1) throw new Error(`${valid.length} valid signatures count as one`);
      return true;
    },
  ],
};

function refusing(own: typeof PolicyProblem | typeof KeyringProblem, read: (bytes: Buffer) => void): Reader {
  return (bytes) => {
    try {
      read(bytes);
      return true;
    } catch (error) {
      if (error instanceof own || isPluginError(error, 'CONFIG_SYNTAX')) return false;
      throw error;
    }
  };
}

/** One case: each reader gets a damaged document of its kind. @throws what no reader may throw */
export function policyCase(seed: number, number: number, counts: Counts): void {
  const random = new Random(seed * 1_000_003 + number);
  for (const [name, [document, read]] of Object.entries(READERS)) {
    counts[name] ??= { refused: 0, read: 0 };
    const bytes = Buffer.from(damaged(random, Buffer.from(document)));
    try {
      counts[name][read(bytes) ? 'read' : 'refused'] += 1;
    } catch (error) {
      throw new Error(`${name}: ${JSON.stringify(bytes.toString('latin1'))}`, { cause: error });
    }
  }
}
