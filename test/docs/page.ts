/** Pages of the documentation, as tests read them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PROJECT } from '../support/shell.ts';

export interface Block {
  readonly language: string;
  readonly text: string;
}

export function readPage(page: string): string {
  return readFileSync(join(PROJECT, page), 'utf8');
}

/** Every page that people read: those of docs/ and the rest of the project. */
export function pages(): string[] {
  const below = (directory: string) =>
    readdirSync(join(PROJECT, directory), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.md'))
      .map((name) => `${directory}/${name}`);
  return [
    'README.md',
    'CONTRIBUTING.md',
    'CHANGELOG.md',
    'SECURITY.md',
    'licences/README.md',
    ...below('docs'),
    ...below('bosh'),
  ].sort();
}

/** All code blocks, in order. */
export function allBlocks(page: string): Block[] {
  return [...readPage(page).matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language = '', text = '']) => ({
    language,
    text,
  }));
}

/** Code blocks of one language, in order. */
export function blocks(page: string, language: string): string[] {
  return allBlocks(page).flatMap((block) => (block.language === language ? [block.text] : []));
}

/** Links to files that are not there, and to headings that their page does not have. */
export function brokenLinks(page: string, content = readPage(page)): string[] {
  const text = content.replace(/^```[\s\S]*?^```$/gm, '');
  return [...text.matchAll(/\]\((?!https?:)([^)]*)\)/g)].flatMap(([, target = '']) => {
    const [path = '', heading] = target.split('#');
    const file = path === '' ? page : join(dirname(page), path);
    if (!existsSync(join(PROJECT, file))) return [`${page}: ${target}`];
    return heading === undefined || headings(file).includes(heading) ? [] : [`${page}: ${target}`];
  });
}

/** Headings as GitHub makes anchors of them. */
function headings(page: string): string[] {
  return [...readPage(page).matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
