/** A store with the configuration that a Diego cell has: GrootFS's file as BOSH and thresholder write it, graft's own beside it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { executable } from '../support/graft.ts';
import { must } from '../support/shell.ts';

export interface CellOptions {
  /** Holds the configuration. */
  readonly dir: string;
  readonly store: string;
  readonly insecureRegistries: readonly string[];
  /** Where a metron agent listens on this machine. */
  readonly metronPort: number;
  /** graft's own settings; nothing where an operator sets none. */
  readonly own?: object | undefined;
}

/** Garden's words before the verb. */
export type CellCommand = (...words: string[]) => string[];

/** Makes the store. @returns how Garden calls graft on it. */
export async function boshCell(options: CellOptions): Promise<CellCommand> {
  const config = join(options.dir, 'graft.yml');
  mkdirSync(`${config}.d`, { recursive: true });
  writeFileSync(config, grootFile(options));
  // The job renders this file in any case.
  writeFileSync(`${config}.d/graft.yml`, `--- ${JSON.stringify(options.own ?? {})}\n`);
  const command: CellCommand = (...words) => [executable(), '--config', config, ...words];
  const [program = '', ...words] = command('init-store');
  await must(program, words);
  return command;
}

/** A threshold that nothing here reaches: a clean that is due would be a process of its own. */
const THRESHOLD_BYTES = 1024 ** 5;

function grootFile({ dir, store, insecureRegistries, metronPort }: CellOptions): string {
  return `store: ${store}
tardis_bin: /var/vcap/packages/grootfs/bin/tardis
newuidmap_bin: /var/vcap/packages/garden-idmapper/bin/newuidmap
newgidmap_bin: /var/vcap/packages/garden-idmapper/bin/newgidmap
log_level: info
metron_endpoint: 127.0.0.1:${metronPort}
log_timestamp_format: unix-epoch
create:
  without_mount: false
  insecure_registries:${insecureRegistries.length === 0 ? ' []' : ''}
${insecureRegistries.map((host) => `  - ${host}\n`).join('')}  skip_layer_validation: true
  with_clean: true
  clean_log_file: ${dir}/clean.log
clean:
  threshold_bytes: ${THRESHOLD_BYTES}
init:
  store_size_bytes: 0
`;
}
