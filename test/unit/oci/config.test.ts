import { describe, expect, test } from 'bun:test';
import { MAX_CONFIG_BYTES } from '../../../lib/base/limits.ts';
import { silentLogger } from '../../../lib/base/log.ts';
import { parseConfig } from '../../../lib/oci/config.ts';
import { digest, json, recordingLog, refusal } from './support.ts';

const rootfs = { type: 'layers', diff_ids: [digest('a'), digest('b')] };
const parse = (document: unknown, log = silentLogger) => parseConfig(json(document), 'test', log);
const reason = (document: unknown) => refusal('IMAGE_BAD_CONFIG', () => parse(document)).reason;

const EMPTY = { architecture: '', os: '', env: [], entrypoint: [], cmd: [], user: '', workingDir: '' };

describe('parseConfig reads', () => {
  test('what graft uses', () => {
    const config = {
      Env: ['PATH=/bin', 'EMPTY=', 'A=b=c', 'PATH=/again'],
      Entrypoint: ['/init', ''],
      Cmd: ['sh'],
      User: '1000:1000',
      WorkingDir: '/home',
      Volumes: { '../../etc': {} },
      Labels: { a: 'b' },
    };
    expect(
      parse({ architecture: 'arm64', os: 'linux', rootfs, config, history: [{ created_by: 'x' }] }),
    ).toEqual({
      architecture: 'arm64',
      os: 'linux',
      diffIds: rootfs.diff_ids as never,
      env: config.Env,
      entrypoint: config.Entrypoint,
      cmd: config.Cmd,
      user: '1000:1000',
      workingDir: '/home',
    });
  });

  test.each([
    ['nothing but diffIDs', { rootfs: { diff_ids: rootfs.diff_ids } }],
    ['a configuration that is null', { rootfs, config: null, architecture: null, os: null }],
    [
      'fields that are null',
      { rootfs, config: { Env: null, Entrypoint: null, Cmd: null, User: null, WorkingDir: null } },
    ],
    ['a configuration of Garden', { rootfs, config: {}, created: '2020-01-01T00:00:00Z' }],
    ['a history that lies', { rootfs, history: [{}, {}, {}, {}, { empty_layer: 'no' }] }],
  ])('%s', (_what, document) => {
    expect(parse(document)).toEqual({ ...EMPTY, diffIds: rootfs.diff_ids as never });
  });

  test('an image without layers', () => {
    expect(parse({ rootfs: { type: 'layers', diff_ids: null } }).diffIds).toEqual([]);
    expect(parse({ rootfs: {} }).diffIds).toEqual([]);
  });
});

describe('parseConfig drops and logs', () => {
  test('variables that execve cannot take, and shows no value', () => {
    const log = recordingLog();
    const Env = ['GOOD=1', 'NOEQUALS', '=value', 'NUL=a\0hunter2', 'N\0UL=x', '', 'ALSO=good'];
    expect(parse({ rootfs, config: { Env } }, log).env).toEqual(['GOOD=1', 'ALSO=good']);
    expect(log.events.map(({ event }) => event)).toEqual(Array(5).fill('image-env-dropped'));
    expect(JSON.stringify(log.events)).not.toContain('hunter2');
  });

  test('a command or directory with a NUL', () => {
    const log = recordingLog();
    const config = { Entrypoint: ['/a', 'b\0'], Cmd: ['\0'], WorkingDir: '/\0' };
    expect(parse({ rootfs, config }, log)).toEqual({ ...EMPTY, diffIds: rootfs.diff_ids as never });
    expect(log.events.map(({ data }) => data?.['field'])).toEqual(['Entrypoint', 'Cmd', 'WorkingDir']);
  });
});

describe('parseConfig refuses', () => {
  test.each([
    ['no rootfs', {}],
    ['a rootfs that is a list', { rootfs: [] }],
    ['diffIDs that are no list', { rootfs: { diff_ids: 'x' } }],
    ['a diffID that is a number', { rootfs: { diff_ids: [1] } }],
    ['a variable that is a number', { rootfs, config: { Env: [1] } }],
    ['variables as an object', { rootfs, config: { Env: { A: 'b' } } }],
    ['a command that is text', { rootfs, config: { Cmd: 'sh -c x' } }],
    ['a user with a NUL, who would be root', { rootfs, config: { User: 'ro\0ot' } }],
    ['a user that is a number', { rootfs, config: { User: 0 } }],
    ['an architecture that is a list', { rootfs, architecture: ['amd64'] }],
    ['a list', []],
    ['null', null],
  ])('%s', (_what, document) => {
    expect(reason(document)).not.toBe('');
  });

  test.each([
    digest('x').toUpperCase(),
    'sha512:00',
    '',
    digest('x').slice(7),
    `${digest('x')}\n`,
    '../../x',
  ])('the diffID %j', (diffId) => {
    expect(reason({ rootfs: { diff_ids: [digest('a'), diffId] } })).toContain('diffID');
  });

  test('a document over the ceiling', () => {
    const padded = json({ rootfs, pad: 'x'.repeat(MAX_CONFIG_BYTES) });
    expect(refusal('IMAGE_BAD_CONFIG', () => parseConfig(padded, 'test', silentLogger)).reason).toContain(
      'bytes',
    );
  });
});
