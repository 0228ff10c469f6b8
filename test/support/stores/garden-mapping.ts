/** As Garden maps them: root is the largest id, all others are themselves. */
export const ROOT = 4294967294;
export const MAPS = [`0:${ROOT}:1`, '1:1:4294967293'];
/** Options of init-store. */
export const INIT = MAPS.flatMap((map) => ['--uid-mapping', map, '--gid-mapping', map]);
