/** `graft publish` without its command line: an image of a layout into a directory. */

import { silentLogger } from '../../../lib/base/log.ts';
import { silentProgress } from '../../../lib/base/progress.ts';
import { OciLayoutSource } from '../../../lib/image/source/from-oci-layout.ts';
import { platformOf } from '../../../lib/oci/platform.ts';
import { withTarget } from '../../../lib/publish/open-target.ts';
import { type PublishDeps, type PublishedImage, publishImage } from '../../../lib/publish/publish.ts';
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
  return new OciLayoutSource({
    reference: { kind: 'oci', directory: url.slice('oci://'.length), ref: undefined },
    platform: platformOf(process.arch),
    skipLayerValidation: false,
    remote: NO_URLS,
    log: silentLogger,
    onDocument,
  });
}

export function publishLayout({ root, url, name, changes, uid = 0 }: PublishLayout): Promise<PublishedImage> {
  const signal = new AbortController().signal;
  const server = { program: 'cvmfs_server', env: {}, scratch: '/nonexistent' };
  const user = { uid, gid: uid };
  const target = {
    text: `directory:${root}`,
    user,
    signal,
    readOnly: changes?.dryRun === true,
    server,
  };
  return withTarget(target, (opened, whileHeld) =>
    publishImage(
      {
        target: opened,
        signal: whileHeld,
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
    ),
  );
}
