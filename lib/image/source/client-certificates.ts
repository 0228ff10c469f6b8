import { readdirSync } from 'node:fs';
import { PluginError } from '../../base/errors/error.ts';
import { MiB } from '../../base/limits.ts';
import type { Logger } from '../../base/log.ts';
import { authoritiesIn, clientPair } from '../../http/pem.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { readSmallFile, reasonOf } from './local-file.ts';

/** PEM texts for a TLS client. */
export interface TlsMaterial {
  /** The system's authorities and the directory's. */
  readonly ca: readonly string[];
  readonly cert: readonly string[];
  readonly key: readonly string[];
}

const MAX_PEM_BYTES = MiB;

/**
 * A directory of certificates as Docker and containers/image lay it out: `*.crt` are authorities to trust besides
 * the system's, `NAME.cert` with `NAME.key` a client certificate. No directory means none; half a pair is an error.
 * @throws IMAGE_CERTIFICATES
 */
export async function loadTlsMaterial(directory: string | undefined, log: Logger): Promise<TlsMaterial> {
  // Bun's own roots are Mozilla's of its release; an operator's authorities are in the system's store.
  const { getCACertificates } = await import('node:tls');
  const ca: string[] = [...getCACertificates('system')];
  if (directory === undefined || directory === '') return { ca, cert: [], key: [] };
  const names = list(directory, log);
  for (const name of names) if (name.endsWith('.crt')) ca.push(...(await authorities(directory, name, log)));
  const cert: string[] = [];
  const key: string[] = [];
  for (const { certName, keyName } of pairs(directory, names)) {
    const pair = await clientPair(read(directory, certName), read(directory, keyName), certName);
    if ('reason' in pair) {
      throw bad(directory, `${pair.of === 'key' ? keyName : certName}: ${pair.reason}`);
    }
    cert.push(pair.cert);
    key.push(pair.key);
  }
  return { ca, cert, key };
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
    const reason = error instanceof PluginError ? 'it is not a small regular file' : reasonOf(error);
    throw bad(directory, `${name}: ${reason}`, error);
  }
}

function bad(directory: string, reason: string, cause?: unknown): PluginError {
  return new PluginError('IMAGE_CERTIFICATES', { directory, reason }, { cause });
}
