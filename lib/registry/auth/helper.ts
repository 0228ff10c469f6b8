import { accessSync, constants } from 'node:fs';
import { PluginError } from '../../base/errors/error.ts';
import { KiB } from '../../base/limits.ts';
import { Secret } from '../../base/secret.ts';
import { printable } from '../../base/text.ts';
import { asGoReads, structure, TEXT } from '../../oci/go-json.ts';
import { JsonRefused } from '../../oci/json.ts';
import type { CredentialsPolicy } from '../policy/policy.ts';
import type { Credential } from './credential.ts';
import { DOCKER_HUB_KEY } from './docker-config.ts';

/** The output holds a user name and a password. Tokens of cloud identities have a few KiB. */
const MAX_OUTPUT = 64 * KiB;

/** The text that docker-credential-helpers print, with exit status 1, for an unknown host. */
const NOT_FOUND = /credentials not found in native keychain/;

/**
 * Asks `docker-credential-<name>` for a host: its name on stdin, JSON on stdout. The operator has configured the program,
 * but it may hang or print without end. At a limit of time or size graft kills it with all its children. Its output is a
 * secret, also when it fails, so no message quotes it.
 * @throws REGISTRY_HELPER
 */
export async function runHelper(
  name: string,
  host: string,
  policy: CredentialsPolicy,
  signal: AbortSignal,
): Promise<Credential | undefined> {
  const bad = (reason: string) =>
    new PluginError('REGISTRY_HELPER', {
      helper: `docker-credential-${printable(name)}`,
      registry: host,
      reason,
    });
  if (!/^[a-z0-9][a-z0-9-]*$/.test(name)) throw bad('the name of a helper has only a-z, 0-9 and -');
  const program = find(`docker-credential-${name}`, policy.helperPath);
  if (program === undefined) throw bad(`there is no such program in ${policy.helperPath}`);
  const { code, output } = await ask(
    program,
    host === 'docker.io' ? DOCKER_HUB_KEY : host,
    policy,
    signal,
    bad,
  );
  if (code !== 0) {
    if (NOT_FOUND.test(output)) return undefined;
    throw bad(`it ends with status ${code}`);
  }
  return credentialOf(output, name, bad);
}

function find(program: string, path: string): string | undefined {
  for (const directory of path.split(':')) {
    // A relative entry would run a program from the working directory, as root.
    if (!directory.startsWith('/')) continue;
    try {
      accessSync(`${directory}/${program}`, constants.X_OK);
      return `${directory}/${program}`;
    } catch {
      // The next directory may have it.
    }
  }
  return undefined;
}

async function ask(
  program: string,
  key: string,
  policy: CredentialsPolicy,
  signal: AbortSignal,
  bad: (reason: string) => PluginError,
): Promise<{ code: number; output: string }> {
  signal.throwIfAborted();
  const child = Bun.spawn([program, 'get'], {
    env: policy.helperEnv,
    cwd: '/',
    stdin: Buffer.from(key),
    stdout: 'pipe',
    stderr: 'ignore',
    // A process group of its own, so that the helper's children can be killed with it.
    detached: true,
  });
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  const limit = policy.helperTimeoutMs;
  const timer = setTimeout(() => reject(bad(`it does not answer in ${limit / 1000} s`)), limit);
  const onAbort = () => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const answered = Promise.all([collect(child.stdout, bad), child.exited]);
    const [output, code] = await Promise.race([answered, stopped]);
    return { code, output };
  } catch (error) {
    killGroup(child.pid);
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // ESRCH: all processes of the group have ended.
  }
}

async function collect(
  stream: ReadableStream<Uint8Array>,
  bad: (reason: string) => PluginError,
): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > MAX_OUTPUT) throw bad(`it prints more than ${MAX_OUTPUT} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Docker reads the output in Go: the case of a key does not count. */
const CREDENTIALS = structure({ Username: TEXT, Secret: TEXT });

function credentialOf(
  output: string,
  name: string,
  bad: (reason: string) => PluginError,
): Credential | undefined {
  let value: unknown;
  try {
    value = asGoReads(JSON.parse(output), CREDENTIALS);
  } catch (error) {
    if (error instanceof JsonRefused) throw bad('it prints a key twice, in capital and small letters');
    throw bad('it does not print JSON');
  }
  const { Username: username, Secret: secret } = (value ?? {}) as { Username?: unknown; Secret?: unknown };
  if (typeof username !== 'string' || typeof secret !== 'string')
    throw bad('it prints no Username and Secret');
  if (username === '' && secret === '') return undefined;
  const where = `docker-credential-${name}`;
  // With this user name Docker's helpers mark a refresh token.
  if (username === '<token>') return { kind: 'identity-token', token: new Secret(secret), where };
  return { kind: 'password', username, password: new Secret(secret), where };
}
