import type { Verb } from '../cli/definitions.ts';
import type { RunVerb } from '../program/verb-context.ts';

/** The module of each verb, which is loaded when it is called, so that a verb pays for its own imports only. */
export const verbModules: { readonly [V in Verb]: () => Promise<{ readonly run: RunVerb<V> }> } = {
  capacity: () => import('./capacity.ts'),
  check: () => import('./check.ts'),
  clean: () => import('./clean.ts'),
  commit: () => import('./commit.ts'),
  completion: () => import('./completion.ts'),
  config: () => import('./config.ts'),
  create: () => import('./create.ts'),
  delete: () => import('./delete.ts'),
  'delete-store': () => import('./delete-store.ts'),
  diff: () => import('./diff.ts'),
  export: () => import('./export.ts'),
  'generate-volume-size-metadata': () => import('./generate-volume-size-metadata.ts'),
  doctor: () => import('./doctor.ts'),
  help: () => import('./help.ts'),
  'init-store': () => import('./init-store.ts'),
  inspect: () => import('./inspect.ts'),
  list: () => import('./list.ts'),
  publish: () => import('./publish.ts'),
  pull: () => import('./pull.ts'),
  publisher: () => import('./publisher.ts'),
  push: () => import('./push.ts'),
  run: () => import('./run.ts'),
  spec: () => import('./spec.ts'),
  stats: () => import('./stats.ts'),
  tree: () => import('./tree.ts'),
  unpublish: () => import('./unpublish.ts'),
  usage: () => import('./usage.ts'),
  version: () => import('./version.ts'),
};
