/** Registries of a hostile tenant: they lie in every answer, and name what belongs to others. */
import { OCI_LAYER } from '../../lib/oci/media-types.ts';
import { tarOf } from '../support/images/noise-image.ts';
import {
  blobOf,
  descriptor,
  type FakeImage,
  type FakeRegistry,
  fakeImage,
  fakeRegistry,
  noise,
  type Override,
} from '../support/registries/fake-registry.ts';
import { whole } from '../support/registries/raw-server.ts';

export interface HostileRegistry {
  readonly name: string;
  readonly registry: FakeRegistry;
  readonly reference: string;
  /** A part of the sentence that refuses the image; undefined where the popular image's own tree may come of it. */
  readonly refused?: string;
}

export interface Victims {
  /** Everybody's. */
  readonly popular: FakeImage;
  /** Only for those with a password. */
  readonly secret: FakeImage;
}

const METADATA_SERVICE = 'http://169.254.169.254/latest/meta-data/';

/** Answers GET of these digests, and leaves HEAD to the registry, which says yes. */
function forLayers(image: FakeImage, answer: (digest: string) => Uint8Array): Override {
  return async ({ method, target }, to) => {
    const digest = image.layers.map((layer) => layer.digest).find((name) => target.endsWith(name));
    if (digest === undefined || method === 'HEAD') return false;
    await to.write(answer(digest));
    return true;
  };
}

/** An image of nobody's, whose layer is never in the store, since it is never delivered. */
const ownImage = (seed: number) => fakeImage([tarOf(`own-${seed}`, noise(4096, seed))]);

function lies(name: string, seed: number, answer: () => Uint8Array, refused: string): HostileRegistry {
  const image = ownImage(seed);
  const registry = fakeRegistry(image, { override: forLayers(image, answer) });
  return { name, registry, reference: registry.image(':latest'), refused };
}

/** Another manifest than the digest that was asked for. */
function otherManifest(): HostileRegistry {
  const [asked, given] = [ownImage(301), ownImage(302)];
  const registry = fakeRegistry(given, {
    override: async ({ target }, answer) => {
      if (!target.endsWith(asked.manifest.digest)) return false;
      const { bytes, mediaType } = given.manifest;
      const headers = { 'content-type': mediaType, 'docker-content-digest': asked.manifest.digest };
      await answer.write(whole(200, bytes, headers));
      return true;
    },
  });
  const reference = registry.image(`@${asked.manifest.digest}`);
  return { name: 'another manifest', registry, reference, refused: 'digest mismatch' };
}

/** The secret image's documents, and a HEAD that says yes to its layers, which the registry has not. */
function thief(secret: FakeImage): HostileRegistry {
  const registry = fakeRegistry(secret, { override: forLayers(secret, () => whole(404)) });
  const reference = registry.image(':latest');
  return { name: 'secret digests', registry, reference, refused: 'reading blob' };
}

/** A configuration that promises layers of others, and a blob of its own in place of each. */
function claim(name: string, of: FakeImage, refused?: string): HostileRegistry {
  const junk = of.layers.map((_, at) => blobOf(tarOf('junk', noise(2048, 400 + at)), OCI_LAYER));
  const image = fakeImage(
    of.layers.map(({ bytes }) => bytes),
    (document) => ({ ...document, layers: junk.map(descriptor) }),
  );
  const registry = fakeRegistry({ ...image, layers: junk });
  const reference = registry.image(':latest');
  return { name, registry, reference, ...(refused !== undefined && { refused }) };
}

export function hostileRegistries({ popular, secret }: Victims): HostileRegistry[] {
  const redirect = (to: string) => whole(307, '', { location: to });
  return [
    otherManifest(),
    thief(secret),
    claim('popular diffIDs', popular),
    claim('secret diffIDs', secret, 'digest mismatch'),
    lies('other bytes', 303, () => whole(200, tarOf('own-303', noise(4096, 999))), 'digest mismatch'),
    lies('too many bytes', 304, () => whole(200, noise(1 << 20)), 'size'),
    lies('no bytes', 305, () => whole(200, ''), 'size'),
    lies('inward', 306, () => redirect(METADATA_SERVICE), 'further inside'),
    lies('to a file', 307, () => redirect('file:///etc/shadow'), 'sends a redirect that is not followed'),
    lies('in circles', 308, () => redirect('/v2/app/blobs/again'), 'reading blob'),
  ];
}

export interface Drip {
  readonly registry: FakeRegistry;
  readonly reference: string;
  /** Requests for the blob so far. */
  held(): number;
}

/** Promises the first popular layer, and delivers a blob for it that comes to no end. */
export function drip(popular: FakeImage): Drip {
  const junk = blobOf(noise(1 << 22, 99), OCI_LAYER);
  const [first] = popular.layers;
  if (first === undefined) throw new Error('the popular image has layers');
  const image = fakeImage([first.bytes], (document) => ({ ...document, layers: [descriptor(junk)] }));
  const override: Override = async ({ target }, answer) => {
    if (!target.endsWith(junk.digest)) return false;
    await answer.write(`HTTP/1.1 200 OK\r\nContent-Length: ${junk.bytes.length}\r\n\r\n`);
    let gone = false;
    answer.gone.then(() => {
      gone = true;
    });
    for (let at = 0; !gone; at += 400) {
      await answer.write(junk.bytes.subarray(at, at + 400));
      await Bun.sleep(100);
    }
    return true;
  };
  const registry = fakeRegistry(image, { override });
  return {
    registry,
    reference: registry.image(':latest'),
    held: () => registry.asked(junk.digest).length,
  };
}
