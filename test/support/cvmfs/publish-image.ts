/** `graft publish` without its command line: an image of a layout into a directory. */

import { silentLogger } from '../../../lib/base/log.ts';
import { silentProgress } from '../../../lib/base/progress.ts';
import { OciLayoutSource } from '../../../lib/image/source/from-oci-layout.ts';
import { LayoutDirectory } from '../../../lib/image/source/layout-files.ts';
import { platformOf } from '../../../lib/oci/machine.ts';
import { withTarget } from '../../../lib/publish/open-target.ts';
import { type PublishDeps, type PublishedImage, publishImage } from '../../../lib/publish/publish.ts';
import type { PublishTarget } from '../../../lib/publish/targets/target.ts';
import { unpackHere } from '../../property/workbench.ts';
import { NO_URLS } from '../images/no-urls.ts';

const LIMITS = { tarBytes: 2 ** 30, entries: 100_000, ratio: 200, ratioFloor: 2 ** 30, stallSeconds: 600 };

export interface PublishLayout {
  readonly root: string;
  /** `oci:///DIRECTORY` */
  readonly url: string;
  readonly name: string;
  readonly changes?: Partial<PublishDeps>;
  readonly uid?: number;
}

/** The layout of an image. @param onDocument takes its manifest and configuration */
export function layoutSource(url: string, onDocument?: (bytes: Uint8Array) => void): OciLayoutSource {
  const path = url.slice('oci://'.length);
  return new OciLayoutSource({
    place: { transport: 'oci', path, ref: undefined },
    files: new LayoutDirectory(path, 'refuse'),
    platform: platformOf(process.arch),
    skipLayerValidation: false,
    remote: NO_URLS,
    log: silentLogger,
    onDocument,
  });
}

/** Runs `use` with a directory as the target. */
export function openDirectory<T>(
  root: string,
  use: (target: PublishTarget, signal: AbortSignal) => Promise<T>,
  { uid = 0, readOnly = false } = {},
): Promise<T> {
  const server = { program: 'cvmfs_server', env: {}, scratch: '/nonexistent' };
  const { signal } = new AbortController();
  return withTarget({ text: `directory:${root}`, user: { uid, gid: uid }, signal, readOnly, server }, use);
}

export function publishLayout({ root, url, name, changes, uid = 0 }: PublishLayout): Promise<PublishedImage> {
  const publish = (target: PublishTarget, signal: AbortSignal) =>
    publishImage(
      {
        target,
        signal,
        log: silentLogger,
        progress: silentProgress,
        unpack: unpackHere,
        workerUrl: 'file:///nowhere',
        budget: LIMITS,
        concurrency: 2,
        keepUntil: undefined,
        dryRun: false,
        ...changes,
      },
      {
        image: url,
        name,
        open: async (documents) => layoutSource(url, (bytes) => documents.add(bytes)),
      },
    );
  return openDirectory(root, publish, { uid, readOnly: changes?.dryRun === true });
}
