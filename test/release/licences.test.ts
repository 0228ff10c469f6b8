/** The texts in licences/: all that is named is there, and all that the runtime says it holds is named. */
import { describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RuntimePart } from '../../ci/sbom.ts';
import { PROJECT } from '../support/shell.ts';

const LICENCES = join(PROJECT, 'licences');
const read = (name: string) => readFileSync(join(LICENCES, name), 'utf8');
const parts = JSON.parse(read('components.json')) as RuntimePart[];

/** Versions of interfaces and standards, or of what Bun stands in for, and not of code that it holds. */
const NO_CODE = ['node', 'v8', 'modules', 'napi', 'unicode', 'openssl', 'typescript'];

describe('components.json', () => {
  test('has every library whose version the runtime gives', () => {
    const named = parts.map(({ versionKey }) => versionKey);
    const known = Object.keys(process.versions).filter((key) => !NO_CODE.includes(key));
    expect(known.filter((key) => !named.includes(key))).toEqual([]);
    expect(named.filter((key) => key !== undefined && !known.includes(key))).toEqual([]);
  });

  test('names texts that are there, and leaves none out', () => {
    const texts = readdirSync(LICENCES).filter((name) => name.endsWith('.txt'));
    expect([...new Set(parts.flatMap(({ files }) => files))].sort()).toEqual(texts.sort());
    for (const text of texts) expect([text, read(text).length > 700]).toEqual([text, true]);
  });

  test('has the whole text of each licence it names', () => {
    const words: Readonly<Record<string, RegExp>> = {
      MIT: /Permission is hereby granted, free of charge/,
      'Apache-2.0': /Apache License\s+Version 2.0/,
      'LGPL-2.0-or-later': /GNU LIBRARY GENERAL PUBLIC LICENSE/,
      'LGPL-2.1-or-later': /GNU LESSER GENERAL PUBLIC LICENSE/,
      'MPL-2.0': /Mozilla Public License Version 2.0/i,
      Zlib: /provided 'as-is'/,
      'Unicode-3.0': /UNICODE LICENSE V3/,
      'BSD-2-Clause': /Redistributions in binary form/,
      'BSD-3-Clause': /Neither the name|names? of/,
      ISC: /Permission to use, copy, modify, and\/or distribute this software/,
    };
    for (const { name, licence, files } of parts) {
      const text = files.map(read).join('\n');
      const needed = licence.split(/ (?:AND|WITH) /).filter((each) => !each.includes(' OR '));
      for (const one of needed)
        if (words[one] !== undefined) expect([name, one, words[one].test(text)]).toEqual([name, one, true]);
    }
  });
});

test('the page says which text stands for which component', () => {
  const rows = read('README.md').split('\n');
  for (const { name, licence, files } of parts) {
    const row = rows.find((line) => line.startsWith(`| ${name} `)) ?? '';
    expect(row).toContain(licence);
    for (const file of files) expect(row).toContain(`(${file})`);
  }
});
