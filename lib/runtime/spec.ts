/** The whole OCI runtime specification of a container by hand: what graft's fragment lacks, with safe defaults. */
import type { IdMappings, IdRange } from '../base/id-mapping.ts';
import { toHostId } from '../base/id-mapping.ts';
import type { RuntimeMount, RuntimeSpec } from '../plugin/runtime-spec.ts';

export interface SpecChoices {
  /** The arguments of the process; empty: those of the image. */
  readonly command: readonly string[];
  readonly terminal: boolean;
  /** The terminal's type (TERM), for a process with a terminal. */
  readonly term: string | undefined;
  /** The network of the host; otherwise a network namespace with an unconfigured loopback interface only. */
  readonly hostNetwork: boolean;
  readonly hostname: string;
  /** Files of the host that the process sees read-only at the same paths. */
  readonly files: readonly string[];
  /** The mappings of the store. The container gets a user namespace where there are some. */
  readonly mappings: IdMappings;
}

/** Capabilities of a process that other engines give by default, too: enough to install packages, not to mount. */
const CAPABILITIES = [
  'CAP_AUDIT_WRITE',
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_NET_BIND_SERVICE',
  'CAP_SETFCAP',
  'CAP_SETGID',
  'CAP_SETPCAP',
  'CAP_SETUID',
  'CAP_SYS_CHROOT',
];

/** Paths that `runc spec` hides, too: files below them tell of the machine, or change it. */
const MASKED = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
];
const READ_ONLY = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** The group of terminals in distributions. */
const TTY_GROUP = 5;

/** The specification, with the fields of runtime-spec's config.md. `fragment` is what `create` prints. */
export function wholeSpec(fragment: RuntimeSpec, choices: SpecChoices): Record<string, unknown> {
  const { process: own, root, mounts = [] } = fragment;
  const { command, terminal, hostname, mappings } = choices;
  const isMapped = mappings.uids.length + mappings.gids.length > 0;
  return {
    ociVersion: fragment.ociVersion,
    process: {
      terminal,
      user: own.user,
      args: command.length > 0 ? command : (own.args ?? []),
      env: environment(own.env ?? [], choices),
      cwd: own.cwd,
      capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES },
      noNewPrivileges: true,
    },
    root: { path: root.path, readonly: false },
    hostname,
    mounts: [...mounts, ...ownMounts(choices, isMapped)],
    linux: {
      namespaces: namespaces(choices, isMapped),
      ...(isMapped ? { uidMappings: ranges(mappings.uids), gidMappings: ranges(mappings.gids) } : {}),
      resources: { devices: [{ allow: false, access: 'rwm' }] },
      maskedPaths: MASKED,
      readonlyPaths: READ_ONLY,
    },
  };
}

/** The image's environment, with a PATH where it has none. */
function environment(env: readonly string[], { terminal, term }: SpecChoices): string[] {
  const has = (name: string) => env.some((entry) => entry.startsWith(`${name}=`));
  return [
    ...(has('PATH') ? [] : [`PATH=${DEFAULT_PATH}`]),
    ...(terminal && term !== undefined && !has('TERM') ? [`TERM=${term}`] : []),
    ...env,
  ];
}

function namespaces({ hostNetwork }: SpecChoices, isMapped: boolean): { type: string }[] {
  const types = ['pid', 'ipc', 'uts', 'mount'];
  if (!hostNetwork) types.push('network');
  if (isMapped) types.push('user');
  return types.map((type) => ({ type }));
}

function ranges(list: readonly IdRange[]): { containerID: number; hostID: number; size: number }[] {
  return list.map(({ container, host, size }) => ({ containerID: container, hostID: host, size }));
}

function ownMounts({ hostNetwork, files, mappings }: SpecChoices, isMapped: boolean): RuntimeMount[] {
  const gid = toHostId(mappings.gids, TTY_GROUP) === undefined ? [] : [`gid=${TTY_GROUP}`];
  return [
    mount('/proc', 'proc', 'proc', []),
    mount('/dev', 'tmpfs', 'tmpfs', ['nosuid', 'strictatime', 'mode=755', 'size=65536k']),
    mount('/dev/pts', 'devpts', 'devpts', [
      'nosuid',
      'noexec',
      'newinstance',
      'ptmxmode=0666',
      'mode=0620',
      ...gid,
    ]),
    mount('/dev/shm', 'tmpfs', 'shm', ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k']),
    mount('/dev/mqueue', 'mqueue', 'mqueue', ['nosuid', 'noexec', 'nodev']),
    // Only the owner of a network namespace may mount its sysfs, which the root of a mapping is not of the host's.
    isMapped && hostNetwork
      ? mount('/sys', 'none', '/sys', ['rbind', 'nosuid', 'noexec', 'nodev', 'ro'])
      : mount('/sys', 'sysfs', 'sysfs', ['nosuid', 'noexec', 'nodev', 'ro']),
    ...files.map((path) => mount(path, 'none', path, ['bind', 'nosuid', 'noexec', 'nodev', 'ro'])),
  ];
}

function mount(destination: string, type: string, source: string, options: readonly string[]): RuntimeMount {
  return { destination, type, source, options };
}
