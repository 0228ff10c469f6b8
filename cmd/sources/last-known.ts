/** Images that start while their registry cannot answer (`registries.when_unreachable`). */
import { LastKnownSource } from '../../lib/image/source/last-known-source.ts';
import type { ImageSource } from '../../lib/image/source/source.ts';
import { formatPlatform, type Machine } from '../../lib/oci/machine.ts';
import { formatReference, type RegistryReference, repositoryOf } from '../../lib/oci/reference.ts';
import type { RegistriesFile } from '../../lib/registry/policy/settings.ts';
import { LastKnownImages } from '../../lib/store/records/last-known.ts';
import type { Store } from '../../lib/store/store.ts';
import type { Guard } from '../../lib/trust/guard.ts';
import type { SourceContext } from './context.ts';

/** As the schema of the settings says. */
const MAX_AGE_HOURS = 168;
const HOUR_MS = 3_600_000;

export function lastKnownSource(
  { credentials, log }: SourceContext,
  { last_known_max_age_hours: hours = MAX_AGE_HOURS }: RegistriesFile,
  image: {
    readonly reference: RegistryReference;
    readonly platform: Machine;
    readonly store: Store;
    readonly source: ImageSource;
    readonly guard: Guard | undefined;
  },
): ImageSource {
  const { reference, platform, store, source, guard } = image;
  const given = reference.userinfo ?? credentials;
  return new LastKnownSource(source, {
    images: new LastKnownImages(store.layout),
    name: `${formatReference(reference)} ${formatPlatform(platform)}`,
    repository: repositoryOf(reference),
    credentials: given && `${given.username}\0${given.password.reveal()}`,
    maxAgeMs: hours * HOUR_MS,
    guard,
    log,
  });
}
