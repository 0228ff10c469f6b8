import type { PushErrors } from '../../lib/base/errors/push.ts';
import { printable } from '../../lib/base/text.ts';

export const pushSentences: { [C in keyof PushErrors]: (s: PushErrors[C]) => string } = {
  PUSH_DENIED: (s) =>
    `${s.registry}/${s.repository}: the registry does not allow this push (${s.reason}); check the name, and that the ` +
    'account may push it',
  PUSH_REFUSED: (s) =>
    `${s.registry}/${s.repository}: the registry refuses ${s.what} with status ${s.status}: ${s.reason}; check the name, ` +
    'or ask who runs the registry',
  PUSH_MANIFEST_REFUSED: (s) =>
    `${s.registry}/${s.repository}: the registry does not take a manifest of the type ${printable(s.mediaType)}: ` +
    `${s.reason}; convert the image (skopeo copy --format v2s2 or oci), or ask who runs the registry`,
  PUSH_RATE_LIMITED: (s) =>
    `${s.registry} limits how many requests it takes: ${s.reason}; try again ` +
    `${s.retryAfterSeconds === undefined ? 'later' : `in ${s.retryAfterSeconds} seconds`}`,
  PUSH_UPLOAD_LOST: (s) =>
    `${s.registry} forgot the upload of ${s.digest} ${s.times} times; several servers behind one name that do not share ` +
    'their storage do this: ask who runs the registry',
  PUSH_NO_PROGRESS: (s) =>
    `${s.registry} answers, but takes no more than ${s.taken} of the ${s.size} bytes of ${s.digest}; ask who runs the ` +
    'registry whether its disk is full',
  PUSH_NOT_KEPT: (s) =>
    `${s.registry} accepted ${s.what}, but ${s.reason}; push again, and ask who runs the registry if that does not help`,
  PUSH_BLOB_DAMAGED: (s) =>
    `${s.digest} is damaged: ${s.reason}; nothing of it was pushed: make the image again`,
  PUSH_OTHER_DIGEST: (s) =>
    `${s.reference} names another image than the one to push, which is ${s.digest}; leave the digest out, or correct it`,
};
