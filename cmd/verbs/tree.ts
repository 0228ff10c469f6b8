import { existsSync } from 'node:fs';
import { type LayerTree, type TreeLayer, treeOfContainer, treeOfImage } from '../../lib/plugin/tree.ts';
import { type ImageId, imageIdOrUndefined, parseIdOrPath } from '../../lib/store/layout/image-id.ts';
import { Store } from '../../lib/store/store.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { counted, shortBytes } from '../sentences/words.ts';
import { authenticate, openSource } from '../sources/source.ts';
import { fitted } from '../terminal/table.ts';

export async function run(context: VerbContext<'tree'>): Promise<void> {
  const { settings, args, out } = context;
  const store = Store.open(settings.store);
  const subject = args.positionals[0] ?? '';
  const id = containerOf(store, subject);
  const tree =
    id === undefined ? await ofImage(context, store, subject) : await treeOfContainer(store, id, context.log);
  if (args.options.json === true) out.json(tree);
  else for (const line of forPeople(context, tree)) out.text(line);
}

/** The id of a root filesystem that is there; undefined for an image. */
function containerOf(store: Store, subject: string): ImageId | undefined {
  if (subject.startsWith(`${store.layout.root}/images/`)) return parseIdOrPath(subject, store.layout.root);
  const id = imageIdOrUndefined(subject);
  return id === undefined || (existsSync(subject) && !store.images.exists(id)) ? undefined : id;
}

async function ofImage(context: VerbContext<'tree'>, store: Store, image: string): Promise<LayerTree> {
  const { args, log, signal } = context;
  const source = await openSource(context, image, store, args.options['require-digest'] === true, 'tell');
  try {
    return await treeOfImage({ store, source, log, signal, authenticate: () => authenticate(context) });
  } finally {
    await source.close();
  }
}

/** Hex digits that tell layers of a machine apart, and the start of a digest that other programs show. */
const DIGITS = 12;

function forPeople({ args, width }: VerbContext<'tree'>, { image, digest, layers }: LayerTree): string[] {
  const whole = args.options['no-trunc'] === true || width === undefined;
  const name = ({ digest: blob, diffId }: TreeLayer) => {
    const shown = blob ?? diffId ?? 'local tar';
    return whole ? shown : shown.replace(/^sha256:/, '').slice(0, DIGITS);
  };
  const known = layers.flatMap(({ content }) => (content === undefined ? [] : [content.bytes]));
  const rows = layers.map((layer) => {
    const { content, usedBy } = layer;
    return [
      name(layer),
      layer.packedBytes === undefined ? '-' : shortBytes(layer.packedBytes),
      content === undefined ? '-' : shortBytes(content.bytes),
      content === undefined ? '-' : `+${content.added}`,
      content === undefined ? '-' : `~${content.replaced}`,
      content === undefined ? '-' : `-${content.hidden}`,
      content === undefined ? ELSEWHERE[layer.from] : usersOf(usedBy),
    ];
  });
  const head = ['LAYER (bottom first)', 'PACKED', 'UNPACKED', 'ADDS', 'CHANGES', 'HIDES', 'USED BY'];
  return [
    image,
    ...(digest === undefined ? [] : [digest]),
    ...fitted([head, ...rows], { width: whole ? undefined : width, shrink: [6, 0] }),
    `${counted(layers.length, 'layer')}, ${known.length} in the store with ${shortBytes(known.reduce((sum, bytes) => sum + bytes, 0))}`,
  ];
}

const ELSEWHERE = { store: '', cvmfs: 'in place on CVMFS', elsewhere: 'not in the store' };

function usersOf(ids: readonly string[]): string {
  if (ids.length === 0) return 'none';
  return ids.length <= 3 ? ids.join(', ') : `${ids.slice(0, 2).join(', ')} and ${ids.length - 2} more`;
}
