/** The bodies of requests: notifications of docker-registry and of Harbor, and direct requests. */
import { isDockerNotification, isHarborNotification, isPublishRequest } from '../oci/generated/validators.js';
import { JsonRefused, parseJson } from '../oci/json.ts';
import type { Wish } from './settings.ts';

/** The most bytes of a body. A notification of docker-registry has about a KiB for each event. */
export const MAX_BODY_BYTES = 1024 * 1024;

type Asked = Omit<Wish, 'registry'>;

interface DockerEvent {
  readonly action: string;
  readonly target: { readonly repository?: string; readonly tag?: string; readonly digest?: string };
}

interface HarborNotification {
  readonly type: string;
  readonly event_data: {
    readonly resources?: readonly { readonly digest?: string; readonly tag?: string }[];
    readonly repository?: { readonly repo_full_name?: string };
  };
}

/** The images of a notification. Pulls, deletes, single layers and images without a tag come to none. @throws JsonRefused */
export function readNotification(body: Uint8Array): Asked[] {
  const document = parseJson(body, MAX_BODY_BYTES);
  if (isDockerNotification(document))
    return (document as { events: DockerEvent[] }).events.flatMap(fromDocker);
  if (isHarborNotification(document)) return fromHarbor(document as HarborNotification);
  throw new JsonRefused('it is no notification of docker-registry or Harbor');
}

/** @throws JsonRefused */
export function readPublishRequest(body: Uint8Array): Asked {
  const document = parseJson(body, MAX_BODY_BYTES);
  if (isPublishRequest(document)) return document as Asked;
  throw new JsonRefused('write {"repository": …, "tag": …, "digest": "sha256:…"}');
}

/** docker-registry tells of a tag only where one was pushed: not of layers and the children of an index. */
function fromDocker({ action, target: { repository, tag, digest } }: DockerEvent): Asked[] {
  return action === 'push' ? complete(repository, tag, digest) : [];
}

function fromHarbor({ type, event_data: { resources = [], repository } }: HarborNotification): Asked[] {
  if (type !== 'PUSH_ARTIFACT') return [];
  return resources.flatMap(({ tag, digest }) => complete(repository?.repo_full_name, tag, digest));
}

function complete(repository?: string, tag?: string, digest?: string): Asked[] {
  return repository && tag && digest ? [{ repository, tag, digest }] : [];
}
