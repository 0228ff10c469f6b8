import { PluginError } from '../../lib/base/errors/error.ts';
import { parseImageReference } from '../../lib/oci/reference.ts';
import { withTarget } from '../../lib/publish/open-target.ts';
import { checkName, publicName, requirePublishable } from '../../lib/publish/repository/names.ts';
import { unpublishImage } from '../../lib/publish/unpublish.ts';
import { usageOf } from '../cli/definitions.ts';
import { keepUntilOf, targetOptions } from '../program/publish-options.ts';
import type { VerbContext } from '../program/verb-context.ts';

export async function run(context: VerbContext<'unpublish'>): Promise<void> {
  const { args, out } = context;
  const { from, json } = args.options;
  const [image = ''] = args.positionals;
  if (from === undefined)
    throw new PluginError('CLI_BAD_ARGUMENTS', { usage: usageOf('unpublish'), misplaced: undefined });
  const dryRun = args.options['dry-run'] === true;
  const name = nameOf(image);
  const keepUntil = keepUntilOf(args.options.keep);
  const removed = await withTarget(targetOptions(context, from, dryRun), (target, whileHeld) =>
    unpublishImage(target, { name, keepUntil, dryRun }, whileHeld),
  );
  if (json === true) out.json({ target: from, dryRun, name, removed });
  else if (removed.length === 0) out.text(`nothing is published as ${name}`);
  else out.text(`${name} ${dryRun ? 'would be' : 'is'} unpublished: ${removed.join(', ')}`);
}

/** A reference to a registry, or the public name itself. */
function nameOf(image: string): string {
  if (!/^[a-z]+:\/\//i.test(image)) return checkName(image);
  return publicName(requirePublishable(parseImageReference(image)), undefined);
}
