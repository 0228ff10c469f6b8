import { mountAt } from './mountinfo.ts';

/**
 * The lower directories of graft's overlay at `path`, topmost first, as they were given at the mount: names may be
 * relative. Undefined where no overlay is mounted. An overlay mounted by mount(2) shows all lowers in one option, and
 * none of their names contains a colon (overlay.ts). An overlay mounted by the newer calls shows one option for each
 * lower (ovl_show_options in fs/overlayfs/params.c).
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
