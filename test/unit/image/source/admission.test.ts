/** To name a layer proves nothing: who is given one that the store has. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { rmSync } from 'node:fs';
import { type DiffId, digestOf } from '../../../../lib/base/digest.ts';
import type { Grade } from '../../../../lib/base/grade.ts';
import { isOpen } from '../../../../lib/image/pull/cached-plan.ts';
import { publishDelivered } from '../../../../lib/image/pull/deliver.ts';
import { Admission } from '../../../../lib/image/source/admission.ts';
import type { BlobOfPlace, ResolvedImage } from '../../../../lib/image/source/source.ts';
import type { LayerKey } from '../../../../lib/store/layout/layer-key.ts';
import { type Grant, LOCAL } from '../../../../lib/store/records/grants.ts';
import { EVERYBODY, type StackPlan } from '../../../../lib/store/records/stacks.ts';
import {
  plainRecord,
  publishLayer,
  type ScratchStore,
  scratchStore,
} from '../../../support/stores/scratch-store.ts';
import { NEVER } from './support.ts';

let scratch: ScratchStore;
beforeAll(async () => {
  scratch = await scratchStore();
});
afterAll(() => scratch[Symbol.asyncDispose]());

const PLACE = 'registry.example/app';
const OTHER = 'thief.example/app';
const BLOB = digestOf('blob');
const ASKED: Grant = { to: 'asked', place: PLACE, digest: BLOB, size: 5 };

function image(place: string | undefined, urls: readonly string[] = []): ResolvedImage {
  const layer = {
    digest: digestOf('a blob of the caller’s'),
    diffId: digestOf('tar') as DiffId,
    size: 4,
    mediaType: 'application/vnd.oci.image.layer.v1.tar',
    compression: 'none',
    baseDirectory: undefined,
    urls,
    kind: 'blob',
  } as const;
  return { name: 'image', manifestDigest: undefined, config: undefined, layers: [layer], place };
}

let layers = 0;
function layer(...grants: Grant[]): LayerKey {
  layers += 1;
  const [first = { to: 'everybody' }, ...more] = grants;
  const key = publishLayer(scratch.store, `layer-${layers}`, undefined, {}, first);
  for (const grant of more) scratch.store.layers.addGrant(key, grant);
  if (grants.length === 0) rmSync(`${scratch.store.layout.volume(key)}/access`);
  return key;
}

/** A place that answers so, and what it was asked for. */
function place(answer: Grade | undefined | Error) {
  const asked: string[] = [];
  const mayRead = async ({ digest }: BlobOfPlace) => {
    asked.push(digest);
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return { asked, mayRead };
}

async function admits(
  of: ResolvedImage,
  key: LayerKey,
  source: { mayRead?: (blob: BlobOfPlace) => Promise<Grade | undefined> } = place('asked'),
): Promise<boolean> {
  return new Admission({ store: scratch.store, source, signal: NEVER }, of).ask([key]);
}

describe('a layer', () => {
  test.each<[string, Grant[], string | undefined, boolean]>([
    ['that an anonymous caller got is everybody’s', [{ to: 'everybody' }], undefined, true],
    ['that the cell got is for images of the same place', [{ to: 'cell', place: PLACE }], PLACE, true],
    ['that the cell got is not for another place', [{ to: 'cell', place: PLACE }], OTHER, false],
    [
      'that the cell got is not for an image without a place',
      [{ to: 'cell', place: PLACE }],
      undefined,
      false,
    ],
    ['of a layout is for layouts', [{ to: 'cell', place: LOCAL }], LOCAL, true],
    ['of a layout is not for a registry’s image', [{ to: 'cell', place: LOCAL }], OTHER, false],
    ['that credentials got is not for another place', [ASKED], OTHER, false],
    ['that credentials got is not for a layout', [ASKED], LOCAL, false],
    ['of which nothing is known is nobody’s', [], PLACE, false],
    ['with several deliveries needs one that fits', [ASKED, { to: 'cell', place: OTHER }], OTHER, true],
  ])('%s', async (_what, grants, from, expected) => {
    const asking = place('asked');
    expect(await admits(image(from), layer(...grants), asking)).toBe(expected);
    expect(asking.asked).toEqual([]);
  });

  test('that credentials got is asked for at its place, by the digest that came from there', async () => {
    const key = layer(ASKED);
    const asking = place('asked');
    expect(await admits(image(PLACE), key, asking)).toBe(true);
    expect(asking.asked).toEqual([BLOB]);
    expect(await admits(image(PLACE), key, place(undefined))).toBe(false);
    expect(await admits(image(PLACE), key, {})).toBe(false);
    // One yes is no yes for the next caller.
    expect(scratch.store.layers.grants(key)).toEqual([ASKED]);
  });

  test('that its place says yes to for anybody, or for the cell, is theirs from then on', async () => {
    const [anybody, cell] = [layer(ASKED), layer(ASKED)];
    await admits(image(PLACE), anybody, place('everybody'));
    await admits(image(PLACE), cell, place('cell'));
    expect(await admits(image(OTHER), anybody)).toBe(true);
    expect(await admits(image(OTHER), cell)).toBe(false);
    expect(await admits(image(PLACE), cell, {})).toBe(true);
  });

  test('whose place refuses is an error, not a layer that is missing', async () => {
    const refused = new Error('401');
    expect(await admits(image(PLACE), layer(ASKED), place(refused)).catch((error: unknown) => error)).toBe(
      refused,
    );
  });

  test('that a URL gave is for who has the URL, to its last character', async () => {
    const { placesOfUrls } = await import('../../../../lib/registry/blobs/layer-urls.ts');
    const url = 'https://blobs.example/droplet?signature=abc';
    const [from = ''] = placesOfUrls([url]);
    const key = layer({ to: 'cell', place: from });
    expect(await admits(image(LOCAL, [url]), key)).toBe(true);
    for (const other of [`${url}d`, 'https://blobs.example/droplet', 'https://thief.example/droplet'])
      expect(await admits(image(LOCAL, [other]), key)).toBe(false);
    expect(await admits(image(LOCAL), key)).toBe(false);
    // A registry's image may name URLs too; nobody fetches from them as the cell does.
    expect(await admits(image(OTHER, [url]), key)).toBe(false);
  });

  test('where nobody is to be asked is whoever’s that names it', async () => {
    const key = layer(ASKED);
    const authenticate = async () => 'never' as const;
    const admission = new Admission(
      { store: scratch.store, source: {}, signal: NEVER, authenticate },
      image(OTHER),
    );
    expect(await admission.ask([key])).toBe(true);
  });
});

describe('a remembered stack', () => {
  const openTo = (from: string, ...keys: LayerKey[]) =>
    new Admission({ store: scratch.store, source: {}, signal: NEVER }, image(from)).openTo(keys);
  const plan = (open: string | undefined) => ({ open }) as StackPlan;

  test('is open to those who are asked for none of its layers', () => {
    const cell = layer({ to: 'cell', place: PLACE });
    expect(openTo(PLACE, layer({ to: 'everybody' }))).toBe(EVERYBODY);
    expect(openTo(PLACE, layer({ to: 'everybody' }), cell)).toBe(PLACE);
    expect(openTo(OTHER, layer({ to: 'everybody' }), cell)).toBeUndefined();
    expect(openTo(PLACE, layer({ to: 'everybody' }), layer(ASKED))).toBeUndefined();
  });

  test.each<[string | undefined, string | undefined, boolean]>([
    [EVERYBODY, OTHER, true],
    [EVERYBODY, undefined, true],
    [PLACE, PLACE, true],
    [PLACE, OTHER, false],
    [LOCAL, PLACE, false],
    [undefined, undefined, false],
    [undefined, PLACE, false],
  ])('open to %p, for an image of %p: %p', (open, from, expected) => {
    expect(isOpen(plan(open), image(from))).toBe(expected);
  });
});

test('an invented digest that leads to another content is refused, and no stage is left', () => {
  const { store } = scratch;
  const key = layer({ to: 'cell', place: LOCAL });
  const staged = store.layers.stage();
  const record = plainRecord('something else', { key });
  const admission = new Admission({ store, source: {}, signal: NEVER }, image(LOCAL));
  const fetched = { staged, record, looks: 0, grant: { to: 'everybody' }, again: true } as const;
  const publish = () => publishDelivered(store, admission, [{ ...fetched, named: undefined as never }]);
  expect(publish).toThrow(expect.objectContaining({ code: 'LAYER_DIFFID_MISMATCH' }));
  expect(store.layers.grants(key)).toEqual([{ to: 'cell', place: LOCAL }]);
});
