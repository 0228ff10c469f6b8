import { readFileSync } from 'node:fs';
import { listDirectory } from './certs-dir.ts';
import { certificateBlocks } from './pem.ts';
import type { RootsPolicy } from './policy.ts';

/** Files in which distributions keep all the system's authorities (Go, crypto/x509/root_linux.go). */
const ROOT_FILES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/tls/cacert.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
];
const ROOT_DIRECTORIES = ['/etc/ssl/certs', '/etc/pki/tls/certs'];

/** The system's authorities, a PEM block each. Blocks that OpenSSL cannot read are among them. */
export function systemRoots(roots: RootsPolicy): string[] {
  const found: string[] = [];
  for (const file of roots.file === undefined ? ROOT_FILES : [roots.file]) {
    const text = tryRead(file);
    if (text === undefined) continue;
    found.push(...certificateBlocks(text));
    break;
  }
  // The default directories only repeat the file.
  if (found.length > 0 && roots.directories === undefined) return found;
  for (const directory of roots.directories?.split(':') ?? ROOT_DIRECTORIES) {
    for (const name of listDirectory(directory) ?? []) {
      found.push(...certificateBlocks(tryRead(`${directory}/${name}`) ?? ''));
    }
  }
  return found;
}

function tryRead(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
