/**
 * The software bill of materials of one executable, as CycloneDX 1.6 JSON. The facts come from the bundler (its
 * inputs), from package-lock.json and from the runtime itself.
 */

/** An npm package of which something is in the executable. */
export interface NpmPackage {
  readonly name: string;
  readonly version: string;
  /** SPDX, as its package.json has it. */
  readonly licence: string;
  /** `sha512-…`, of package-lock.json. */
  readonly integrity: string;
  /** Names; only those that are in the executable too are shown. */
  readonly dependencies: readonly string[];
}

/** A library inside the runtime: one entry of licences/components.json. */
export interface RuntimePart {
  readonly name: string;
  readonly licence: string;
  /** Its key in `process.versions`, where it has one. */
  readonly versionKey?: string;
  readonly files: readonly string[];
  readonly source: string;
  readonly copyright?: readonly string[];
}

export interface SbomFacts {
  readonly version: string;
  /** `x86_64`, `arm64` */
  readonly machine: string;
  /** Seconds since 1970. */
  readonly epoch: number;
  /** SHA-256 of the executable, in hex. */
  readonly sha256: string;
  readonly packages: readonly NpmPackage[];
  /** The package that the runtime came in. */
  readonly runtime: NpmPackage;
  readonly runtimeParts: readonly RuntimePart[];
  readonly runtimeVersions: Readonly<Record<string, string | undefined>>;
}

const GRAFT = 'graft';

export function sbom(facts: SbomFacts): unknown {
  const { packages, runtime } = facts;
  const names = new Set(packages.map(({ name }) => name));
  const npm = [...packages].sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      timestamp: new Date(facts.epoch * 1000).toISOString(),
      lifecycles: [{ phase: 'build' }],
      component: {
        type: 'application',
        'bom-ref': GRAFT,
        name: GRAFT,
        version: facts.version,
        description: "An image plugin for Cloud Foundry's Garden",
        hashes: [{ alg: 'SHA-256', content: facts.sha256 }],
        licenses: [{ license: { id: 'Apache-2.0' } }],
        properties: [
          { name: 'graft:os', value: 'linux' },
          { name: 'graft:machine', value: facts.machine },
        ],
      },
    },
    components: [...npm.map(npmComponent), runtimeComponent(facts)],
    dependencies: [
      { ref: GRAFT, dependsOn: [...npm, runtime].map(refOf) },
      ...npm.map((one) => ({
        ref: refOf(one),
        dependsOn: npm.filter(({ name }) => names.has(name) && one.dependencies.includes(name)).map(refOf),
      })),
      { ref: refOf(runtime), dependsOn: facts.runtimeParts.slice(1).map(partRef) },
    ],
  };
}

function npmComponent(one: NpmPackage) {
  return {
    type: 'library',
    'bom-ref': refOf(one),
    name: one.name,
    version: one.version,
    hashes: [
      {
        alg: 'SHA-512',
        content: Buffer.from(one.integrity.replace('sha512-', ''), 'base64').toString('hex'),
      },
    ],
    licenses: licences(one.licence),
    purl: refOf(one),
  };
}

/** The first part is the runtime itself; the others are inside it. */
function runtimeComponent({ runtime, runtimeParts, runtimeVersions }: SbomFacts) {
  return {
    ...npmComponent(runtime),
    type: 'platform',
    components: runtimeParts.slice(1).map((part) => ({
      type: 'library',
      'bom-ref': partRef(part),
      name: part.name,
      ...versionOf(part, runtimeVersions),
      licenses: licences(part.licence),
      ...(part.copyright === undefined ? {} : { copyright: part.copyright.join('; ') }),
      externalReferences: [{ type: 'vcs', url: part.source }],
    })),
  };
}

function versionOf({ versionKey }: RuntimePart, versions: SbomFacts['runtimeVersions']) {
  const version = versionKey === undefined ? undefined : versions[versionKey];
  return version === undefined ? {} : { version };
}

function licences(spdx: string): unknown[] {
  return / (AND|OR|WITH) /.test(spdx) ? [{ expression: spdx }] : [{ license: { id: spdx } }];
}

/** A package URL: https://github.com/package-url/purl-spec */
function refOf({ name, version }: NpmPackage): string {
  return `pkg:npm/${name.replace('@', '%40')}@${version}`;
}

function partRef({ name }: RuntimePart): string {
  return `runtime:${name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/-$/, '')}`;
}
