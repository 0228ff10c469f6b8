/**
 * The child that touches repositories: `graft` started again with a verb that nobody else uses. It reads its request
 * from descriptor 0 and answers on descriptor 1; it opens nothing else of its parent's. A create waits for it, so it
 * does without `node:fs`, whose first use costs a millisecond.
 */
import { serveProbe } from '../lib/cvmfs/probe-child.ts';
import type { ProbeRequest } from '../lib/cvmfs/probe-protocol.ts';
import { hasCode } from '../lib/sys/kernel/errno.ts';
import { writeAll } from '../lib/sys/kernel/files.ts';
import { readToEnd } from '../lib/sys/kernel/read.ts';

/** 500 layers with long paths take less than half of it. */
const MAX_REQUEST = 1024 * 1024;

/** Answers one request and returns the exit status. */
export function runProbeChild(): number {
  const text = new TextDecoder().decode(readToEnd(0, MAX_REQUEST, 'stdin'));
  // Started ahead, and not needed after all.
  if (text === '') return 0;
  const request = JSON.parse(text) as ProbeRequest;
  try {
    serveProbe(request, (line) => writeAll(1, Buffer.from(`${JSON.stringify(line)}\n`)));
    return 0;
  } catch (error) {
    // The parent has gone or has heard enough.
    if (hasCode(error, 'EPIPE')) return 0;
    throw error;
  }
}
