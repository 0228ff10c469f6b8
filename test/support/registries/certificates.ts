/** Certificates for tests, made by openssl as an operator makes them. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '../shell.ts';

export interface Pair {
  /** PEM files. */
  readonly certificate: string;
  readonly key: string;
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** An authority of its own. */
export async function makeAuthority(dir: string, name = 'ca'): Promise<Pair> {
  mkdirSync(dir, { recursive: true });
  const pair = { certificate: join(dir, `${name}.crt`), key: join(dir, `${name}.key`) };
  const files = ['-keyout', pair.key, '-out', pair.certificate];
  await must('openssl', ['req', '-x509', ...KEY, ...files, '-subj', `/CN=${name} of a test`, '-days', '2']);
  return pair;
}

/** `YYYYMMDDHHMMSSZ` */
export interface Validity {
  readonly from: string;
  readonly to: string;
}

/** An authority below another one. */
export function makeIntermediate(dir: string, authority: Pair, name: string): Promise<Pair> {
  return signed(dir, authority, name, 'basicConstraints=critical,CA:TRUE\n');
}

/** A certificate signed by `authority`. @param names `DNS:host` and `IP:address`; without any only the common name is left */
export async function issue(
  dir: string,
  authority: Pair,
  name: string,
  names: readonly string[],
  validity?: Validity,
): Promise<Pair> {
  const alternative = names.length === 0 ? '' : `subjectAltName=${names.join(',')}\n`;
  return signed(dir, authority, name, `${alternative}basicConstraints=CA:FALSE\n`, validity);
}

async function signed(
  dir: string,
  authority: Pair,
  name: string,
  extensions: string,
  validity?: Validity,
): Promise<Pair> {
  const at = (ending: string) => join(dir, `${name}.${ending}`);
  await must('openssl', ['req', ...KEY, '-keyout', at('key'), '-out', at('csr'), '-subj', `/CN=${name}`]);
  writeFileSync(at('ext'), extensions);
  const files = ['-in', at('csr'), '-out', at('crt'), '-extfile', at('ext')];
  await (validity === undefined
    ? must('openssl', [
        ...['x509', '-req', '-days', '2', ...files],
        ...['-CA', authority.certificate, '-CAkey', authority.key, '-CAcreateserial'],
      ])
    : signDated(dir, authority, files, validity));
  return { certificate: at('crt'), key: at('key') };
}

/** `openssl x509` knows only days from now; `openssl ca` knows dates, and wants a database. */
async function signDated(dir: string, authority: Pair, files: string[], validity: Validity): Promise<void> {
  const section = ['new_certs_dir', 'database', 'serial'].map((key) => `${key}=${join(dir, `ca-${key}`)}`);
  const policy = 'default_md=sha256\npolicy=any\nunique_subject=no\n[any]\ncommonName=supplied\n';
  writeFileSync(join(dir, 'ca.cnf'), `[ca]\ndefault_ca=x\n[x]\n${section.join('\n')}\n${policy}`);
  mkdirSync(join(dir, 'ca-new_certs_dir'), { recursive: true });
  writeFileSync(join(dir, 'ca-database'), '');
  writeFileSync(join(dir, 'ca-serial'), `${Date.now().toString().padStart(16, '0')}\n`);
  await must('openssl', [
    ...['ca', '-batch', '-notext', '-config', join(dir, 'ca.cnf'), ...files],
    ...['-cert', authority.certificate, '-keyfile', authority.key],
    ...['-startdate', validity.from, '-enddate', validity.to],
  ]);
}

/** The texts of a pair, for servers that take texts. */
export function pemOf(pair: Pair): { cert: string; key: string } {
  return { cert: readFileSync(pair.certificate, 'utf8'), key: readFileSync(pair.key, 'utf8') };
}
