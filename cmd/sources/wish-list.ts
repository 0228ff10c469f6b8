/** The images of a wish list: the file, and the tags that its wildcards stand for. */
import { PluginError } from '../../lib/base/errors/error.ts';
import { MiB } from '../../lib/base/limits.ts';
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
import { SysError } from '../../lib/sys/kernel/errno.ts';
import { readFile } from '../../lib/sys/kernel/read.ts';
import { parseYaml, YamlProblem } from '../settings/yaml.ts';
import type { SourceContext } from './context.ts';
import { listRegistryTags } from './registry-source.ts';

const MAX_LIST_BYTES = 8 * MiB;

/** @throws PUBLISH_WISH_LIST */
export function readWishList(path: string): WishList {
  const text = readText(path);
  if (!isYamlList(text)) return plainWishes(text, path);
  try {
    return duccWishes(parseYaml(text), path);
  } catch (error) {
    if (!(error instanceof YamlProblem)) throw error;
    throw new PluginError('PUBLISH_WISH_LIST', { path, reason: error.message });
  }
}

function readText(path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readFile(path, MAX_LIST_BYTES));
  } catch (error) {
    if (!(error instanceof SysError) && !(error instanceof TypeError)) throw error;
    const reason = error instanceof SysError ? error.message : 'it is not UTF-8';
    throw new PluginError('PUBLISH_WISH_LIST', { path, reason }, { cause: error });
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
