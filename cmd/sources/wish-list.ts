/** The images of a wish list: the file, and the tags that its wildcards stand for. */
import { PluginError } from '../../lib/base/errors/error.ts';
import { parseImageReference } from '../../lib/oci/reference.ts';
import {
  duccWishes,
  expandWildcard,
  isWildcard,
  isYamlList,
  plainWishes,
  splitTag,
  type Wish,
  type WishList,
} from '../../lib/publish/wish-list.ts';
import { readList } from '../program/read-list.ts';
import { parseYaml, YamlProblem } from '../settings/yaml.ts';
import type { SourceContext } from './context.ts';
import { listRegistryTags } from './registry-source.ts';

/** @throws PUBLISH_WISH_LIST */
export function readWishList(path: string): WishList {
  const text = readList(path, 'PUBLISH_WISH_LIST');
  if (!isYamlList(text)) return plainWishes(text, path);
  try {
    return duccWishes(parseYaml(text), path);
  } catch (error) {
    if (!(error instanceof YamlProblem)) throw error;
    throw new PluginError('PUBLISH_WISH_LIST', { path, reason: error.message });
  }
}

/** The references of one wish. @throws PUBLISH_WISH, and what its registry throws */
export async function imagesOf(
  context: SourceContext,
  wish: Wish,
  signal: AbortSignal,
): Promise<readonly string[]> {
  if ('error' in wish) throw wish.error;
  if (!isWildcard(wish.reference)) return [wish.reference];
  const [repository] = splitTag(wish.reference);
  const reference = parseImageReference(repository);
  if (reference.kind !== 'registry') {
    const reason = 'only a registry has tags for a wildcard';
    throw new PluginError('PUBLISH_WISH', { wish: wish.shown, reason });
  }
  return expandWildcard(wish.reference, await listRegistryTags(context, reference, signal));
}
