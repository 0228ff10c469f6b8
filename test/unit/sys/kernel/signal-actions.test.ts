import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { keepingIgnoredSignals } from '../../../../lib/sys/kernel/signal-actions.ts';

const SIGXFSZ = 25;

function isIgnored(signal: number): boolean {
  const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${mask}`) >> BigInt(signal - 1)) & 1n) === 1n;
}

function listenAndStop(): void {
  const listener = () => undefined;
  process.on('SIGXFSZ', listener);
  process.removeListener('SIGXFSZ', listener);
}

test('a signal that was ignored is ignored after its last listener has gone', () => {
  expect(isIgnored(SIGXFSZ)).toBe(true);
  keepingIgnoredSignals(listenAndStop);
  expect(isIgnored(SIGXFSZ)).toBe(true);
});

test('a listener that stays is kept', () => {
  const listener = () => undefined;
  keepingIgnoredSignals(() => process.on('SIGXFSZ', listener));
  expect(isIgnored(SIGXFSZ)).toBe(false);
  keepingIgnoredSignals(() => undefined);
  expect(isIgnored(SIGXFSZ)).toBe(false);
  process.removeListener('SIGXFSZ', listener);
});
