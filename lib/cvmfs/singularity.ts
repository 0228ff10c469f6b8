/**
 * Reads the image configuration back from a flat root filesystem: DUCC writes the environment and the command as the
 * shell scripts that Singularity runs. graft needs it where the repository keeps no configuration and no registry
 * answers.
 */

export interface SingularityConfig {
  readonly env: readonly string[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
}

/** `env` is `.singularity.d/env/10-docker2singularity.sh`, `runscript` is `.singularity.d/runscript`. */
export function parseSingularity(env: string | undefined, runscript: string | undefined): SingularityConfig {
  return {
    env: (env ?? '').split('\n').flatMap((line) => variableOf(line) ?? []),
    entrypoint: wordsIn(runscript, 'OCI_ENTRYPOINT'),
    cmd: wordsIn(runscript, 'OCI_CMD'),
  };
}

/** `export NAME="value"`, or `export NAME="${NAME:-"value"}"`, which lets the caller's variable win. */
function variableOf(line: string): string | undefined {
  const match = /^export ([A-Za-z_][A-Za-z0-9_]*)="(.*)"$/.exec(line);
  if (match === null) return undefined;
  const [, name = '', text = ''] = match;
  const prefix = `\${${name}:-"`;
  const value = text.startsWith(prefix) && text.endsWith('"}') ? text.slice(prefix.length, -2) : text;
  return `${name}=${unquoted(value)}`;
}

/** `NAME='"first" "second"'` */
function wordsIn(runscript: string | undefined, name: string): string[] {
  const line = new RegExp(`^${name}='(.*)'$`, 'm').exec(runscript ?? '')?.[1] ?? '';
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map((match) => unquoted(match[1] ?? ''));
}

/** Inside double quotes a backslash escapes these four (POSIX shell, 2.2.3). */
function unquoted(text: string): string {
  return text.replace(/\\(["$`\\])/g, '$1');
}
