import { PluginError } from '../base/errors/error.ts';
import { parseImageReference } from '../oci/reference.ts';

/** `publisher:` as its schema admits it. */
export interface PublisherFile {
  readonly listen?: string;
  readonly token_file: string;
  readonly queue: string;
  readonly allow: readonly AllowRule[];
  readonly max_queued?: number;
  readonly max_per_hour?: number;
}

export interface AllowRule {
  readonly registry: string;
  readonly repository: string;
  readonly targets: readonly string[];
}

export interface PublisherSettings {
  readonly hostname: string;
  readonly port: number;
  readonly tokenFile: string;
  readonly queue: string;
  readonly allow: readonly AllowRule[];
  readonly maxQueued: number;
  readonly maxPerHour: number;
}

/** An image that a request asks for. All parts have the form that references have. */
export interface Wish {
  readonly registry: string;
  readonly repository: string;
  readonly tag: string;
  readonly digest: string;
}

export function publisherSettings(file: PublisherFile): PublisherSettings {
  const listen = file.listen ?? '127.0.0.1:8087';
  const colon = listen.lastIndexOf(':');
  return {
    hostname: listen.slice(0, colon).replace(/^\[|\]$/g, ''),
    port: Number(listen.slice(colon + 1)),
    tokenFile: file.token_file,
    queue: file.queue.replace(/(?<=.)\/+$/, ''),
    allow: file.allow,
    maxQueued: file.max_queued ?? 1000,
    maxPerHour: file.max_per_hour ?? 120,
  };
}

/** Directories that belong to the agent's user keep root out of other people's trees. @throws PUBLISHER_ROOT */
export function refuseRoot({ allow }: PublisherSettings, uid: number): void {
  const target = allow.flatMap(({ targets }) => targets).find((one) => one.startsWith('directory:'));
  if (uid === 0 && target !== undefined) throw new PluginError('PUBLISHER_ROOT', { target });
}

/** The rules that allow a repository. The words of a request choose among them, and add nothing. */
export function rulesFor(allow: readonly AllowRule[], repository: string): AllowRule[] {
  return allow.filter((rule) => {
    if (!rule.repository.endsWith('*')) return rule.repository === repository;
    const prefix = rule.repository.slice(0, -1);
    return repository.startsWith(prefix) && repository.length > prefix.length;
  });
}

/** The wishes that a request comes to, one for each registry of the settings; undefined where its words are no names. */
export function wishesOf(
  allow: readonly AllowRule[],
  { repository, tag, digest }: Omit<Wish, 'registry'>,
): Wish[] | undefined {
  const wishes = rulesFor(allow, repository).map(({ registry }) => ({ registry, repository, tag, digest }));
  if (!(wishes.length > 0 ? wishes : [{ registry: 'registry.test', repository, tag, digest }]).every(isName))
    return undefined;
  return wishes.filter(({ registry }, at) => wishes.findIndex((other) => other.registry === registry) === at);
}

/** True when a reference means these very parts, so that no part holds another one. */
function isName({ registry, repository, tag, digest }: Wish): boolean {
  if (!/^[a-z0-9][a-z0-9._/-]*$/.test(repository) || !/^\w[\w.-]*$/.test(tag)) return false;
  try {
    const found = parseImageReference(`docker://${registry}/${repository}:${tag}@${digest}`);
    return (
      found.kind === 'registry' &&
      found.registry === registry &&
      found.repository === repository &&
      found.tag === tag &&
      found.digest === digest
    );
  } catch (error) {
    if (error instanceof PluginError) return false;
    throw error;
  }
}
