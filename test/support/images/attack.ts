/**
 * An attack is a layer and what must come of it: an exact error or an exact tree, with everything around the target
 * as it was. Each runs twice: against our unpacker, which must do so, and against a weak one, which must not.
 */
import { expect, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import type { UnpackRequest, UnpackResult } from '../../../lib/layer/tree/types.ts';
import { verifyTree } from '../../../lib/layer/tree/verify-tree.ts';
import { tempDir } from '../temp.ts';
import { Canary, listTree, openBelow, requestIn, unpack } from './unpack.ts';
import { weakUnpack } from './weak-unpacker.ts';

interface Outcome {
  /** Of the error; undefined when the layer was unpacked. */
  readonly code: string | undefined;
  readonly subject: unknown;
  readonly target: string;
  readonly result: UnpackResult | undefined;
  /** As `listTree`, or of a failed unpacking whatever it left. */
  readonly tree: Readonly<Record<string, string>>;
  /** Of all threads: the time on the clock says more about the machine's other work. */
  readonly cpuMilliseconds: number;
}

interface Place {
  readonly canary: Canary;
  /** Scratch space beside the target and the canary. */
  at(...names: string[]): string;
}

export interface Attack {
  layer(place: Place): Uint8Array;
  readonly request?: (place: Place) => Partial<UnpackRequest>;
  /** The layer is refused with this code … */
  readonly code?: string;
  /** … and these facts. */
  readonly subject?: object;
  /** The layer is unpacked to exactly this. */
  readonly tree?: Readonly<Record<string, string>>;
  /** Whatever else must hold. */
  readonly check?: (outcome: Outcome, place: Place) => void;
}

export function attack(name: string, spec: Attack): void {
  test(name, async () => {
    await runIn(spec, ours);
  });
  test(`${name} (a plain writer falls for it)`, async () => {
    let fell = false;
    try {
      await runIn(spec, weak);
    } catch {
      fell = true;
    }
    expect(fell).toBe(true);
  });
}

type Unpacker = (
  request: UnpackRequest,
  blob: Uint8Array,
  sandbox: string,
) => Promise<UnpackResult | undefined>;

const ours: Unpacker = async (request, blob) => {
  const result = await unpack(request, blob);
  expect([...verifyTree(request.target, request.manifestPath)]).toEqual([]);
  return result;
};
const weak: Unpacker = async ({ target }, blob, sandbox) => {
  weakUnpack(target, blob, sandbox);
  return undefined;
};

async function runIn(spec: Attack, unpacker: Unpacker): Promise<void> {
  await using dir = tempDir();
  const canary = new Canary(dir.path);
  const place: Place = { canary, at: dir.at };
  const request = requestIn(dir.at('deep', 'in', 'a'), spec.request?.(place) ?? {});
  const blob = spec.layer(place);
  const before = readdirSync(dir.path).sort();
  const outcome = await outcomeOf(request, (to) => unpacker(to, blob, dir.path));
  expect(canary.changes()).toBe('');
  expect(readdirSync(dir.path).sort()).toEqual(before);
  expect(readdirSync(dir.at('deep', 'in'))).toEqual(['a']);
  expect(openBelow(dir.path)).toEqual([]);
  judge(spec, outcome, place);
}

async function outcomeOf(
  request: UnpackRequest,
  unpacker: (request: UnpackRequest) => Promise<UnpackResult | undefined>,
): Promise<Outcome> {
  const started = process.cpuUsage();
  let facts: Pick<Outcome, 'code' | 'subject' | 'result'>;
  try {
    const result = await unpacker(request);
    facts = { code: undefined, subject: undefined, result };
  } catch (error) {
    const { code, subject } = error as { code?: string; subject?: unknown };
    facts = { code: code ?? String(error), subject, result: undefined };
  }
  const used = process.cpuUsage(started);
  const cpuMilliseconds = (used.user + used.system) / 1000;
  const { target } = request;
  return {
    ...facts,
    cpuMilliseconds,
    target,
    get tree() {
      return listTree(target);
    },
  };
}

function judge(spec: Attack, outcome: Outcome, place: Place): void {
  expect(outcome.code).toBe(spec.code);
  if (spec.subject !== undefined) expect(outcome.subject).toEqual(spec.subject);
  if (spec.tree !== undefined) expect(outcome.tree).toEqual(spec.tree);
  spec.check?.(outcome, place);
}
