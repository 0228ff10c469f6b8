import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createSocket } from 'node:dgram';
import { encodeValueMetric } from '../../../lib/plugin/metrics/dropsonde.ts';
import { Metrics } from '../../../lib/plugin/metrics/metrics.ts';
import { numericAddress, parseEndpoint, sendToMetron } from '../../../lib/plugin/metrics/metron.ts';

/** protobuf, read without knowing the messages: field number and value, in order. */
function fieldsOf(bytes: Uint8Array): [number, bigint | Uint8Array][] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fields: [number, bigint | Uint8Array][] = [];
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = view.getUint8(at++);
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const take = (length: number) => {
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const wire = tag & 7;
    if (wire !== 0 && wire !== 1 && wire !== 2) throw new Error(`wire type ${wire}`);
    fields.push([tag >> 3, wire === 0 ? varint() : take(wire === 1 ? 8 : Number(varint()))]);
  }
  return fields;
}

const text = (value: unknown) => Buffer.from(value as Uint8Array).toString();

function decode(datagram: Uint8Array) {
  const envelope = new Map(fieldsOf(datagram));
  const metric = new Map(fieldsOf(envelope.get(9) as Uint8Array));
  return {
    origin: text(envelope.get(1)),
    eventType: envelope.get(2),
    timestamp: envelope.get(6) as bigint,
    name: text(metric.get(1)),
    value: Buffer.from(metric.get(2) as Uint8Array).readDoubleLE(),
    unit: text(metric.get(3)),
  };
}

describe('an envelope', () => {
  test('is dropsonde’s, byte for byte', () => {
    const bytes = encodeValueMetric({ name: 'a', value: 1, unit: 'nanos' }, 1);
    // Written out by hand from envelope.proto: origin, eventType 6, timestamp 1000000, valueMetric.
    expect(Buffer.from(bytes).toString('hex')).toBe(
      [
        '0a0767726f6f746673',
        '1006',
        '30c0843d',
        '4a13',
        '0a0161',
        '11000000000000f03f',
        '1a056e616e6f73',
      ].join(''),
    );
  });

  test.each([
    ['a long duration', { name: 'ImageCreationTime', value: 123456789012345, unit: 'nanos' }],
    ['many bytes', { name: 'UsedLayersSize', value: 2 ** 52, unit: 'bytes' }],
    ['nothing', { name: 'x', value: 0, unit: 'count' }],
    ['a name of 200 bytes', { name: 'n'.repeat(200), value: 1, unit: 'count' }],
  ] as const)('carries %s', (_name, metric) => {
    const now = Date.now();
    expect(decode(encodeValueMetric(metric, now))).toEqual({
      origin: 'grootfs',
      eventType: 6n,
      timestamp: BigInt(now) * 1_000_000n,
      ...metric,
    });
  });

  test('durations are whole nanoseconds', () => {
    const metrics = new Metrics();
    metrics.duration('ImageDeletionTime', 1.23456789);
    expect(metrics.collect()).toEqual([{ name: 'ImageDeletionTime', value: 1234568, unit: 'nanos' }]);
  });
});

describe('an endpoint', () => {
  test.each([
    ['127.0.0.1:3457', { host: '127.0.0.1', port: 3457, bytes: new Uint8Array([127, 0, 0, 1]) }],
    ['localhost:1', { host: 'localhost', port: 1, bytes: new Uint8Array([127, 0, 0, 1]) }],
    ['metron.example:65535', { host: 'metron.example', port: 65535, bytes: undefined }],
    ['[::1]:9', { host: '::1', port: 9, bytes: new Uint8Array([...Array<number>(15).fill(0), 1]) }],
  ])('%s', (endpoint, expected) => {
    expect(parseEndpoint(endpoint)).toEqual(expected);
  });

  test.each(['', ':1', 'a', 'a:', 'a:0', 'a:65536', 'a:x', 'a:-1', 'a:1x'])('%p is none', (endpoint) => {
    expect(parseEndpoint(endpoint)).toBeUndefined();
  });

  test.each([
    ['2001:db8::1', '20010db8000000000000000000000001'],
    ['::', '00'.repeat(16)],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
    ['fe80::', `fe80${'00'.repeat(14)}`],
  ])('%s in numbers', (host, hex) => {
    expect(Buffer.from(numericAddress(host) ?? []).toString('hex')).toBe(hex);
  });

  test.each([
    '1.2.3',
    '1.2.3.256',
    '1.2.3.4.5',
    'a.b.c.d',
    '1:2:3',
    '1::2::3',
    '1:2:3:4:5:6:7:8:9',
    '12345::',
    'x',
  ])('%p is no address', (host) => {
    expect(numericAddress(host)).toBeUndefined();
  });
});

describe('sending', () => {
  const server = createSocket('udp4');
  const received: Uint8Array[] = [];
  beforeAll(async () => {
    server.on('message', (message) => received.push(message));
    await new Promise<void>((resolve) => server.bind(0, '127.0.0.1', resolve));
  });
  afterAll(() => server.close());

  const metrics = [1, 2, 3].map((value) => ({ name: `m${value}`, value, unit: 'count' as const }));
  const never = () => new Promise<undefined>(() => {});

  test('reaches the agent, one datagram a metric', async () => {
    const arrived = new Promise<void>((resolve) => {
      server.on('message', () => received.length >= 3 && resolve());
    });
    expect(await sendToMetron(`127.0.0.1:${server.address().port}`, metrics, never)).toBe(true);
    await arrived;
    expect(received.map((datagram) => decode(datagram).name)).toEqual(['m1', 'm2', 'm3']);
  });

  test('to a name uses its address', async () => {
    const resolve = async (host: string) =>
      host === 'metron.example' ? new Uint8Array([127, 0, 0, 1]) : undefined;
    const arrived = new Promise<Uint8Array>((done) => server.once('message', done));
    await sendToMetron(`metron.example:${server.address().port}`, metrics.slice(0, 1), resolve);
    expect(decode(await arrived).name).toBe('m1');
  });

  test('to nobody is no error', async () => {
    const port = server.address().port;
    // A port that was free a moment ago, and answers by ICMP.
    const other = createSocket('udp4');
    await new Promise<void>((resolve) => other.bind(0, '127.0.0.1', resolve));
    const free = other.address().port;
    await new Promise<void>((resolve) => other.close(resolve));
    expect(free).not.toBe(port);
    expect(await sendToMetron(`127.0.0.1:${free}`, metrics, never)).toBe(true);
  });

  test('does not wait for a name that does not resolve', async () => {
    const started = performance.now();
    expect(await sendToMetron('nowhere.example:1', metrics, never)).toBe(false);
    // A resolver gives up after five seconds at the earliest (resolv.conf(5)).
    expect(performance.now() - started).toBeLessThan(4000);
  });

  test('survives a resolver that fails', async () => {
    expect(await sendToMetron('nowhere.example:1', metrics, () => Promise.reject(new Error('no')))).toBe(
      false,
    );
  });
});
