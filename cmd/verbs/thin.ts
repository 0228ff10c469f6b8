import { tmpdir } from 'node:os';
import { PluginError } from '../../lib/base/errors/error.ts';
import { printable } from '../../lib/base/text.ts';
import { type ThinForm, thinConfig, thinLayer, thinManifest } from '../../lib/cvmfs/thin-image.ts';
import { formatReference, parseImageReference } from '../../lib/oci/reference.ts';
import { checkName, publicName, requirePublishable } from '../../lib/publish/repository/names.ts';
import { openPublished, originOf } from '../../lib/publish/thin.ts';
import { usageOf } from '../cli/definitions.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { counted } from '../sentences/words.ts';
import { newImageOf, openNewImage } from '../sources/new-image.ts';

export async function run(context: VerbContext<'thin'>): Promise<void> {
  const { args, log, out, signal } = context;
  const { 'layers-from': from, repository } = args.options;
  const [image = '', argument = ''] = args.positionals;
  if (from === undefined)
    throw new PluginError('CLI_BAD_ARGUMENTS', { usage: usageOf('thin'), misplaced: undefined });
  const form = formOf(args.options.form);
  const name = nameOf(image);
  const reference = newImageOf(argument);
  const { layers, config } = openPublished(from, repository).image(name, log);
  const origin = originOf(name);
  const layer = thinLayer(form, origin, layers);
  using target = await openNewImage(context, reference, tmpdir());
  using blob = target.stage();
  blob.write(layer.bytes);
  blob.publish(layer.digest);
  const text = thinConfig(config, layer, origin);
  const digest = await target.publish(layer, text, (written) => thinManifest(layer, written), signal);
  const shown = reference.kind === 'registry' ? formatReference(reference) : printable(argument);
  out.text(`${shown}@${digest}: thin, with ${counted(layers.length, 'layer')} of ${printable(from)}`);
}

function formOf(text = 'ducc'): ThinForm {
  if (text === 'ducc' || text === 'graphdriver') return text;
  const reason = 'the forms are ducc and graphdriver';
  throw new PluginError('CLI_BAD_VALUE', { flag: 'form', value: text, type: 'text', reason });
}

/** A reference to a registry, or the public name itself. */
function nameOf(image: string): string {
  if (!/^[a-z]+:\/\//i.test(image)) return checkName(image);
  return publicName(requirePublishable(parseImageReference(image)), undefined);
}
