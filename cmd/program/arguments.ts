/** Secrets among the arguments, which each user of the machine can read in the list of processes. */
import { userinfoIn } from '../../lib/oci/userinfo.ts';
import { argumentNotUtf8, eraseArguments, takeStderr } from '../../lib/sys/kernel/own-process.ts';
import { COMPILED } from './executable.ts';

const PASSWORD = 'password';
const STDERR = 2;

export interface TakenSecrets {
  /** The secrets, in the forms in which a registry's answer may repeat them. */
  readonly secrets: readonly string[];
  /** The descriptor for messages. */
  readonly stderr: number;
}

/**
 * Collects the secrets of a command line, also of an invalid one, and erases them in the list of processes. The runtime has
 * copies of all arguments and prints them when it crashes, so a process with a secret takes stderr away from the runtime.
 * @param argv without the program's name
 */
export function takeSecrets(argv: readonly string[]): TakenSecrets {
  const secrets: string[] = [];
  // A loop, since `flatMap` is compiled at its first call in a process, which is noticeable at start.
  for (let i = 0; i < argv.length; i += 1) secrets.push(...secretsIn(argv[i] ?? '', argv[i - 1] ?? ''));
  if (secrets.length === 0) return { secrets, stderr: STDERR };
  // When the sources run, the path of the program is an argument too, and positions differ.
  if (COMPILED) eraseArguments(argv.length, secretPart);
  return { secrets, stderr: takeStderr() };
}

/**
 * The number, counted from 1, of the first argument that is not UTF-8. Asked before `takeSecrets`, which overwrites bytes.
 * The bytes are looked at only where the runtime has replaced some, or a name has U+FFFD itself.
 * @param argv without the program's name
 */
export function brokenArgument(argv: readonly string[]): number | undefined {
  // Run from its sources the program is an argument itself.
  if (!COMPILED || !argv.some((word) => word.includes(REPLACEMENT))) return undefined;
  return argumentNotUtf8(argv.length);
}

const REPLACEMENT = '\uFFFD';

/** The range of a secret in an argument: the word after `--password`, the text after `--password=`, or userinfo. */
function secretPart(word: string, before: string): [from: number, to: number] | undefined {
  if (isPasswordOption(before)) return [0, word.length];
  const equals = word.indexOf('=');
  if (equals > 0 && isPasswordOption(word.slice(0, equals))) return [equals + 1, word.length];
  // Asked here too, since the regular expressions of `userinfoIn` are made when it is called first.
  const userinfo = word.includes('@') ? userinfoIn(word) : undefined;
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
  // The secret of userinfo is the password. A name may be shown, as the value of --username may.
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
