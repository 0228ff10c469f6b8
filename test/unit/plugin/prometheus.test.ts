import { describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { isPluginError } from '../../../lib/base/errors/error.ts';
import { prometheusName, writePrometheusFile } from '../../../lib/plugin/metrics/prometheus.ts';
import { tempDir } from '../../support/temp.ts';

const creation = { name: 'ImageCreationTime', value: 1_500_000_000, unit: 'nanos' } as const;
const used = { name: 'UsedLayersSize', value: 4096, unit: 'bytes' } as const;

describe('names', () => {
  test.each([
    [creation, 'graft_image_creation_time_seconds'],
    [used, 'graft_used_layers_size_bytes'],
    [{ name: 'CommittedQuotaInBytes', value: 1, unit: 'bytes' }, 'graft_committed_quota_bytes'],
    [{ name: 'DownloadedLayersSizeInBytes', value: 1, unit: 'bytes' }, 'graft_downloaded_layers_size_bytes'],
    [{ name: 'Retries', value: 1, unit: 'count' }, 'graft_retries'],
  ] as const)('%p', (metric, expected) => {
    expect(prometheusName(metric)).toBe(expected);
  });
});

describe('the file', () => {
  test('holds the latest value of every metric of every store', async () => {
    await using dir = tempDir();
    const path = dir.at('graft.prom');
    writePrometheusFile(path, [creation, used], '/a');
    writePrometheusFile(path, [{ ...creation, value: 2e9 }], '/b');
    writePrometheusFile(path, [{ ...creation, value: 3e9 }], '/a');
    expect(readFileSync(path, 'utf8')).toBe(
      [
        '# TYPE graft_image_creation_time_seconds gauge',
        'graft_image_creation_time_seconds{store="/a"} 3',
        'graft_image_creation_time_seconds{store="/b"} 2',
        '# TYPE graft_used_layers_size_bytes gauge',
        'graft_used_layers_size_bytes{store="/a"} 4096',
        '',
      ].join('\n'),
    );
    expect(statSync(path).mode & 0o777).toBe(0o644);
    expect(readdirSync(dir.path)).toEqual(['graft.prom']);
  });

  test('escapes the store', async () => {
    await using dir = tempDir();
    const path = dir.at('graft.prom');
    for (const _ of [1, 2]) writePrometheusFile(path, [used], '/a"b\\c\nd');
    expect(readFileSync(path, 'utf8').split('\n')[1]).toBe(
      'graft_used_layers_size_bytes{store="/a\\"b\\\\c\\nd"} 4096',
    );
    expect(readFileSync(path, 'utf8').split('\n')).toHaveLength(3);
  });

  test('drops what is not ours', async () => {
    await using dir = tempDir();
    const path = dir.at('graft.prom');
    writeFileSync(path, 'garbage\ngraft_x{store="/a"} 1\nother{store="/a"} 2\ngraft_half{store="/a\n');
    writePrometheusFile(path, [used], '/a');
    expect(readFileSync(path, 'utf8')).toBe(
      '# TYPE graft_used_layers_size_bytes gauge\ngraft_used_layers_size_bytes{store="/a"} 4096\n' +
        '# TYPE graft_x gauge\ngraft_x{store="/a"} 1\n',
    );
  });

  test('in a directory that is not there is an error, and leaves nothing', () => {
    try {
      writePrometheusFile('/nope/graft.prom', [used], '/a');
      expect.unreachable();
    } catch (error) {
      expect(isPluginError(error, 'CLI_METRICS_FILE') && error.subject).toEqual({
        path: '/nope/graft.prom',
        reason: 'no such file or directory',
      });
    }
  });
});
