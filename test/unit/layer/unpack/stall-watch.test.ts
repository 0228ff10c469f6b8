/** When unpacking counts as standing still, by a clock of the test's own. */
import { describe, expect, test } from 'bun:test';
import { StallWatch } from '../../../../lib/layer/unpack/stall-watch.ts';

const LIMIT = 1000;
const at = (compressedBytes: number, entries = 0) => ({ compressedBytes, entries });
const watch = () => new StallWatch(LIMIT, 0);

describe('a thread with something to do', () => {
  test('stands still once nothing moved for the whole limit, not before', () => {
    const stall = watch();
    expect(stall.standsStill(0, at(5), true)).toBe(false);
    expect(stall.standsStill(999, at(5), true)).toBe(false);
    expect(stall.standsStill(1000, at(5), true)).toBe(true);
  });

  test('stands still also when nothing ever moved', () => {
    const stall = watch();
    expect(stall.standsStill(200, at(0), true)).toBe(false);
    expect(stall.standsStill(1200, at(0), true)).toBe(true);
  });

  test.each([
    ['bytes alone', at(6, 1)],
    ['entries alone', at(5, 2)],
  ])('gets on by %s', (_what, next) => {
    const stall = watch();
    stall.standsStill(0, at(5, 1), true);
    expect(stall.standsStill(1000, next, true)).toBe(false);
    expect(stall.standsStill(1999, next, true)).toBe(false);
    expect(stall.standsStill(2000, next, true)).toBe(true);
  });
});

describe('a thread with nothing to do', () => {
  test('may wait as long as it takes: a Retry-After, a mirror that answers late, its turn', () => {
    const stall = watch();
    for (let now = 0; now <= 100 * LIMIT; now += 200)
      expect(stall.standsStill(now, at(5), false)).toBe(false);
  });

  test('has the whole limit for what comes after the wait', () => {
    const stall = watch();
    stall.standsStill(0, at(5), true);
    stall.standsStill(60 * LIMIT, at(5), false);
    expect(stall.standsStill(60 * LIMIT + 999, at(5), true)).toBe(false);
    expect(stall.standsStill(61 * LIMIT, at(5), true)).toBe(true);
  });
});
