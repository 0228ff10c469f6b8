/**
 * dropsonde-protocol: one `events.Envelope` of type ValueMetric a datagram, as metron agents listen for. GrootFS
 * sends the same, under its own name, which dashboards select by; graft keeps that name.
 *
 *     Envelope     1 origin: text   2 eventType: 6 (ValueMetric)   6 timestamp: nanoseconds   9 valueMetric
 *     ValueMetric  1 name: text     2 value: double                3 unit: text
 */
import type { Metric } from './metrics.ts';

/** `Envelope.origin`: the first part of a metric's name in the firehose. */
const ORIGIN = 'grootfs';
const VALUE_METRIC = 6;

/** A field's number and wire type in one byte: 0 varint, 1 eight bytes, 2 counted bytes. */
const ENVELOPE = { origin: 0x0a, eventType: 0x10, timestamp: 0x30, valueMetric: 0x4a } as const;
const VALUE = { name: 0x0a, value: 0x11, unit: 0x1a } as const;

/**
 * Bytes of everything except texts and the value: seven tags, five lengths of at most 2, a timestamp of at most 10.
 */
const OVERHEAD = 40;

/**
 * Encodes one datagram. Names are ASCII, so a text has as many bytes as characters.
 * @param milliseconds since the epoch
 */
export function encodeValueMetric({ name, value, unit }: Metric, milliseconds: number): Uint8Array {
  const bytes = new Uint8Array(OVERHEAD + ORIGIN.length + name.length + unit.length);
  const encoder = new TextEncoder();
  let at = 0;
  /** Seven bits in each byte, the lowest first; the top bit is set in all bytes except the last. */
  const varint = (tag: number, number: number | bigint) => {
    bytes[at++] = tag;
    let rest = BigInt(number);
    for (; rest > 127n; rest >>= 7n) bytes[at++] = Number(rest & 127n) | 128;
    bytes[at++] = Number(rest);
  };
  const text = (tag: number, content: string) => {
    varint(tag, content.length);
    at += encoder.encodeInto(content, bytes.subarray(at)).written;
  };
  text(ENVELOPE.origin, ORIGIN);
  varint(ENVELOPE.eventType, VALUE_METRIC);
  varint(ENVELOPE.timestamp, BigInt(Math.floor(milliseconds)) * 1_000_000n);
  const lengthOf = (content: string) => (content.length > 127 ? 3 : 2) + content.length;
  varint(ENVELOPE.valueMetric, lengthOf(name) + 9 + lengthOf(unit));
  text(VALUE.name, name);
  bytes[at++] = VALUE.value;
  new DataView(bytes.buffer).setFloat64(at, value, true);
  at += 8;
  text(VALUE.unit, unit);
  return bytes.subarray(0, at);
}
