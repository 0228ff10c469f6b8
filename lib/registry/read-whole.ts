import type { Grade } from '../base/grade.ts';
import type { Ask, Endpoint } from './endpoint.ts';

interface WholeAnswer {
  readonly bytes: Uint8Array;
  readonly grade: Grade;
  readonly headers: Headers;
}

/**
 * Sends a request and reads the whole body. A broken body is asked for again, like a missing answer.
 * @param bounds `limit` is in bytes; `what` names the document in errors. @throws Failure
 */
export function readWhole(
  endpoint: Endpoint,
  ask: Ask,
  { attempts, limit, what }: { readonly attempts: number; readonly limit: number; readonly what: string },
  signal: AbortSignal,
): Promise<WholeAnswer> {
  return endpoint.retrying(attempts, signal, async () => {
    const answer = await endpoint.once(ask, signal);
    const bytes = await answer.body.bytes(limit, what);
    return { bytes, grade: endpoint.grade, headers: answer.headers };
  });
}
