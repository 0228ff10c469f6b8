import { printable } from '../base/text.ts';
import type { Validator } from './generated/validators.js';

/** A line about the first error that a generated validator found. */
export function describeSchemaError(validator: Validator): string {
  const error = validator.errors?.[0];
  if (error === undefined) return 'it does not have the right form';
  const where = error.instancePath === '' ? 'it' : printable(error.instancePath);
  if (error.keyword === 'false schema') return `${where} must not be there beside the other keys`;
  const extra = error.params?.['additionalProperty'];
  if (typeof extra === 'string') return `${where} has a key that is not known: ${printable(extra)}`;
  return `${where} ${error.message ?? 'is wrong'}`;
}
