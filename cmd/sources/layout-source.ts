/** Images in OCI layouts. */
import type { OciLayoutOptions } from '../../lib/image/source/from-oci-layout.ts';
import type { ImageSource } from '../../lib/image/source/source.ts';
import type { Machine } from '../../lib/oci/machine.ts';
import type { LayoutReference } from '../../lib/oci/reference.ts';
import type { Guard } from '../../lib/trust/guard.ts';
import type { SourceContext } from './context.ts';

/** Seconds without a byte after which the transfer of a remote layer counts as broken. */
const REMOTE_IDLE_SECONDS = 30;

/** @param onDocument takes the bytes of manifests and the configuration */
export async function openLayout(
  context: SourceContext,
  reference: LayoutReference,
  platform: Machine,
  guard: Guard | undefined,
  onDocument?: (bytes: Uint8Array) => void,
): Promise<ImageSource> {
  const { LayoutDirectory } = await import('../../lib/image/source/layout-files.ts');
  const { skipLayerValidation } = context.settings.create;
  const { directory: path, ref } = reference;
  const files = new LayoutDirectory(path, skipLayerValidation ? 'follow' : 'refuse');
  const place = { transport: 'oci', path, ref } as const;
  return layoutSource(context, { place, files, platform, guard, onDocument });
}

/** The source of an image in a layout, with the settings of flags, files and environment. */
export async function layoutSource(
  { settings, env, log }: SourceContext,
  layout: Pick<OciLayoutOptions, 'place' | 'files' | 'platform' | 'guard' | 'onDocument'>,
): Promise<ImageSource> {
  const [{ OciLayoutSource }, { Secret }, { VERSION }] = await Promise.all([
    import('../../lib/image/source/from-oci-layout.ts'),
    import('../../lib/base/secret.ts'),
    import('../program/version.ts'),
  ]);
  const { skipLayerValidation, remoteLayerCertificates: certificates } = settings.create;
  const { http, https, no } = env.proxy;
  const secret = (value: string | undefined) => (value === undefined ? undefined : new Secret(value));
  const remote = {
    certificates,
    proxies: { http: secret(http), https: secret(https), no },
    roots: { file: env.sslCertFile, directories: env.sslCertDir },
    userAgent: `graft/${VERSION}`,
    idleSeconds: REMOTE_IDLE_SECONDS,
  };
  return new OciLayoutSource({ ...layout, skipLayerValidation, remote, log });
}
