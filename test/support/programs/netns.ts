/** Network namespaces: hosts with names and addresses of their own, and nothing but what is between them. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { must } from '../shell.ts';

export interface Netns extends AsyncDisposable {
  readonly name: string;
  /** Words to put before a command that is to run in it. */
  readonly enter: readonly string[];
  remove(): Promise<void>;
}

/**
 * A namespace whose loopback device has these addresses, and where these lines are `/etc/hosts`.
 * (`ip netns exec` puts what lies in /etc/netns/NAME over /etc.)
 */
export async function netns(addresses: readonly string[], hosts: readonly string[]): Promise<Netns> {
  // Runs side by side have process ids of their own, so that two of them may be the same.
  const name = `graft-test-${crypto.randomUUID().slice(0, 8)}`;
  const etc = `/etc/netns/${name}`;
  mkdirSync(etc, { recursive: true });
  writeFileSync(`${etc}/hosts`, `127.0.0.1 localhost\n${hosts.join('\n')}\n`);
  // A name service that cannot be reached would make every unknown name a wait.
  writeFileSync(`${etc}/resolv.conf`, '');
  await must('ip', ['netns', 'add', name]);
  await must('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
  for (const address of addresses)
    await must('ip', ['-n', name, 'addr', 'add', `${address}/32`, 'dev', 'lo']);
  const remove = async () => {
    rmSync(etc, { recursive: true, force: true });
    await must('ip', ['netns', 'del', name]);
  };
  return { name, enter: ['ip', 'netns', 'exec', name], remove, [Symbol.asyncDispose]: remove };
}

/** A cable between two namespaces, with an address at each end. Nothing is routed beyond it. */
export async function connect(a: Netns, addressA: string, b: Netns, addressB: string): Promise<void> {
  await must('ip', [
    'link',
    'add',
    'cable',
    'netns',
    a.name,
    'type',
    'veth',
    'peer',
    'name',
    'cable',
    'netns',
    b.name,
  ]);
  for (const [{ name }, address] of [
    [a, addressA],
    [b, addressB],
  ] as const) {
    await must('ip', ['-n', name, 'addr', 'add', `${address}/24`, 'dev', 'cable']);
    await must('ip', ['-n', name, 'link', 'set', 'cable', 'up']);
  }
}
