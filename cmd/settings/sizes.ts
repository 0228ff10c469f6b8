import { sizeInBytes } from '../cli/sizes.ts';

/** A document of graft's own settings with sizes in bytes where a key says that it holds bytes. */
export function withBytes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withBytes);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => {
      const bytes = HOLDS_BYTES.test(key) && typeof member === 'string' ? sizeInBytes(member) : undefined;
      return [key, bytes ?? withBytes(member)];
    }),
  );
}

const HOLDS_BYTES = /(?:^|_)bytes(?:_|$)/;
