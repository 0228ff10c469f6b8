/** Secrets among the arguments, which everybody on the machine can read in a list of processes. */
import { userinfoIn } from '../../lib/oci/userinfo.ts';
import { eraseArguments, takeStderr } from '../../lib/sys/kernel/own-process.ts';
import { COMPILED } from './compiled.ts';

const PASSWORD = 'password';
const STDERR = 2;

export interface TakenSecrets {
  /** As they may come back in a registry's answer. */
  readonly secrets: readonly string[];
  /** The descriptor for messages. */
  readonly stderr: number;
}

/**
 * Collects the secrets of a command line, also of one that is wrong otherwise, and takes them out of the list of
 * processes. The runtime keeps copies of all arguments and prints them when it crashes: a process that was given a secret
 * leaves the runtime no stderr.
 * @param argv without the program's name
 */
export function takeSecrets(argv: readonly string[]): TakenSecrets {
  const secrets = argv.flatMap((word, i) => secretsIn(word, argv[i - 1] ?? ''));
  if (secrets.length === 0) return { secrets, stderr: STDERR };
  // Run from its sources the program is an argument itself.
  if (COMPILED) eraseArguments(argv.length, secretPart);
  return { secrets, stderr: takeStderr() };
}

/** Where a secret stands in an argument: a password's option takes the next word or what follows its `=`. */
function secretPart(word: string, before: string): [from: number, to: number] | undefined {
  if (isPasswordOption(before)) return [0, word.length];
  const equals = word.indexOf('=');
  if (equals > 0 && isPasswordOption(word.slice(0, equals))) return [equals + 1, word.length];
  const userinfo = userinfoIn(word);
  return userinfo && [userinfo.start, userinfo.end];
}

function isPasswordOption(word: string): boolean {
  return word === `--${PASSWORD}` || word === `-${PASSWORD}`;
}

function secretsIn(word: string, before: string): string[] {
  const part = secretPart(word, before);
  if (part === undefined) return [];
  const secret = word.slice(...part);
  if (isPasswordOption(before) || word.startsWith('-')) return [secret].filter(Boolean);
  // Of userinfo the password is the secret; a name is shown, as that of --username is.
  const password = secret.slice(secret.indexOf(':') + 1);
  return [...new Set([secret, password, decoded(password)])].filter(Boolean);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
