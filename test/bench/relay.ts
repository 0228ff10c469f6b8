/**
 * A network that is far away: passes connections on to a port of this machine and holds the first bytes of every
 * answer back. `relay.ts PORT MILLISECONDS` prints the port it listens on. (Not every kernel has netem.)
 */
import { createConnection, createServer, type Socket } from 'node:net';
import { Transform } from 'node:stream';

const [port, milliseconds] = process.argv.slice(2).map(Number);

const server = createServer((client: Socket) => {
  const upstream = createConnection({ host: '127.0.0.1', port: Number(port) });
  let asked = true;
  const hold = new Transform({
    transform(chunk, _encoding, pass) {
      if (!asked) return pass(null, chunk);
      asked = false;
      setTimeout(pass, milliseconds, null, chunk);
    },
  });
  client.on('data', () => {
    asked = true;
  });
  client.pipe(upstream);
  upstream.pipe(hold).pipe(client);
  // What the registry has said is still held back when it closes, so its end travels through the pipe.
  upstream.on('error', () => client.destroy());
  client.on('error', () => upstream.destroy());
  client.on('close', () => upstream.destroy());
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.stdout.write(`listening on ${typeof address === 'object' ? address?.port : ''}\n`);
});
