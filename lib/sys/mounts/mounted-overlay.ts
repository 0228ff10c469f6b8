import { mountAt } from './mountinfo.ts';

/**
 * The lower directories of an overlay of ours at `path`, topmost first, as it was mounted: names may be relative.
 * Undefined where no overlay is mounted. mount(2) gets them in one option, and none that holds a colon (overlay.ts);
 * the newer calls give one option for each (ovl_show_options in fs/overlayfs/params.c).
 */
export function overlayLowers(path: string): string[] | undefined {
  const mount = mountAt(path);
  if (mount?.fsType !== 'overlay') return undefined;
  return mount.superOptions.flatMap((option) => {
    if (option.startsWith(ONE)) return [option.slice(ONE.length)];
    return option.startsWith(ALL) ? option.slice(ALL.length).split(':') : [];
  });
}
const ONE = 'lowerdir+=';
const ALL = 'lowerdir=';
