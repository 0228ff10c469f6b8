/** Writes graft.1 and graft-VERB.1 into a directory, and graft-settings.5 into a second one: ci/man DIRECTORY [DIRECTORY]. $SOURCE_DATE_EPOCH is the date on them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VERSION } from '../cmd/program/version.ts';
import { manual } from './manual/manual.ts';
import { manPages, settingsPage } from './manual/manual-roff.ts';
import { extraSettings, grootSettings } from './manual/manual-settings.ts';

const [directory, settings] = process.argv.slice(2);
if (directory === undefined) throw new Error('name the directory for the man pages: ci/man DIRECTORY');
const date = new Date(Number(process.env['SOURCE_DATE_EPOCH'] ?? 0) * 1000).toISOString().slice(0, 10);
mkdirSync(directory, { recursive: true });
for (const { file, text } of manPages(manual(), { version: VERSION, date }))
  writeFileSync(join(directory, file), text);
if (settings !== undefined) {
  mkdirSync(settings, { recursive: true });
  const { file, text } = settingsPage(grootSettings(), extraSettings(), { version: VERSION, date });
  writeFileSync(join(settings, file), text);
}
