// ci/merge-spec.mjs CONFIG FRAGMENT COMMAND: lays what graft printed over a configuration of `runc spec`, as a
// container engine does, and makes it run a shell command without a terminal.
import { readFileSync, writeFileSync } from 'node:fs';

const [config, fragment, command] = process.argv.slice(2);
const spec = JSON.parse(readFileSync(config, 'utf8'));
const { root, process: given, mounts = [] } = JSON.parse(readFileSync(fragment, 'utf8'));

spec.root = { ...spec.root, ...root, readonly: false };
spec.process = { ...spec.process, ...given, terminal: false, args: ['/bin/sh', '-c', command] };
spec.process.cwd ||= '/';
spec.mounts = [...mounts, ...spec.mounts];
writeFileSync(config, JSON.stringify(spec));
