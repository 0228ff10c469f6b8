import type { PluginErrors } from '../../lib/base/errors/error.ts';
import { cacheSentences } from './cache.ts';
import { cliSentences } from './cli.ts';
import { commitSentences } from './commit.ts';
import { cvmfsSentences } from './cvmfs.ts';
import { exportSentences } from './export.ts';
import { imageSentences } from './image.ts';
import { layerSentences } from './layer.ts';
import { publishSentences } from './publish.ts';
import { publisherSentences } from './publisher.ts';
import { pushSentences } from './push.ts';
import { registrySentences } from './registry.ts';
import { runSentences } from './run.ts';
import { storeSentences } from './store.ts';
import { trustSentences } from './trust.ts';

type Sentences = { [C in keyof PluginErrors]: (s: PluginErrors[C]) => string };

/** The sentence of every code. A code without a sentence does not compile. */
export const sentences: Sentences = {
  ...cacheSentences,
  ...cliSentences,
  ...imageSentences,
  ...layerSentences,
  ...storeSentences,
  ...registrySentences,
  ...pushSentences,
  ...cvmfsSentences,
  ...publishSentences,
  ...publisherSentences,
  ...exportSentences,
  ...trustSentences,
  ...commitSentences,
  ...runSentences,
};
