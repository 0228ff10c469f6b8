/** The probing child from source, for unit tests. */
import { runProbeChild } from '../../../cmd/probe.ts';

process.exitCode = runProbeChild();
