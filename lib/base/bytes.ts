/**
 * Names in layers are bytes, not text. In memory and in JSON records they travel as strings of one character
 * a byte (latin1), which keeps every byte and needs no escaping of its own; a `ByteName` is such a string.
 */
export type ByteName = string & { readonly __brand: 'ByteName' };

export function byteName(bytes: Uint8Array): ByteName {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1') as ByteName;
}

/** The bytes of a name. The loop avoids `Buffer`, whose first use costs a short verb 0.14 ms (measured). */
export function bytesOf(name: ByteName): Uint8Array {
  const bytes = new Uint8Array(name.length);
  for (let i = 0; i < name.length; i += 1) bytes[i] = name.charCodeAt(i);
  return bytes;
}
