/** `--change` takes what podman's takes. */
import { expect, test } from 'bun:test';
import { applyChanges, parseChange } from '../../../../lib/commit/image/changes.ts';

const BEFORE = {
  Cmd: ['old'],
  Env: ['A=1', 'B=2'],
  Labels: { kept: 'yes' },
  WorkingDir: '/srv',
  Healthcheck: { Test: ['NONE'] },
};

test.each([
  ['CMD ["/bin/echo", "a,b"]', { Cmd: ['/bin/echo', 'a,b'] }],
  ['CMD=/bin/echo x', { Cmd: ['/bin/sh', '-c', '/bin/echo x'] }],
  ['cmd  []', { Cmd: [] }],
  ['ENTRYPOINT ["/init"]', { Entrypoint: ['/init'], Cmd: undefined }],
  ['ENV A=3 C="d e" F=\'g\\\' H=i\\ j', { Env: ['A=3', 'B=2', 'C=d e', 'F=g\\', 'H=i j'] }],
  ['ENV B some text  here', { Env: ['A=1', 'B=some text  here'] }],
  ['ENV=K=V=W', { Env: ['A=1', 'B=2', 'K=V=W'] }],
  ['LABEL a.b="c d"', { Labels: { kept: 'yes', 'a.b': 'c d' } }],
  [
    'EXPOSE 80 53/udp 7000-7001/tcp',
    { ExposedPorts: { '80/tcp': {}, '53/udp': {}, '7000/tcp': {}, '7001/tcp': {} } },
  ],
  ['VOLUME /a /b', { Volumes: { '/a': {}, '/b': {} } }],
  ['VOLUME ["/a b"]', { Volumes: { '/a b': {} } }],
  ['STOPSIGNAL SIGINT', { StopSignal: 'SIGINT' }],
  ['USER=1000:1000', { User: '1000:1000' }],
  ['WORKDIR /x', { WorkingDir: '/x' }],
  ['WORKDIR sub/dir', { WorkingDir: '/srv/sub/dir' }],
])('%s', (text, expected) => {
  expect(applyChanges(BEFORE, [parseChange(text)])).toEqual({ ...BEFORE, ...expected });
});

test('a command beside an entrypoint stays, and changes apply in their order', () => {
  const changes = ['CMD ["arg"]', 'ENTRYPOINT ["/init"]', 'WORKDIR /a', 'WORKDIR b'].map(parseChange);
  expect(applyChanges(BEFORE, changes)).toMatchObject({
    Cmd: ['arg'],
    Entrypoint: ['/init'],
    WorkingDir: '/a/b',
  });
});

test.each([
  ['', 'it is none of'],
  ['RUN rm -rf /', 'it is none of'],
  ['CMD', 'it is none of'],
  ['ONBUILD RUN x', 'no ONBUILD'],
  ['CMD ["a"', 'JSON'],
  ['CMD [1]', 'strings only'],
  ['ENV A', 'a value is missing'],
  ['ENV A=1 B', 'NAME=VALUE'],
  ['ENV A=1 =x', 'NAME=VALUE'],
  ['ENV A="x', 'not closed'],
  ['EXPOSE 0', 'a port'],
  ['EXPOSE 70000', 'a port'],
  ['EXPOSE 9-8', 'a port'],
  ['USER a\0b', 'NUL'],
])('%j is refused', (text, reason) => {
  try {
    parseChange(text);
    expect.unreachable();
  } catch (error) {
    expect((error as { code?: string }).code).toBe('COMMIT_CHANGE');
    expect((error as { subject: { reason: string } }).subject.reason).toContain(reason);
  }
});
