/** The job graft-publisher on a machine of the test's own: the agent under monit's scripts, as a user that is not root. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { statSync } from 'node:fs';
import { tarOf } from '../support/images/noise-image.ts';
import { type FakeRegistry, fakeImage, fakeRegistry, noise } from '../support/registries/fake-registry.ts';
import { freePort } from '../support/temp.ts';
import { type Boot, Cell } from './cell.ts';
import { installGraft } from './diego-cell.ts';
import { type Properties, properties, renderJob } from './release.ts';

const CTL = '/var/vcap/jobs/graft-publisher/bin/publisher_ctl';
const PIDFILE = '/var/vcap/sys/run/graft-publisher/graft-publisher.pid';
const TOKEN = 'a-token-that-nobody-guesses';
const USER = 'nobody';
const image = fakeImage([tarOf('file', noise(3000))]);

let cell: Cell;
let boot: Boot;
let registry: FakeRegistry;
let port: number;
beforeAll(async () => {
  cell = new Cell();
  installGraft(cell);
  registry = fakeRegistry(image);
  port = await freePort();
  await cell.deployJob('graft-publisher', { properties: settings() });
  boot = cell.boot();
});
afterAll(async () => {
  await boot.pullPlug();
  await registry.stop();
  await cell[Symbol.asyncDispose]();
});

const settings = (): Properties =>
  properties({
    'graft_publisher.user': USER,
    'graft_publisher.token': TOKEN,
    'graft_publisher.listen': `127.0.0.1:${port}`,
    'graft_publisher.registries': { insecure: [registry.host] },
    'graft_publisher.docker_config': { auths: {} },
    'graft_publisher.allow': [
      { registry: registry.host, repository: 'app', targets: ['directory:/var/vcap/data/published'] },
    ],
  });

const headers = { authorization: `Bearer ${TOKEN}`, connection: 'close' };
const url = (path: string) => `http://127.0.0.1:${port}${path}`;

test('starts as its user, publishes into a directory of that user, and starts once', async () => {
  await boot.must(`${CTL} start`);
  const pid = await boot.must(`cat ${PIDFILE}`);
  expect(await boot.must(`stat -c %U /proc/$(cat ${PIDFILE})`)).toBe(`${USER}\n`);
  await boot.must(`${CTL} start`);
  expect(await boot.must(`cat ${PIDFILE}`)).toBe(pid);
  const { digest } = image.manifest;
  const body = JSON.stringify({ repository: 'app', tag: 'latest', digest });
  expect((await fetch(url('/publish'), { method: 'POST', headers, body })).status).toBe(202);
  const status = async () => (await fetch(url(`/status/${digest}`), { headers })).text();
  while ((await status()) !== 'done') await Bun.sleep(20);
  expect(cell.exists(`data/published/.metadata/${registry.host}/app:latest/manifest.json`)).toBe(true);
  for (const name of ['etc/token', 'etc/settings.yml', 'queue', 'etc'])
    expect(statSync(cell.at('data/graft-publisher', name)).mode & 0o077).toBe(0);
  expect(await boot.must('cat /proc/*/cmdline /var/vcap/sys/log/graft-publisher/*')).not.toContain(TOKEN);
});

test('a killed agent is started again, and stop ends it', async () => {
  await boot.must(
    `kill -KILL $(cat ${PIDFILE}); until ! kill -0 $(cat ${PIDFILE}) 2>/dev/null; do sleep 0.05; done`,
  );
  await boot.must(`${CTL} start`);
  expect(await (await fetch(url('/healthz'), { headers })).text()).toBe('ok');
  await boot.must(`${CTL} stop`);
  expect(cell.exists('sys/run/graft-publisher/graft-publisher.pid')).toBe(false);
  await expect(fetch(url('/healthz'), { headers })).rejects.toThrow();
});

test('root, a short token, no user of that name and no repositories are refused in a sentence', async () => {
  const refused = async (name: string, value: string | undefined) => {
    const changed = { ...(settings()['graft_publisher'] as Properties) };
    if (value === undefined) delete changed[name];
    else changed[name] = value;
    const request = { properties: { graft_publisher: changed } };
    return (await renderJob('graft-publisher', cell.dir.at(`refused-${name}`), request)).errors;
  };
  expect(JSON.stringify(await refused('user', 'root'))).toContain('must not be root');
  const short = JSON.stringify(await refused('token', 'SHORT'));
  expect(short).toContain('at least 16');
  expect(short).not.toContain('SHORT');
  expect(JSON.stringify(await refused('allow', undefined))).toContain('must say which repositories');
  await cell.deployJob('graft-publisher', {
    properties: { graft_publisher: { ...(settings()['graft_publisher'] as Properties), user: 'stranger' } },
  });
  expect((await boot.run(`${CTL} start`)).code).toBe(1);
  expect(cell.read('sys/log/graft-publisher/publisher_ctl.stderr.log')).toContain('no user stranger');
});
