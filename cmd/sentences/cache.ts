import type { CacheErrors } from '../../lib/base/errors/cache.ts';
import { printable } from '../../lib/base/text.ts';
import { counted } from './words.ts';

/** Ids in a sentence; the verb that lists all is named beside them. */
const SHOWN = 3;

export const cacheSentences: { [C in keyof CacheErrors]: (s: CacheErrors[C]) => string } = {
  CACHE_NOT_FOUND: (s) =>
    `${printable(s.image)} is not in the cache; graft images says what is, by reference and digest`,
  CACHE_IN_USE: (s) => {
    const more = s.by.length > SHOWN ? ` and ${s.by.length - SHOWN} more` : '';
    return (
      `${printable(s.image)} is in use by ${s.by.slice(0, SHOWN).map(printable).join(', ')}${more}; ` +
      'delete these root filesystems first'
    );
  },
  CACHE_LIST: (s) => `the list ${printable(s.path)} cannot be used: ${s.reason}`,
  CACHE_PULL_FAILED: (s) =>
    `${counted(s.failed, 'image')} of ${s.images} could not be pulled; the lines above say why, the others are in the store`,
};
