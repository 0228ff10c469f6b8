import type { PublisherErrors } from '../../lib/base/errors/publisher.ts';

export const publisherSentences: { [C in keyof PublisherErrors]: (s: PublisherErrors[C]) => string } = {
  PUBLISHER_NO_SETTINGS: (s) =>
    `${s.source} say nothing about a publisher; write publisher: with token_file, queue and allow`,
  PUBLISHER_ROOT: (s) =>
    `the publisher does not write into ${s.target} as root; run it as the user to whom the directory belongs`,
  PUBLISHER_BAD_FILE: (s) => `${s.path} cannot be used by the publisher: ${s.reason}`,
  PUBLISHER_LISTEN: (s) =>
    `the publisher cannot listen on ${s.address}: ${s.reason}; choose another address under publisher.listen`,
  PUBLISHER_TAG_MOVED: (s) =>
    `${s.image} names ${s.now} now and not ${s.digest}, as the request said; send a request for the new image`,
  PUBLISHER_NOT_ALLOWED: (s) => `${s.image} is in no repository that publisher.allow of the settings has`,
};
