/** Writes the pages of docs/ that are made of definitions and schemas. `ci/docs DIRECTORY` writes them elsewhere. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { manual } from './manual/manual.ts';
import { configurationMarkdown } from './manual/manual-configuration.ts';
import { manualMarkdown } from './manual/manual-markdown.ts';
import { extraSettings, grootSettings } from './manual/manual-settings.ts';

const DOCS = join(import.meta.dir, '../docs');

/** Every generated page by its file name. */
export function generatedPages(): Readonly<Record<string, string>> {
  const example = (name: string) => readFileSync(join(DOCS, 'examples', name), 'utf8');
  return {
    'verbs.md': manualMarkdown(manual()),
    'configuration.md': configurationMarkdown({
      groot: grootSettings(),
      extra: extraSettings(),
      grootExample: example('graft.yml'),
      extraExample: example('settings.yml'),
    }),
  };
}

if (import.meta.main) {
  const [directory = DOCS] = process.argv.slice(2);
  mkdirSync(directory, { recursive: true });
  for (const [name, text] of Object.entries(generatedPages())) writeFileSync(join(directory, name), text);
}
