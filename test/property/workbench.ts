/** Stacks made into mounted root filesystems by the library itself, many in one store and one process. */

import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isPluginError } from '../../lib/base/errors/error.ts';
import { GiB, MiB } from '../../lib/base/limits.ts';
import { silentLogger } from '../../lib/base/log.ts';
import { silentProgress } from '../../lib/base/progress.ts';
import { exportDirectory } from '../../lib/export/export-directory.ts';
import { OciLayoutSource } from '../../lib/image/source/from-oci-layout.ts';
import { LayoutDirectory } from '../../lib/image/source/layout-files.ts';
import { STACK_RULES, type StackRules } from '../../lib/image/stack/rules.ts';
import type { Unpacked, UnpackRequest } from '../../lib/layer/tree/types.ts';
import { FileSource } from '../../lib/layer/unpack/file-source.ts';
import type { UnpackBytes } from '../../lib/layer/unpack/unpack.ts';
import { unpackInto } from '../../lib/layer/unpack/unpack-into.ts';
import { platformOf } from '../../lib/oci/machine.ts';
import { OCI_LAYER } from '../../lib/oci/media-types.ts';
import { createImage } from '../../lib/plugin/create.ts';
import { removeImage } from '../../lib/store/collect/remove.ts';
import { unmountAllUnused } from '../../lib/store/collect/unmount-layers.ts';
import { parseImageId } from '../../lib/store/layout/image-id.ts';
import { SysError } from '../../lib/sys/kernel/errno.ts';
import { LayoutBuilder, named } from '../support/images/layout-builder.ts';
import { NO_URLS } from '../support/images/no-urls.ts';
import { PROJECT } from '../support/shell.ts';
import { type ScratchStore, scratchStore } from '../support/stores/scratch-store.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import { archive, blobOf, digestHex, type Layer, type LayerStack } from './entries.ts';

/** Starting a thread for each of a few entries takes most of a case's time, and has tests of its own. */
const CASES_PER_THREAD = 10;
/** Layers of a finished case stay in the store; a new one now and then keeps it small. */
const CASES_PER_STORE = 500;
const BUDGET = { tarBytes: GiB, entries: 10_000, ratio: 200, ratioFloor: 64 * MiB, stallSeconds: 60 };

export interface WorkbenchOptions {
  /** One rule of the stack less, to see what it is for. */
  readonly without?: keyof StackRules | undefined;
  /** How layers are written; directories unless it is said. */
  readonly layers?: 'directories' | 'images' | undefined;
}

export class Workbench implements AsyncDisposable {
  readonly #dir: TempDir = tempDir();
  readonly #rules: StackRules;
  readonly #layers: NonNullable<WorkbenchOptions['layers']>;
  #scratch: ScratchStore | undefined;
  #cases = 0;

  constructor({ without, layers = 'directories' }: WorkbenchOptions = {}) {
    this.#layers = layers;
    this.#rules = without === undefined ? STACK_RULES : { ...STACK_RULES, [without]: false };
  }

  /** Gives the layout of a stack to `use`, and removes it afterwards. */
  async inLayout<T>(stack: LayerStack, use: (directory: string) => Promise<T>): Promise<T> {
    this.#cases += 1;
    const directory = this.#dir.at(`layout-${this.#cases}`);
    mkdirSync(directory);
    try {
      writeLayout(directory, stack);
      return await use(directory);
    } finally {
      rmSync(directory, { recursive: true });
    }
  }

  /**
   * Mounts what a layout holds and gives it to `use`.
   * @returns what `use` returns, or the code of the error if there is no such root filesystem
   */
  async mounted<T>(
    layout: string,
    use: (rootfs: string) => T,
  ): Promise<{ readonly value: T } | { readonly refused: string }> {
    const { store } = await this.#store();
    const id = parseImageId(`case-${this.#cases}`);
    const source = sourceOf(layout);
    try {
      await createImage(
        {
          store,
          source,
          log: silentLogger,
          progress: silentProgress,
          signal: new AbortController().signal,
          unpack: this.#cases % CASES_PER_THREAD === 0 ? undefined : unpackHere,
          workerUrl: join(PROJECT, 'cmd/unpack-worker.ts'),
          budget: BUDGET,
          concurrency: 2,
          stackRules: this.#rules,
        },
        { id, limit: undefined, mount: true },
      );
      return { value: use(store.layout.rootfs(id)) };
    } catch (error) {
      if (isPluginError(error)) return { refused: error.code };
      if (error instanceof SysError) return { refused: `${error.code} ${error.message}` };
      throw error;
    } finally {
      await source.close();
      await removeImage(store, id, silentLogger);
      unmountAllUnused(store, silentLogger);
    }
  }

  /**
   * Exports what a layout holds into a directory and gives it to `use`.
   * @returns as `mounted`
   */
  async exported<T>(
    layout: string,
    use: (rootfs: string) => T,
  ): Promise<{ readonly value: T } | { readonly refused: string }> {
    const source = sourceOf(layout);
    const target = `${layout}.exported`;
    try {
      await exportDirectory(
        {
          source,
          log: silentLogger,
          progress: silentProgress,
          signal: new AbortController().signal,
          unpack: this.#cases % CASES_PER_THREAD === 0 ? undefined : unpackHere,
          workerUrl: join(PROJECT, 'cmd/unpack-worker.ts'),
          budget: BUDGET,
          attributes: 'set',
        },
        target,
      );
      return { value: use(target) };
    } catch (error) {
      if (isPluginError(error)) return { refused: error.code };
      if (error instanceof SysError) return { refused: `${error.code} ${error.message}` };
      throw error;
    } finally {
      await source.close();
      rmSync(target, { recursive: true, force: true });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scratch?.[Symbol.asyncDispose]();
    await this.#dir.remove();
  }

  async #store(): Promise<ScratchStore> {
    if (this.#scratch !== undefined && this.#cases % CASES_PER_STORE !== 0) return this.#scratch;
    await this.#scratch?.[Symbol.asyncDispose]();
    this.#scratch = await scratchStore(undefined, undefined, this.#layers);
    return this.#scratch;
  }
}

/** In this thread. */
export async function unpackHere(request: UnpackRequest, bytes: UnpackBytes): Promise<Unpacked> {
  if (bytes.kind !== 'file') throw new Error('a layout gives files');
  const source = new FileSource(bytes.path);
  try {
    return await unpackInto(request, source, { checkpoint() {}, largeWindow: () => Promise.resolve() });
  } finally {
    source.close();
  }
}

function sourceOf(directory: string): OciLayoutSource {
  return new OciLayoutSource({
    place: { transport: 'oci', path: directory, ref: undefined },
    files: new LayoutDirectory(directory, 'refuse'),
    platform: platformOf(process.arch),
    skipLayerValidation: false,
    remote: NO_URLS,
    log: silentLogger,
  });
}

function writeLayout(directory: string, stack: LayerStack): void {
  const builder = new LayoutBuilder(directory);
  const made = new Map<Layer, { descriptor: ReturnType<LayoutBuilder['layer']>; diffId: string }>();
  for (const layer of new Set(stack)) {
    const tarBytes = archive(layer);
    const mediaType = layer.packing === 'gzip' ? `${OCI_LAYER}+gzip` : OCI_LAYER;
    const descriptor = builder.blob(mediaType, blobOf(layer, tarBytes));
    made.set(layer, { descriptor, diffId: `sha256:${digestHex(tarBytes)}` });
  }
  const layers = stack.flatMap((layer) => made.get(layer) ?? []);
  const config = builder.config(layers.map(({ diffId }) => diffId));
  const manifest = builder.image(
    layers.map(({ descriptor }) => descriptor),
    { config },
    named('latest'),
  );
  builder.write([manifest]);
}
