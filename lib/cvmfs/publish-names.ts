/** libpod's file name for a value whose key has other characters than letters, digits and dots. */
export function podmanName(key: string): string {
  return `=${Buffer.from(key).toString('base64')}`;
}
