/** Keys of people who sign images, in a home directory of gpg that goes with its block. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cleanEnv, must, run } from '../shell.ts';
import { tempDir } from '../temp.ts';

/** gpg keeps sockets in its home, whose paths must be short: the tests' own directory is too deep. */
const SHORT = '/tmp';

export class GpgHome implements AsyncDisposable {
  readonly #dir = tempDir(SHORT);
  readonly #env: Record<string, string>;
  #file = 0;

  constructor() {
    mkdirSync(this.#dir.at('home'), { mode: 0o700 });
    this.#env = cleanEnv({ GNUPGHOME: this.#dir.at('home') });
  }

  /** For other programs that sign. */
  get env(): Readonly<Record<string, string>> {
    return this.#env;
  }

  gpg(args: readonly string[]): Promise<string> {
    return must('gpg', ['--batch', '--quiet', '--pinentry-mode', 'loopback', '--passphrase', '', ...args], {
      env: this.#env,
    });
  }

  /** A key for signatures. `at`: when it is made, in seconds since 1970, for one that has expired since. */
  async key(name: string, algorithm = 'ed25519', expires = 'never', at?: number): Promise<void> {
    await this.gpg([...past(at), '--quick-gen-key', `${name}@graft.example`, algorithm, 'sign', expires]);
  }

  async revoke(name: string): Promise<void> {
    const [fingerprint] = await this.fingerprints(name);
    const path = `${this.#dir.at('home')}/openpgp-revocs.d/${fingerprint}.rev`;
    // gpg puts a colon before the block, so that nobody imports it by mistake.
    const revocation = this.#write(readFileSync(path, 'utf8').replace(':-----BEGIN', '-----BEGIN'));
    await this.gpg(['--import', revocation]);
  }

  /** Of the primary key, then of its subkeys. */
  async fingerprints(name: string): Promise<string[]> {
    const listed = await this.gpg(['--with-colons', '--list-keys', `${name}@graft.example`]);
    return [...listed.matchAll(/^fpr:+([0-9A-F]{40}):/gm)].map(([, print = '']) => print);
  }

  /** The public keys as a keyring file. */
  async keyring(names: readonly string[], armour = false): Promise<string> {
    const path = this.#path();
    const keys = names.map((name) => `${name}@graft.example`);
    await this.gpg([...(armour ? ['--armor'] : []), '--output', path, '--export', ...keys]);
    return path;
  }

  /** A signed message, as skopeo makes it unless `args` say otherwise. */
  async sign(
    names: readonly string[],
    text: string,
    args: readonly string[] = ['--sign'],
    at?: number,
  ): Promise<Uint8Array> {
    const input = this.#write(text);
    const users = names.flatMap((name) => [
      '--local-user',
      name.includes('!') ? name : `${name}@graft.example`,
    ]);
    await this.gpg([...past(at), ...users, '--output', `${input}.sig`, ...args, input]);
    return readFileSync(`${input}.sig`);
  }

  /** A file with this content. */
  #write(content: string): string {
    const path = this.#path();
    writeFileSync(path, content);
    return path;
  }

  #path(): string {
    this.#file += 1;
    return this.#dir.at(`file-${this.#file}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run('gpgconf', ['--kill', 'all'], { env: this.#env });
    await this.#dir.remove();
  }
}

function past(at: number | undefined): string[] {
  return at === undefined ? [] : ['--faked-system-time', String(at)];
}

/** The payload of a simple signature. `changes` replaces members of the whole document. */
export function payload(digest: string, reference: string, changes: Record<string, unknown> = {}): string {
  return JSON.stringify({
    critical: {
      type: 'atomic container signature',
      image: { 'docker-manifest-digest': digest },
      identity: { 'docker-reference': reference },
    },
    optional: { creator: 'graft 1', timestamp: 1_700_000_000 },
    ...changes,
  });
}
