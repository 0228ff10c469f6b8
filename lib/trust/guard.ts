/**
 * Decides whether an image may run, before its configuration and its layers are read. A verdict is kept in the store, so
 * that a create of an image that was judged before only reads the configuration and one record. The code that judges is
 * loaded for all others.
 */
import { PluginError } from '../base/errors/error.ts';
import type { Logger } from '../base/log.ts';
import type { ImageReference } from '../oci/reference.ts';
import { formatReference } from '../oci/reference.ts';
import type { RegistryPolicy } from '../registry/policy/policy.ts';
import type { TrustRecord } from '../store/records/image-record.ts';
import type { Store } from '../store/store.ts';
import { type Configuration, readConfiguration } from './configuration.ts';
import type { SignatureRepository } from './find/sigstore-artefacts.ts';
import type { FoundDocuments } from './policy/verdict.ts';
import type { TrustSettings } from './settings.ts';
import { directoryOf, shownAs } from './verdict-name.ts';

export interface GuardOptions {
  readonly settings: TrustSettings;
  /** As the caller asked for the image. */
  readonly reference: ImageReference;
  /** Where verdicts are kept; undefined for a caller without a store, who judges each time. */
  readonly store: Store | undefined;
  /** `tell`: a refused image passes, and its record says so. */
  readonly atRefusal: 'throw' | 'tell';
  /** Directories with programs, colon-separated. */
  readonly path: string;
  /** For places of signatures behind HTTP. */
  readonly registries: () => Promise<RegistryPolicy>;
  /** The repository of the image, for a caller that has none open; undefined for images outside a registry. */
  readonly repository: () => Promise<SignatureRepository | undefined>;
  /** @throws CONFIG_SYNTAX */
  readonly parseYaml: (path: string, text: string) => Promise<unknown>;
  readonly log: Logger;
  readonly now?: () => number;
}

/** The guard of one image. */
export class Guard {
  readonly #options: GuardOptions;
  readonly #configuration: Configuration;
  readonly #now: () => number;
  readonly #verdicts = new Map<string, TrustRecord>();
  /** The part of a verdict's key that names the image. */
  #name: string | undefined;

  /** @throws CONFIG_MISSING */
  constructor(options: GuardOptions) {
    this.#options = options;
    this.#configuration = readConfiguration(options.settings);
    this.#now = options.now ?? Date.now;
  }

  /** The names of CVMFS repositories whose layers may be used although a signature is demanded. */
  get acceptsUnverified(): readonly string[] {
    return this.#options.settings.acceptUnverifiedLayers;
  }

  /** The verdict that lets an image through, of this call or kept; undefined: it has to be judged. */
  accepted(digest: string | undefined): TrustRecord | undefined {
    const key = this.#keyOf(digest);
    const record = this.#verdicts.get(key) ?? this.#options.store?.sources.verdict(key);
    return record?.until !== undefined && record.until <= this.#now() ? undefined : record;
  }

  /**
   * Lets an image through or refuses it.
   * @param repository of the image, as the caller reads it; undefined: the guard opens it where it is needed
   * @throws TRUST_REFUSED; CONFIG_* for a policy that cannot be judged by; TRUST_GPGV, TRUST_LOOKASIDE, REGISTRY_*
   */
  async admit(
    documents: FoundDocuments,
    signal: AbortSignal,
    repository?: SignatureRepository,
  ): Promise<TrustRecord> {
    const known = this.accepted(documents.digest);
    if (known !== undefined) return known;
    const { reference, settings, store, log, atRefusal } = this.#options;
    const [{ judge }, { askedFor }, rules] = await Promise.all([
      import('./judge.ts'),
      import('./asked.ts'),
      this.#rules(),
    ]);
    const asked = askedFor(reference, directoryOf(reference));
    const judged = await judge(rules, asked, documents, this.#evidence(repository), signal);
    const { policy } = settings;
    const { digest } = documents;
    const image = formatReference(reference);
    if (!judged.ok) {
      const { scope, demanded, found } = judged;
      log.info('image-refused', { image, digest, policy, scope, demanded, found });
      const { transport } = asked;
      if (atRefusal === 'throw')
        throw new PluginError('TRUST_REFUSED', { image, digest, policy, transport, scope, demanded, found });
      return this.#keep(digest, { scope, accepted: [], refused: { demanded, found } });
    }
    const record = this.#keep(digest, judged.record);
    log.info('image-trusted', { image, digest, ...record });
    store?.sources.rememberVerdict(this.#keyOf(digest), record);
    return record;
  }

  #keep(digest: string | undefined, verdict: Omit<TrustRecord, 'policy' | 'configuration'>): TrustRecord {
    const { policy } = this.#options.settings;
    const record = { policy, configuration: this.#configuration.digest, ...verdict };
    this.#verdicts.set(this.#keyOf(digest), record);
    return record;
  }

  async #rules() {
    const { settings, parseYaml } = this.#options;
    const { readRules } = await import('./rules.ts');
    return readRules(settings, this.#configuration, parseYaml);
  }

  #evidence(given: SignatureRepository | undefined) {
    const { store, path, registries, repository: open, settings, log } = this.#options;
    const http = async () => {
      const { openHttp } = await import('./find/http.ts');
      return openHttp(await registries(), log);
    };
    let opened: ReturnType<typeof http> | undefined;
    const once = () => {
      opened ??= http();
      return opened;
    };
    const repository = async () => given ?? open();
    return { layout: store?.layout, path, http: once, repository, settings, now: this.#now };
  }

  /** A digest that is asked for by two names has two verdicts, since scopes and identities are of names. */
  #keyOf(digest: string | undefined): string {
    const { reference } = this.#options;
    this.#name ??= shownAs(reference, directoryOf(reference));
    return `verdict ${this.#name} ${digest ?? 'none'} ${this.#configuration.digest}`;
  }
}
