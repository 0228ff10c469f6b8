/**
 * A process that takes part in a test of locks and claims: `bun actor.ts <role> <argument>…`.
 * It writes one line for each step, so that the test waits for steps and not for time.
 */
import { readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { tryClaim, waitForRelease } from '../../../../../lib/sys/exclusive/claim.ts';
import { tryHold } from '../../../../../lib/sys/exclusive/hold.ts';
import { withLock } from '../../../../../lib/sys/exclusive/lock.ts';
import { replaceFile } from '../../../../../lib/sys/files/durable.ts';
import { isTemporaryName } from '../../../../../lib/sys/files/temporary.ts';
import { exists } from '../../../../../lib/sys/kernel/look.ts';
import { livenessOf, owner } from '../../../../../lib/sys/kernel/process.ts';
import { attachLoop } from '../../../../../lib/sys/mounts/loop.ts';

const say = (line: string) => writeSync(1, `${line}\n`);
const forever = () => new Promise<never>(() => setInterval(() => undefined, 1e6));
const [role = '', path = '', argument = ''] = process.argv.slice(2);

const roles: Record<string, () => Promise<void>> = {
  /** Holds the lock until it is killed, its event loop running. */
  lock: () =>
    withLock(path, { timeoutMs: 10_000, what: 'test' }, async () => {
      say('held');
      await forever();
    }),
  /** Holds the lock until stdin ends, then leaves by process.exit in the middle of the section. */
  'lock-exit': () =>
    withLock(path, { timeoutMs: 10_000, what: 'test' }, async () => {
      say('held');
      process.exit(3);
    }),
  /** Adds 1 to the number in a file, `argument` times, each time under the lock and in two separate steps. */
  count: async () => {
    for (let i = 0; i < Number(argument); i += 1) {
      await withLock(`${path}/lock`, { timeoutMs: 60_000, what: 'test' }, async () => {
        const before = Number(readFileSync(`${path}/number`, 'utf8'));
        await Bun.sleep(1);
        writeFileSync(`${path}/number`, String(before + 1));
      });
      say(String(i));
    }
  },
  claim: async () => {
    say('heldBy' in tryClaim(path) ? 'refused' : 'held');
    await forever();
  },
  /** Claims, and gives the claim up when stdin ends; then stays. */
  'claim-for-a-while': async () => {
    const claim = tryClaim(path);
    say('heldBy' in claim ? 'refused' : 'held');
    await Bun.stdin.text();
    if (!('heldBy' in claim)) claim.release();
    await forever();
  },
  /** Waits for the claim's end without ever looking again by itself, and says how it came or what a signal did. */
  wait: async () => {
    const stop = new AbortController();
    process.on('SIGTERM', () => stop.abort(new Error('stopped')));
    const onPoll = () => say('waiting');
    const end = waitForRelease(path, stop.signal, { onPoll, lookAgainMs: 2 ** 40 });
    say(await end.catch((error: Error) => error.message));
    process.exit();
  },
  /** The same for two claims, until something is called `done` in the directory `argument`. */
  'wait-for-two': async () => {
    const isDone = () => exists(`${argument}/done`);
    const options = { onPoll: () => say('waiting'), lookAgainMs: 2 ** 40, isDone, arrivals: argument };
    say(await waitForRelease([`${path}-1`, `${path}-2`], new AbortController().signal, options));
    process.exit();
  },
  /** Tries to take every place in a directory, and keeps what it got until stdin ends. */
  'take-all': async () => {
    say('ready');
    await Bun.stdin.text();
    // Other actors are staging under temporary names beside the places.
    const places = readdirSync(path).filter((name) => !isTemporaryName(name));
    for (const name of places.sort()) if ('entry' in tryHold(`${path}/${name}`)) say(name);
    say('done');
    await forever();
  },
  'attach-loops': async () => {
    const loops = Array.from({ length: Number(argument) }, () => attachLoop(path, { directIo: false }));
    for (const loop of loops) say(loop.device);
    say('done');
    await forever();
  },
  /** Replaces a file over and over, each time with another byte all through. */
  replace: async () => {
    for (let i = 0; i < Number(argument); i += 1)
      replaceFile(path, Buffer.alloc(50_000 + i, 65 + (i % 26)), 0o644);
    say('done');
  },
  /** Says what it thinks of itself. */
  self: async () => {
    say(JSON.stringify({ pid: process.pid, owner: owner(), liveness: livenessOf(owner()) }));
  },
};

await roles[role]?.();
