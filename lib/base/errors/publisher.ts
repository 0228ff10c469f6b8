/** Errors of the agent that publishes on request. */
export interface PublisherErrors {
  /** The settings have no `publisher:` part. */
  PUBLISHER_NO_SETTINGS: { source: string };
  /** Root would write into a directory that names and layers of other people's images fill. */
  PUBLISHER_ROOT: { target: string };
  /** The file with the token, or the directory of the queue. */
  PUBLISHER_BAD_FILE: { path: string; reason: string };
  PUBLISHER_LISTEN: { address: string; reason: string };
  /** The tag names another image than the request that waited. */
  PUBLISHER_TAG_MOVED: { image: string; digest: string; now: string };
  /** The settings do not allow the repository any more. */
  PUBLISHER_NOT_ALLOWED: { image: string };
}
