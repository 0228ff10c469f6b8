/** Entry point of the threads that unpack layers; the build makes it part of the executable. */
import { serveUnpacking, type WorkerScope } from '../lib/layer/unpack/worker.ts';

serveUnpacking(globalThis as unknown as WorkerScope);
