/** A token server in a process of its own, for network namespaces: one argument, its options in JSON. */
import { pemOf } from './certificates.ts';
import { tokenServer } from './token-server.ts';

const { tls, ...options } = JSON.parse(process.argv[2] ?? '{}');
const server = tokenServer({ ...options, ...(tls && { tls: pemOf(tls) }) });
process.stdout.write(`listening on ${server.url}\n`);
