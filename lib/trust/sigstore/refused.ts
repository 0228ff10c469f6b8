import { printable } from '../../base/text.ts';
import type { Validator } from '../../oci/generated/validators.js';
import { JsonRefused, parseJson } from '../../oci/json.ts';
import { describeSchemaError } from '../../oci/schema-error.ts';
import type { Refusal, RefusalCode } from '../policy/verdict.ts';

/** A signature does not count. The readers and checks of this room throw it, and `verifySigstore` catches it. */
export class Refused extends Error {
  readonly refusal: Refusal;

  /** @param detail facts without a full stop; a stranger's text in it comes from `quoted` */
  constructor(code: RefusalCode, detail: string) {
    super(code);
    this.refusal = {
      code,
      detail: detail.length > MAX_DETAIL ? `${detail.slice(0, MAX_DETAIL - 1)}…` : detail,
    };
  }
}

const MAX_DETAIL = 200;
/** The most characters of a stranger's text in a detail. */
const MAX_QUOTED = 80;

/** A stranger's text for a detail: escaped, in quotation marks, cut to 80 characters. */
export function quoted(text: string): string {
  const shown = printable(text.slice(0, MAX_QUOTED));
  return shown.length > MAX_QUOTED || text.length > MAX_QUOTED
    ? `"${shown.slice(0, MAX_QUOTED)}…"`
    : `"${shown}"`;
}

function malformed(what: string, reason: string): Refused {
  return new Refused('malformed', `${what}: ${reason}`);
}

/** Runs a reader. A refusal gets the name of what was read. */
export function reading<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Refused) throw new Refused(error.refusal.code, `${what}: ${error.refusal.detail}`);
    throw error;
  }
}

/** Parses a JSON document and holds it against its schema. @throws Refused (malformed) */
export function documentOf(bytes: Uint8Array, validator: Validator, what: string): unknown {
  let document: unknown;
  try {
    document = parseJson(bytes, MAX_DOCUMENT_BYTES);
  } catch (error) {
    if (error instanceof JsonRefused) throw malformed(what, error.message);
    throw error;
  }
  if (!validator(document)) throw malformed(what, describeSchemaError(validator));
  return document;
}

/** A bundle with a certificate and log entries has 10 KB. Manifests, in whose annotations signatures lie, stop at 4 MiB. */
const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024;

/**
 * The bytes of a base64 text in the standard alphabet, padded, without white space and without bits beside the data: a
 * text has one form, as Go's strict decoder wants it. @throws Refused (malformed)
 */
export function fromBase64(text: string, what: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw malformed(what, 'it is not base64');
  return bytes;
}
