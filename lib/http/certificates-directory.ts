/** A directory of certificates for all servers, as `create.remote_layer_client_certificates_path` of GrootFS names one. */
import { readdirSync } from 'node:fs';
import { PluginError } from '../base/errors/error.ts';
import { MiB } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { FileRefused, readSmallFile, reasonOf } from '../sys/files/regular-file.ts';
import { hasCode } from '../sys/kernel/errno.ts';
import { authoritiesIn, type ClientPair, clientPair } from './pem.ts';

/** PEM texts for a TLS client. */
export interface DirectoryCertificates {
  /** The directory's authorities, which are trusted beside the system's. */
  readonly ca: readonly string[];
  readonly client: ClientPair | undefined;
}

const MAX_PEM_BYTES = MiB;

/**
 * Reads a directory as Docker and containers/image lay it out: `*.crt` are authorities, `NAME.cert` with `NAME.key` is a
 * client's pair. A missing directory has no certificates; half a pair is an error.
 * @throws IMAGE_CERTIFICATES
 */
export async function loadCertificates(directory: string, log: Logger): Promise<DirectoryCertificates> {
  const names = list(directory, log);
  const ca: string[] = [];
  for (const name of names) if (name.endsWith('.crt')) ca.push(...(await authorities(directory, name, log)));
  const clients: ClientPair[] = [];
  for (const { certName, keyName } of pairs(directory, names)) {
    const pair = await clientPair(read(directory, certName), read(directory, keyName), certName);
    if ('reason' in pair) {
      throw bad(directory, `${pair.of === 'key' ? keyName : certName}: ${pair.reason}`);
    }
    clients.push(pair);
  }
  // OpenSSL takes a single pair, and only the handshake shows which of several a server accepts.
  if (clients.length > 1) log.info('client-certificates', { directory, pairs: clients.length });
  return { ca, client: clients[0] };
}

async function authorities(directory: string, name: string, log: Logger): Promise<readonly string[]> {
  const found = await authoritiesIn(read(directory, name));
  if (typeof found === 'string') throw bad(directory, `${name}: ${found}`);
  const { blocks, broken } = found;
  if (broken > 0)
    log.info('authorities-broken', { path: `${directory}/${name}`, broken, used: blocks.length });
  return blocks;
}

function list(directory: string, log: Logger): readonly string[] {
  try {
    return readdirSync(directory).sort();
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw bad(directory, reasonOf(error), error);
    log.info('layer-certificates-missing', { directory });
    return [];
  }
}

function pairs(
  directory: string,
  names: readonly string[],
): readonly { certName: string; keyName: string }[] {
  const there = new Set(names);
  for (const name of names)
    if (name.endsWith('.key') && !there.has(name.replace(/\.key$/, '.cert')))
      throw bad(directory, `${name} has no certificate beside it (${name.replace(/\.key$/, '.cert')})`);
  return names
    .filter((name) => name.endsWith('.cert'))
    .map((certName) => {
      const keyName = certName.replace(/\.cert$/, '.key');
      if (!there.has(keyName)) throw bad(directory, `${certName} has no key beside it (${keyName})`);
      return { certName, keyName };
    });
}

function read(directory: string, name: string): string {
  try {
    return Buffer.from(readSmallFile(`${directory}/${name}`, MAX_PEM_BYTES, 'follow')).toString('utf8');
  } catch (error) {
    const reason = error instanceof FileRefused ? 'it is not a small regular file' : reasonOf(error);
    throw bad(directory, `${name}: ${reason}`, error);
  }
}

function bad(directory: string, reason: string, cause?: unknown): PluginError {
  return new PluginError('IMAGE_CERTIFICATES', { directory, reason }, { cause });
}
