import { describe, expect, test } from 'bun:test';
import { measure, race, table } from '../bench/harness.ts';

describe('race', () => {
  test('interleaves, throws the first round away and keeps minima', async () => {
    const order: string[] = [];
    const contestant = (name: string) => ({
      name,
      before: async (round: number) => {
        order.push(`${name}${round}`);
      },
      argv: () => ['true'],
    });
    const results = await race([contestant('a'), contestant('b')], 2);
    expect(order).toEqual(['a0', 'b0', 'a1', 'b1', 'a2', 'b2']);
    for (const { cpuMs, wallMs } of results) {
      expect(cpuMs).toBeGreaterThan(0);
      expect(cpuMs).toBeLessThan(1000);
      expect(wallMs).toBeGreaterThan(0);
    }
  });

  test('counts the processor time of children, and the wall time of sleep', () => {
    const busy = measure(['sh', '-c', `sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'; :`]);
    const idle = measure(['sleep', '0.2']);
    expect(busy.cpuMs).toBeGreaterThan(20);
    expect(idle.wallMs).toBeGreaterThanOrEqual(200);
    expect(idle.cpuMs).toBeLessThan(100);
  });

  test('has no time for a failure', async () => {
    const failing = { name: 'x', argv: () => ['sh', '-c', 'echo because; exit 3'] };
    await expect(race([failing], 1)).rejects.toThrow(/exits 3\nbecause/);
  });
});

test('the table has ratios to the yardstick', () => {
  const results = [
    { name: 'empty', cpuMs: 10, wallMs: 20, threadsMs: 0 },
    { name: 'create', cpuMs: 15, wallMs: 50, threadsMs: 0 },
  ];
  expect(table('Title', results, 'empty').split('\n')).toEqual([
    'Title',
    '          CPU ms  ratio  wall ms  ratio',
    '  empty     10.0   1.00     20.0   1.00',
    '  create    15.0   1.50     50.0   2.50',
  ]);
  expect(() => table('Title', results, 'nobody')).toThrow();
});
