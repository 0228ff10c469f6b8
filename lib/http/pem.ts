/**
 * PEM files of operators: several blocks, text between them, sometimes a broken block. The runtime passes the whole text to
 * OpenSSL, which stops at the first block that it cannot read, and reports neither the block nor the file.
 */

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const PRIVATE_KEY = /-----BEGIN ((?:[A-Z0-9]+ )*)PRIVATE KEY-----([^-]+)-----END \1PRIVATE KEY-----/;

/** The certificates of a PEM text, one block each, unread. */
export function certificateBlocks(text: string): string[] {
  return text.match(CERTIFICATE) ?? [];
}

/** The blocks that OpenSSL can read. As in Go, a broken block does not spoil the others. */
export async function readableBlocks(blocks: readonly string[]): Promise<string[]> {
  const { X509Certificate } = await import('node:crypto');
  return blocks.filter((block) => {
    try {
      return new X509Certificate(block) !== undefined;
    } catch {
      return false;
    }
  });
}

/** The authorities of a file. */
export interface Authorities {
  readonly blocks: readonly string[];
  /** The number of blocks that cannot be read and were dropped. */
  readonly broken: number;
}

/** The authorities in a text, or the reason why there is none. */
export async function authoritiesIn(text: string): Promise<Authorities | string> {
  const all = certificateBlocks(text);
  if (all.length === 0) return 'it has no certificate in PEM form';
  const blocks = await readableBlocks(all);
  if (blocks.length === 0) return 'it has a certificate that cannot be read';
  return { blocks, broken: all.length - blocks.length };
}

export interface ClientPair {
  /** The client's certificate, followed by the certificates of intermediate authorities. */
  readonly cert: string;
  readonly key: string;
}

/** The fault of a client's pair, and the file that has it. */
export interface PairFault {
  readonly of: 'certificate' | 'key';
  readonly reason: string;
}

/**
 * Checks a client's certificate and key. The runtime would report any fault of theirs only as a connection that could not
 * be opened. @param name of the certificate's file, for the reason about a key that belongs to another certificate
 */
export async function clientPair(cert: string, key: string, name: string): Promise<ClientPair | PairFault> {
  const [leaf, ...others] = certificateBlocks(cert);
  if (leaf === undefined) return { of: 'certificate', reason: 'it has no certificate in PEM form' };
  if ((await readableBlocks([leaf])).length === 0)
    return { of: 'certificate', reason: 'it has a certificate that cannot be read' };
  const [block, kind = '', body = ''] = PRIVATE_KEY.exec(key) ?? [];
  if (block === undefined) return { of: 'key', reason: 'it has no private key in PEM form' };
  if (kind.includes('ENCRYPTED') || body.includes('ENCRYPTED'))
    return { of: 'key', reason: 'its private key is protected by a passphrase, which nobody can enter here' };
  const { X509Certificate, createPrivateKey } = await import('node:crypto');
  let fits: boolean;
  try {
    fits = new X509Certificate(leaf).checkPrivateKey(createPrivateKey(block));
  } catch {
    return { of: 'key', reason: 'it has a private key that cannot be read' };
  }
  if (!fits) return { of: 'key', reason: `its private key does not belong to the certificate in ${name}` };
  return { cert: [leaf, ...(await readableBlocks(others))].join('\n'), key: block };
}
