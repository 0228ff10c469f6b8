import type { TextRule } from './requirement.ts';

/** True when the text satisfies the rule. A `*` of a pattern stands for any characters but `/`, none among them. */
export function fits(rule: TextRule, text: string): boolean {
  if ('equals' in rule) return text === rule.equals;
  const wanted = rule.pattern.split('/');
  const parts = text.split('/');
  return wanted.length === parts.length && wanted.every((part, at) => fitsPart(part, parts[at] ?? ''));
}

/** Takes each piece between two stars at its first place: then the work is linear, and no later place can fit better. */
function fitsPart(pattern: string, text: string): boolean {
  const [head = '', ...rest] = pattern.split('*');
  const tail = rest.pop();
  if (tail === undefined) return text === head;
  if (!text.startsWith(head) || text.length < head.length + tail.length || !text.endsWith(tail)) return false;
  let at = head.length;
  const end = text.length - tail.length;
  for (const piece of rest) {
    const found = text.indexOf(piece, at);
    if (found < 0 || found + piece.length > end) return false;
    at = found + piece.length;
  }
  return true;
}
