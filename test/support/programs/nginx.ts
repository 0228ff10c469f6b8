/** nginx in front of something, as operators and content networks put it there. */
import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { type RunningServer, startServer } from './server.ts';

/**
 * Runs nginx with these `server` blocks in the foreground, in one process.
 * @param ports what to wait for on 127.0.0.1; `enter` runs it in a network namespace, whose ports cannot be seen
 *   from here: then it is waited for by its pid file.
 */
export async function startNginx(
  dir: string,
  servers: string,
  ports: readonly number[],
  enter: readonly string[] = [],
): Promise<RunningServer> {
  mkdirSync(`${dir}/tmp`, { recursive: true });
  writeFileSync(`${dir}/nginx.conf`, configuration(dir, servers));
  // A server that was killed leaves its socket, and the next one would not take its place.
  rmSync(`${dir}/settle`, { force: true });
  const command = [...enter, 'nginx', '-p', dir, '-c', `${dir}/nginx.conf`, '-e', 'stderr'];
  return startServer(command, { cwd: dir, ports, ...(enter.length > 0 && { files: [`${dir}/nginx.pid`] }) });
}

let settled = 0;

/**
 * The lines of a server's log for everything that was answered before. nginx writes a line after the answer, when
 * whoever asked may have gone on long since. But it is one process: once a request of our own is in the log, by a
 * socket that is the same in every network namespace, so is all that came before it.
 */
export async function settledLog(dir: string): Promise<string[]> {
  settled += 1;
  const mark = `/settled-${process.pid}-${settled}`;
  await fetch(`http://nginx${mark}`, { unix: `${dir}/settle`, keepalive: false });
  for (;;) {
    const lines = readFileSync(`${dir}/access.log`, 'utf8').split('\n').filter(Boolean);
    if (lines.some((line) => line.includes(`${mark} `)))
      return lines.filter((line) => !line.includes('/settled-'));
    await Bun.sleep(5);
  }
}

/** From here on the log has only what is asked from here on. */
export async function emptyLog(dir: string): Promise<void> {
  await settledLog(dir);
  truncateSync(`${dir}/access.log`);
}

function configuration(dir: string, servers: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${dir}/tmp/${kind};`,
  );
  return `
daemon off;
master_process off;
pid ${dir}/nginx.pid;
worker_rlimit_nofile 1024;
events { worker_connections 256; }
http {
  ${temporary.join('\n  ')}
  log_format plain '$request_method $uri $status "$http_authorization" "$http_range" $server_port';
  access_log ${dir}/access.log plain;
  types { }
  default_type application/octet-stream;
  server { listen unix:${dir}/settle; location / { return 204; } }
  ${servers}
}
`;
}
