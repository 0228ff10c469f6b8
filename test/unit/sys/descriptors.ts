import { readdirSync, readlinkSync } from 'node:fs';

/**
 * What the open descriptors of this process lead to, as far as `wanted` says. Counting all of them would count
 * the runner's own, which come and go.
 */
export function openDescriptors(wanted: (target: string) => boolean): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return wanted(target) ? [target] : [];
    } catch {
      // The descriptor of this listing, closed by now.
      return [];
    }
  });
}
