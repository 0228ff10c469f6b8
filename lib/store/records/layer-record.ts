/**
 * A layer's completion record, `volumes/<layer>/layer.json`. Every sum over the store reads it, so its size is
 * bounded.
 */
import { PluginError } from '../../base/errors/error.ts';
import type { UnpackResult } from '../../layer/tree/types.ts';
import { bytesOfText } from '../../sys/kernel/utf8.ts';
import type { LayerKey } from '../layout/layer-key.ts';
import { isCount, isOptional, isRecord, isStrings, parseOwn } from '../layout/own-json.ts';
import type { LayerNames } from './layer-names.ts';

export interface LayerRecord extends Omit<UnpackResult, keyof LayerNames> {
  readonly key: LayerKey;
  readonly validated: boolean;
  /**
   * The hosts that gave the bytes: `host[:port]`, or `` for bytes that an earlier, killed process kept. Absent for local
   * bytes, and in the records of an earlier graft.
   */
  readonly hosts?: readonly string[] | undefined;
  /** Bytes of the layer's `names` file. */
  readonly nameBytes: number;
}

/** This number is raised when the fields get another meaning. */
const VERSION = 2;
const COUNTS = ['fileBytes', 'diskBytes', 'nameBytes', 'entries', 'compressedBytes', 'tarBytes'] as const;

export function encodeLayerRecord(record: LayerRecord): Uint8Array {
  return bytesOfText(`${JSON.stringify({ version: VERSION, ...record })}\n`);
}

/** @throws STORE_DAMAGED */
export function decodeLayerRecord(text: string, path: string, key: LayerKey): LayerRecord {
  const damaged = (reason: string) => new PluginError('STORE_DAMAGED', { path, reason });
  const raw = parseOwn(text);
  if (raw === undefined) throw damaged('it is not JSON');
  if (!isRecord(raw) || raw['version'] !== VERSION || raw['key'] !== key)
    throw damaged('it is not the record of this layer');
  const whole =
    COUNTS.every((field) => isCount(raw[field])) &&
    isDigest(raw['digest']) &&
    isDigest(raw['diffId']) &&
    isOptional(raw['hosts'], isStrings) &&
    isOptional(raw['image'], isImage) &&
    typeof raw['explicitRoot'] === 'boolean' &&
    typeof raw['validated'] === 'boolean';
  if (!whole) throw damaged('fields are missing');
  return raw as unknown as LayerRecord;
}

function isImage(value: unknown): value is LayerRecord['image'] {
  return isRecord(value) && isCount(value['bytes']) && /^[0-9a-f]{16}$/.test(String(value['hash']));
}

function isDigest(value: unknown): boolean {
  return typeof value === 'string' && /^sha256:[0-9a-f]{64}$/.test(value);
}
