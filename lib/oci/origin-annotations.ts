/**
 * The annotations by which a manifest says where its image comes from (image-spec, annotations.md): its base image, its
 * sources and its version. A builder writes what it likes, so they are claims, and only texts of a bounded length count.
 */
const PREFIX = 'org.opencontainers.image.';
const KEYS = ['base.name', 'base.digest', 'source', 'revision', 'version', 'created'] as const;
/** URLs and names are shorter; a record of an image has half a kilobyte without them. */
const MAX_LENGTH = 512;

/** Undefined where there is none of them. */
export function originAnnotations(
  all: Readonly<Record<string, unknown>>,
): Readonly<Record<string, string>> | undefined {
  const found = KEYS.map((key) => PREFIX + key).flatMap((key) => {
    const value = Object.hasOwn(all, key) ? all[key] : undefined;
    return typeof value === 'string' && value.length > 0 && value.length <= MAX_LENGTH ? [[key, value]] : [];
  });
  return found.length === 0 ? undefined : (Object.fromEntries(found) as Record<string, string>);
}
