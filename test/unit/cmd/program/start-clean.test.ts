import { expect, test } from 'bun:test';
import { dirname } from 'node:path';
import { VERBS } from '../../../../cmd/cli/definitions.ts';
import { readOptions, readStart, readVerb } from '../../../../cmd/cli/parse.ts';
import { cleanArguments } from '../../../../cmd/program/start-clean.ts';
import { loadSettings } from '../../../../cmd/settings/settings.ts';

function settingsOf(line: string) {
  return loadSettings(readVerb(readStart(line.split(' '), readOptions), VERBS, readOptions));
}

const here = process.cwd();

test('the clean after a create works on what the create was told of, from another directory', () => {
  const globals = '--store /s --extra-config e.yml --metron-endpoint m:1 --metrics-file ../g.prom';
  const settings = settingsOf(`${globals} create --clean-log-file c.log --threshold-bytes 7 tar id`);
  expect(cleanArguments({ ...settings, configFile: 'c.yml' })).toEqual([
    ...['--config', `${here}/c.yml`, '--extra-config', `${here}/e.yml`, '--log-file', `${here}/c.log`],
    ...['--log-level', 'fatal', '--store', '/s', '--metron-endpoint', 'm:1'],
    ...['--metrics-file', `${dirname(here)}/g.prom`, 'clean', '--threshold-bytes', '7'],
  ]);
});

test('the clean after a create gets only what there is', () => {
  expect(cleanArguments(settingsOf('create tar id'))).toEqual([
    ...['--log-level', 'fatal', '--store', '/var/lib/graft', 'clean', '--threshold-bytes', '0'],
  ]);
});
