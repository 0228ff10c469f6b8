/** nginx in front of something, as operators and content networks put it there. */
import { mkdirSync, writeFileSync } from 'node:fs';
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
  const command = [...enter, 'nginx', '-p', dir, '-c', `${dir}/nginx.conf`, '-e', 'stderr'];
  return startServer(command, { cwd: dir, ports, ...(enter.length > 0 && { files: [`${dir}/nginx.pid`] }) });
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
  ${servers}
}
`;
}
