import { expect, test } from 'bun:test';
import { PluginError } from '../../../../lib/base/errors/error.ts';
import { parseIdOrPath, parseImageId } from '../../../../lib/store/layout/image-id.ts';

function codeOf(act: () => unknown): string {
  try {
    act();
    return 'none';
  } catch (error) {
    return error instanceof PluginError ? error.code : String(error);
  }
}

test.each([
  ['plain', 'none'],
  ['with space', 'none'],
  ['-leading-dash', 'none'],
  ['colon:comma,back\\slash', 'none'],
  ['..hidden', 'none'],
  ['é'.repeat(127), 'none'],
  ['', 'IMAGE_ID_INVALID'],
  ['.', 'IMAGE_ID_INVALID'],
  ['..', 'IMAGE_ID_INVALID'],
  ['a/b', 'IMAGE_ID_INVALID'],
  ['/', 'IMAGE_ID_INVALID'],
  ['new\nline', 'IMAGE_ID_INVALID'],
  ['nul\0', 'IMAGE_ID_INVALID'],
  ['é'.repeat(128), 'IMAGE_ID_INVALID'],
])('id %j: %s', (text, code) => {
  expect(codeOf(() => parseImageId(text))).toBe(code);
});

test.each([
  ['some-id', 'some-id'],
  ['/store/images/x', 'x'],
  ['/store//images///x/', 'x'],
])('%j is image %j', (argument, id) => {
  expect(parseIdOrPath(argument, '/store')).toBe(id as never);
});

test.each([
  '/store/images/',
  '/store/images/..',
  '/store/images/x/rootfs',
  '/store/images/x/../y',
  '/storeXimages/x',
  '/other/images/x',
  '/',
])('%j is outside the store', (argument) => {
  expect(codeOf(() => parseIdOrPath(argument, '/store'))).toBe('IMAGE_OUTSIDE_STORE');
});
