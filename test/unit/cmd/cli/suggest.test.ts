import { describe, expect, test } from 'bun:test';
import { suggestFlag, suggestVerb, verbsWith } from '../../../../cmd/cli/suggest.ts';

describe('suggestions', () => {
  test.each([
    ['creat', 'create'],
    ['crate', 'create'],
    ['lst', 'list'],
    ['initstore', 'init-store'],
    ['delete-stoer', 'delete-store'],
    ['rm', 'delete'],
    ['ps', 'list'],
    ['df', 'usage'],
    ['du', 'usage'],
    ['gc', 'clean'],
    ['prune', 'clean'],
    ['constructor', undefined],
    ['something-else', undefined],
    ['', undefined],
    ['--', undefined],
    ['generate-volume-size-metadat', undefined],
  ])('verb %p: %p', async (word, expected) => {
    expect(await suggestVerb(word)).toBe(expected as string);
  });

  test.each([
    ['with-claen', 'create', '--with-clean'],
    ['withoutmount', 'create', '--without-mount'],
    ['stor', undefined, '--store'],
    ['log-timestamp-forma', undefined, undefined],
    ['bogus', 'delete', undefined],
  ])('option -%s of %p: %p', async (flag, verb, expected) => {
    expect(await suggestFlag(flag, verb)).toBe(expected as string);
  });

  test.each([
    ['store', 'create', 'graft itself, before `create`'],
    ['with-clean', undefined, '`create`, after the verb'],
    ['dry-run', 'create', '`delete-store`, `publish`, `unpublish`, `clean`'],
    ['bogus', 'create', undefined],
    ['constructor', 'create', undefined],
  ])('option -%s given to %p belongs to %p', (flag, verb, expected) => {
    expect(verbsWith(flag, verb)).toBe(expected as string);
  });
});
