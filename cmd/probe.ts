/**
 * The child that touches CVMFS repositories: `graft` started again with a verb for this purpose. The child reads its request
 * from descriptor 0, answers on descriptor 1, and inherits nothing else. A create waits for it, so this file does not use
 * `node:fs`, whose first use costs a millisecond.
 */
import { serveProbe } from '../lib/cvmfs/probe-child.ts';
import type { ProbeRequest } from '../lib/cvmfs/probe-protocol.ts';
import { hasCode } from '../lib/sys/kernel/errno.ts';
import { writeAll } from '../lib/sys/kernel/files.ts';
import { readToEnd } from '../lib/sys/kernel/read.ts';

/** A request with 500 layers and long paths has less than half of this. */
const MAX_REQUEST = 1024 * 1024;

/** Answers a single request. @returns the exit status */
export function runProbeChild(): number {
  const text = new TextDecoder().decode(readToEnd(0, MAX_REQUEST, 'stdin'));
  // The parent has started the child ahead and closed its input, since it did not need it.
  if (text === '') return 0;
  const request = JSON.parse(text) as ProbeRequest;
  try {
    serveProbe(request, (line) => writeAll(1, Buffer.from(`${JSON.stringify(line)}\n`)));
    return 0;
  } catch (error) {
    // The parent has ended, or has closed the pipe after the answers that it needed.
    if (hasCode(error, 'EPIPE')) return 0;
    throw error;
  }
}
