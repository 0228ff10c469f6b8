import type { VerbContext } from '../program/verb-context.ts';

/** The part of a verb's context that sources of images use. */
export type SourceContext = Pick<VerbContext, 'settings' | 'extra' | 'credentials' | 'env' | 'log'>;
