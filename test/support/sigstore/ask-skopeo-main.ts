/**
 * Asks a skopeo that knows Sigstore for its verdict on each case of the table: ci/sigstore-verdicts SKOPEO. Each case gets an
 * image with its signatures in a registry, and a policy. A verdict that is not the recorded one is printed.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CASES, type Case } from '../../unit/trust/sigstore/cases.ts';
import { HOST, imageFixture, REPOSITORY } from '../../unit/trust/sigstore/fixtures.ts';
import { imageDocuments, LocalRegistry, MANIFEST } from './local-registry.ts';

const [skopeo = ''] = process.argv.slice(2);
const work = mkdtempSync(join(tmpdir(), 'sigstore-verdicts.'));
const at = (name: string) => join(work, name);
const put = (name: string, text: string): string => {
  writeFileSync(at(name), text);
  return at(name);
};

const registry = new LocalRegistry();

/** The image is there already where another case has it; its signatures are replaced. */
async function publish({ image, signatures }: Case): Promise<string> {
  const { document = new Uint8Array(), digest } = imageFixture(image);
  const documents = imageDocuments();
  const layer = await registry.upload(documents.layer);
  await registry.upload(documents.config(layer.digest));
  await registry.uploadManifest('v1', document);
  const config = await registry.upload(
    Buffer.from('{"architecture":"","os":"","rootfs":{"type":"layers","diff_ids":[]}}'),
  );
  const layers = [];
  for (const { payload, annotations } of signatures)
    layers.push({
      mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
      ...(await registry.upload(payload)),
      annotations: Object.fromEntries(annotations),
    });
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers,
  };
  await registry.uploadManifest(`${digest.replace(':', '-')}.sig`, Buffer.from(JSON.stringify(manifest)));
  return digest;
}

async function ask(one: Case): Promise<{ verdict: Case['skopeo']; said: string }> {
  const digest = await publish(one);
  const scope = { [REPOSITORY]: [{ type: 'sigstoreSigned', ...one.requirement }] };
  const policy = put(
    'policy.json',
    JSON.stringify({ default: [{ type: 'reject' }], transports: { docker: scope } }),
  );
  const byTag = !('tag' in one) || one.tag !== undefined;
  const reference = `docker://${REPOSITORY}${byTag ? ':v1' : `@${digest}`}`;
  rmSync(at('out'), { recursive: true, force: true });
  const options = ['--policy', policy, '--registries.d', at('registries.d')];
  const child = Bun.spawn(
    [
      skopeo,
      ...options,
      'copy',
      '--src-tls-verify=false',
      '--remove-signatures',
      reference,
      `dir:${at('out')}`,
    ],
    {
      stdout: 'ignore',
      stderr: 'pipe',
    },
  );
  const said = await new Response(child.stderr).text();
  return { verdict: (await child.exited) === 0 ? 'accepts' : 'refuses', said };
}

await Bun.$`mkdir -p ${at('registries.d')}`;
put('registries.d/here.yaml', `docker: {'${HOST}': {use-sigstore-attachments: true}}\n`);
let wrong = 0;
try {
  await registry.ready();
  for (const one of CASES) {
    const { verdict, said } = await ask(one);
    const line = said.trim().split('\n').at(-1)?.slice(0, 300);
    if (verdict !== one.skopeo)
      process.stdout.write(`${one.name}: ${verdict}, recorded ${one.skopeo}: ${line}\n`);
    else if (verdict === 'refuses' && !said.includes('Source image rejected'))
      process.stdout.write(`${one.name}: refused for another reason: ${line}\n`);
    else continue;
    wrong += 1;
  }
} finally {
  registry.stop();
  rmSync(work, { recursive: true, force: true });
}
process.stdout.write(`${CASES.length - wrong} verdicts as recorded, ${wrong} not\n`);
process.exitCode = wrong > 0 ? 1 : 0;
