/** Reads a document of the operator member by member. A member that is not understood is refused, so that no word of the document is lost. */
import { printable } from '../../base/text.ts';

/** A fault of a policy or of a file of registries.d; the message says where it is and has no full stop. */
export class PolicyProblem extends Error {}

export type Fields = Readonly<Record<string, unknown>>;

/** The members of an object. @throws PolicyProblem for another type, and for members that are not among `known` */
export function membersOf(value: unknown, where: string, known?: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new PolicyProblem(`${where} must be an object`);
  const wrong = known && Object.keys(value).find((name) => !known.includes(name));
  if (wrong !== undefined) throw new PolicyProblem(`${where} has an unknown key '${printable(wrong)}'`);
  return value as Fields;
}

/** A text that is not empty. @throws PolicyProblem */
export function textOf(value: unknown, where: string): string {
  if (typeof value !== 'string' || value === '') throw new PolicyProblem(`${where} must be a text`);
  return value;
}

/** Texts, at least one. @throws PolicyProblem */
export function textsOf(value: unknown, where: string): string[] {
  if (!Array.isArray(value) || value.length === 0)
    throw new PolicyProblem(`${where} must be a list that is not empty`);
  return value.map((item, at) => textOf(item, `${where}[${at}]`));
}

/** The single one of `names` that the object has; undefined for none. @throws PolicyProblem for more than one */
export function oneOf(fields: Fields, where: string, names: readonly string[]): string | undefined {
  const there = names.filter((name) => Object.hasOwn(fields, name));
  if (there.length > 1) throw new PolicyProblem(`${where} has both ${there[0]} and ${there[1]}`);
  return there[0];
}
