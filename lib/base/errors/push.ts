/** Errors of sending an image to a registry. `registry` is host[:port], never a URL with userinfo. */
export interface PushErrors {
  /** The account may not push there. */
  PUSH_DENIED: { registry: string; repository: string; reason: string };
  /** The registry refuses a request of an upload for good. `what`: the content that was sent. */
  PUSH_REFUSED: { registry: string; repository: string; what: string; status: number; reason: string };
  /** The registry does not take a manifest of this media type, or does not like its content. */
  PUSH_MANIFEST_REFUSED: { registry: string; repository: string; mediaType: string; reason: string };
  /** The registry limits the number of requests. */
  PUSH_RATE_LIMITED: { registry: string; reason: string; retryAfterSeconds: number | undefined };
  /** The registry forgot the upload of a blob so many times. */
  PUSH_UPLOAD_LOST: { registry: string; digest: string; times: number };
  /** The registry answers, but takes no more bytes of a blob. */
  PUSH_NO_PROGRESS: { registry: string; digest: string; taken: number; size: number };
  /** The registry says that all is well, and has something else or nothing. */
  PUSH_NOT_KEPT: { registry: string; what: string; reason: string };
  /** The bytes that should be sent are not those of their digest. */
  PUSH_BLOB_DAMAGED: { digest: string; reason: string };
  /** The target has a digest, and the image that is pushed has another one. */
  PUSH_OTHER_DIGEST: { reference: string; digest: string };
}
