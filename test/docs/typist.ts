/** A person at a shell on a terminal: types, presses TAB, reads. */
import { cleanEnv } from '../support/shell.ts';

export interface Typist extends AsyncDisposable {
  /** Types keys and waits until what the shell wrote since then matches. @throws Error with what it wrote instead */
  type(keys: string, until: RegExp): Promise<string>;
  /** The line that `keys`, with their TABs, become. */
  complete(keys: string): Promise<string>;
}

const DEADLINE_MS = 30_000;
const READY = 'ready>';

/** @param setUp lines for the shell before anything is typed. */
export async function sitDown(
  shell: 'bash' | 'zsh',
  setUp: string,
  env: Readonly<Record<string, string>>,
): Promise<Typist> {
  let screen = '';
  let wake = () => {};
  const child = Bun.spawn(shell === 'bash' ? ['bash', '--norc', '--noprofile', '-i'] : ['zsh', '-f', '-i'], {
    env: cleanEnv({ TERM: 'dumb', PS1: '', ...env }),
    terminal: {
      cols: 400,
      rows: 100,
      data: (_, bytes) => {
        screen += new TextDecoder().decode(bytes);
        wake();
      },
    },
  });
  const seen = async (from: number, pattern: RegExp): Promise<string> => {
    const deadline = performance.now() + DEADLINE_MS;
    while (!pattern.test(screen.slice(from))) {
      const left = deadline - performance.now();
      if (left <= 0)
        throw new Error(`${shell} wrote no ${pattern}, but: ${JSON.stringify(screen.slice(from))}`);
      await Promise.race([new Promise<void>((resolve) => (wake = resolve)), Bun.sleep(left)]);
    }
    return screen.slice(from);
  };
  const type = (keys: string, until: RegExp) => {
    const from = screen.length;
    child.terminal?.write(keys);
    return seen(from, until);
  };
  // The line is shown by running it as arguments of a function: redrawing by the shell's editor does not matter.
  await type(
    `show() { printf '<%s>\\n' "$*"; }; ${setUp}\rprintf '%s>\\n' ready\r`,
    new RegExp(`^${READY}`, 'm'),
  );
  return {
    type,
    complete: async (keys) => {
      const shown = await type(`${keys}\x01show \r`, /^<.*>\r?$/m);
      return /^<(.*)>\r?$/m.exec(shown)?.[1] ?? '';
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await child.exited;
    },
  };
}
