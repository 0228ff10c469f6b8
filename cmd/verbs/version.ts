import type { VerbContext } from '../program/verb-context.ts';
import { COMMIT, VERSION } from '../program/version.ts';

/** Prints `graft version 0.1.0`, in GrootFS's form; with `--json` what a report of a fault needs. */
export async function run({ args, out }: VerbContext<'version'>): Promise<void> {
  if (args.options.json !== true) {
    out.text(`graft version ${VERSION}`);
    return;
  }
  const { kernelFeatures } = await import('../../lib/plugin/kernel-features.ts');
  const runtime = { name: 'bun', version: Bun.version };
  out.json({ version: VERSION, commit: COMMIT, runtime, machine: process.arch, kernel: kernelFeatures() });
}
