/**
 * Looks at layers that are picked at random, for the verb `doctor`: they stand for the layers that no container has
 * used yet.
 */
import { type ByteName, bytesOf } from '../base/bytes.ts';
import { readDirents } from '../sys/kernel/dirents.ts';
import { close, openAt } from '../sys/kernel/files.ts';
import { check, libc, O } from '../sys/kernel/libc.ts';
import { isDirectory, S, statAt } from '../sys/kernel/stat.ts';
import { openBeneath } from './beneath.ts';
import type { LayerAnswer, ProbeStep, RandomLayersAnswer } from './probe-protocol.ts';
import { openIfThere } from './read-beneath.ts';

/** The number of bytes that are read of a file, and of names that are looked at to find one. */
const READ_BYTES = 128 * 1024;
const MAX_LOOKED_AT = 500;

/** @param look looks at a layer's directory as a create does */
export function lookAtRandomLayers(
  root: number,
  step: ProbeStep & { step: 'random layers' },
  look: (directory: string) => LayerAnswer,
): RandomLayersAnswer {
  const random = generator(step.seed);
  const found: { directory: string; answer: LayerAnswer }[] = [];
  const prefixes = shuffled(namesIn(root, step.layers, /^[0-9a-f]{2}$/), random);
  for (const prefix of prefixes) {
    const [name] = shuffled(namesIn(root, `${step.layers}/${prefix}`, /^[0-9a-f]{64}$/), random);
    if (name === undefined) continue;
    const directory = `${step.layers}/${prefix}/${name}`;
    found.push({ directory, answer: look(directory) });
    if (found.length >= step.count) break;
  }
  return { result: 'looked at', layers: found, read: firstRead(root, found) };
}

function firstRead(
  root: number,
  layers: readonly { directory: string; answer: LayerAnswer }[],
): { bytes: number; milliseconds: number } | undefined {
  for (const { directory, answer } of layers) {
    if (answer.result !== 'found') continue;
    const tree = openBeneath(root, Buffer.from(`${directory}/layerfs`), O.RDONLY | O.DIRECTORY);
    try {
      const file = someFile(tree);
      if (file !== undefined) return timedRead(tree, file);
    } finally {
      close(tree);
    }
  }
  return undefined;
}

/** The first regular file that is not empty, breadth first. */
function someFile(tree: number): ByteName | undefined {
  const todo: string[] = [''];
  let looked = 0;
  for (let path = todo.shift(); path !== undefined && looked < MAX_LOOKED_AT; path = todo.shift()) {
    const fd = openBeneath(tree, Buffer.from(path, 'latin1'), O.RDONLY | O.DIRECTORY);
    try {
      for (const { name } of readDirents(fd, path)) {
        looked += 1;
        const stat = statAt(fd, bytesOf(name));
        const at = (path === '' ? name : `${path}/${name}`) as ByteName;
        if ((stat.mode & S.IFMT) === S.IFREG && stat.size > 0) return at;
        if (isDirectory(stat)) todo.push(at);
      }
    } finally {
      close(fd);
    }
  }
  return undefined;
}

function timedRead(tree: number, path: ByteName): { bytes: number; milliseconds: number } {
  const started = performance.now();
  const fd = openBeneath(tree, bytesOf(path), O.RDONLY | O.NONBLOCK | O.NOFOLLOW);
  try {
    const buffer = new Uint8Array(READ_BYTES);
    const bytes = check(Number(libc.read(fd, buffer, buffer.length)), 'read', path);
    return { bytes, milliseconds: performance.now() - started };
  } finally {
    close(fd);
  }
}

function namesIn(root: number, path: string, pattern: RegExp): string[] {
  const fd = openIfThere(root, path, O.PATH | O.DIRECTORY);
  if (fd === undefined) return [];
  const list = openAt(fd, '.', O.RDONLY | O.DIRECTORY);
  try {
    return readDirents(list, path).flatMap(({ name }) => (pattern.test(name) ? [name] : []));
  } finally {
    close(list);
    close(fd);
  }
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

/** The minimal standard generator of Park and Miller. The parent passes the seed, so that a look can be repeated. */
function generator(seed: number): () => number {
  let state = (Math.trunc(seed) % 2147483646) + 1;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}
