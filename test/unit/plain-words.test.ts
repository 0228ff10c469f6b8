/** The check of comments, sentences and names finds what it is for, and nothing else. */
import { describe, expect, test } from 'bun:test';
import { badOpenings, commentsOf, complaints, glossaryWords } from '../../ci/plain-words.ts';

const none = new Set<string>();

describe('comments', () => {
  test('are read in every form, with the line where they start', () => {
    const source =
      '/** One line. */\nconst a = 1; // behind code\n// First\n// second.\n\n/**\n * Block\n * goes on.\n */\n';
    expect(commentsOf(source)).toEqual([
      { line: 1, text: 'One line.' },
      { line: 3, text: 'First' },
      { line: 6, text: 'Block goes on.' },
    ]);
  });

  test.each([
    ['What a walk found.', 1],
    ['A layer. Whoever deletes it waits.', 1],
    ['A layer. @param x One that is there', 0],
    ['@returns What is left', 0],
    ['It ends: each rejection removes a mirror.', 1],
    ['Those of the store.', 1],
    ['Numbers. Those above 424 are the same.', 1],
    ['One of the layers has no owner.', 0],
    ['A layer is what it is. The one that stays wins.', 0],
  ])('%s', (text, bad) => {
    expect(badOpenings(text)).toHaveLength(bad);
  });
});

test('names of files and exports with a word of our own fail unless the glossary has it', () => {
  const source = 'export function tryClaim() {}\nexport const place = 1;\nfunction phantoms() {}\n';
  expect(complaints('lib/store/claim.ts', source, none)).toEqual([
    'lib/store/claim.ts: an invented word: claim: claim',
    'lib/store/claim.ts: an invented word: tryClaim: claim',
    'lib/store/claim.ts: an invented word: place: place',
  ]);
  const glossary = glossaryWords(
    '| word | meaning |\n|---|---|\n| claim | A file. |\n| holder, place | x |\n',
  );
  expect(complaints('lib/store/claim.ts', source, glossary)).toEqual([]);
});

test('sentences are read in the folder of sentences only', () => {
  const source = "const a = () => 'What the registry sent is no manifest.';\n";
  expect(complaints('cmd/sentences/image.ts', source, none)).toHaveLength(1);
  expect(complaints('cmd/verbs/create.ts', source, none)).toEqual([]);
});
