/** The extensions of a certificate (RFC 5280, 4.2; Fulcio's own are in its oid-info.md). */

import * as der from './der.ts';
import { Refused } from './refused.ts';

/** The names of a certificate's subject. */
interface SubjectNames {
  readonly emails: readonly string[];
  readonly hosts: readonly string[];
  readonly uris: readonly string[];
}

export interface Extensions {
  /** Undefined without basic constraints: not an authority. */
  readonly authority: { readonly maxBelow: number | undefined } | undefined;
  /** Bits as in `KeyUse`; undefined: any use. */
  readonly keyUse: number | undefined;
  /** Object identifiers; undefined: any purpose. */
  readonly purposes: readonly string[] | undefined;
  readonly names: SubjectNames;
  /** The login provider that vouched for the subject, as Fulcio writes it; undefined: none. */
  readonly issuer: string | undefined;
  /** An extension that limits the certificate and that graft does not know. */
  readonly unknown: string | undefined;
}

/** Bits of the key usage extension. */
export const KeyUse = { signature: 1 << 0, certificates: 1 << 5 } as const;

const BASIC_CONSTRAINTS = '2.5.29.19';
const KEY_USAGE = '2.5.29.15';
const EXTENDED_KEY_USAGE = '2.5.29.37';
const SUBJECT_NAMES = '2.5.29.17';
/** Must be critical where an authority has it (RFC 5280, 4.2.1.10), and counts without the mark too. */
const NAME_CONSTRAINTS = '2.5.29.30';
/** The issuer's bytes as they are: older certificates of Fulcio. */
const FULCIO_ISSUER_RAW = '1.3.6.1.4.1.57264.1.1';
const FULCIO_ISSUER = '1.3.6.1.4.1.57264.1.8';

/** A certificate of Fulcio has about twenty extensions. */
const MAX_EXTENSIONS = 64;

interface Extension {
  readonly critical: boolean;
  readonly value: Uint8Array;
}

/** @param fields the extensions' sequence. @throws Refused */
export function extensionsOf(fields: der.Fields): Extensions {
  const all = new Map<string, Extension>();
  while (fields.more) {
    const extension = der.fieldsOf(fields.take());
    const id = der.oidOf(extension.take(der.OID));
    const flag = extension.maybe(der.BOOLEAN);
    const critical = flag !== undefined && der.booleanOf(flag);
    const value = extension.take(der.OCTET_STRING).content;
    extension.end();
    if (all.has(id)) throw new Refused('malformed', `it has the extension ${id} twice`);
    if (all.size === MAX_EXTENSIONS)
      throw new Refused('malformed', `it has more than ${MAX_EXTENSIONS} extensions`);
    all.set(id, { critical, value });
  }
  const read = <T>(id: string, reader: (value: Uint8Array) => T): T | undefined => {
    const found = all.get(id);
    return found === undefined ? undefined : reader(found.value);
  };
  return {
    authority: read(BASIC_CONSTRAINTS, basicConstraints),
    keyUse: read(KEY_USAGE, (value) => der.flagsOf(only(value, der.BIT_STRING))),
    purposes: read(EXTENDED_KEY_USAGE, purposesOf),
    names: read(SUBJECT_NAMES, namesOf) ?? { emails: [], hosts: [], uris: [] },
    issuer: issuerOf(read(FULCIO_ISSUER_RAW, textOf), read(FULCIO_ISSUER, utf8Of)),
    unknown: unknownOf(all),
  };
}

const KNOWN = new Set([BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE, SUBJECT_NAMES]);

function unknownOf(all: ReadonlyMap<string, Extension>): string | undefined {
  for (const [id, { critical }] of all)
    if ((critical && !KNOWN.has(id)) || id === NAME_CONSTRAINTS) return id;
  return undefined;
}

function only(value: Uint8Array, tag: number): der.Element {
  const element = der.readDer(value);
  if (element.tag !== tag) throw der.notDer('an extension has another type than it should have');
  return element;
}

function basicConstraints(value: Uint8Array): { maxBelow: number | undefined } | undefined {
  const fields = der.fieldsOf(der.readDer(value));
  const flag = fields.maybe(der.BOOLEAN);
  const length = fields.maybe(der.INTEGER);
  fields.end();
  const authority = flag !== undefined && der.booleanOf(flag);
  if (!authority && length !== undefined) throw der.notDer('its basic constraints contradict themselves');
  return authority ? { maxBelow: length && der.smallNumberOf(length) } : undefined;
}

function purposesOf(value: Uint8Array): string[] {
  const fields = der.fieldsOf(der.readDer(value));
  const purposes: string[] = [];
  while (fields.more) purposes.push(der.oidOf(fields.take(der.OID)));
  return purposes;
}

/** The tags of a GeneralName (RFC 5280, 4.2.1.6). */
const EMAIL = 0x81;
const HOST = 0x82;
const URI = 0x86;
/** Names of other kinds, which no requirement can demand: addresses of the network, directory names and others. */
const OTHER_NAMES = new Set([0x87, 0x88, 0xa0, 0xa4]);

function namesOf(value: Uint8Array): SubjectNames {
  const names = { emails: [] as string[], hosts: [] as string[], uris: [] as string[] };
  const fields = der.fieldsOf(der.readDer(value));
  while (fields.more) {
    const name = fields.take();
    if (name.tag === EMAIL) names.emails.push(der.asciiOf(name));
    else if (name.tag === HOST) names.hosts.push(der.asciiOf(name));
    else if (name.tag === URI) names.uris.push(der.asciiOf(name));
    else if (!OTHER_NAMES.has(name.tag)) throw der.notDer('a name of its subject has no known type');
  }
  return names;
}

function textOf(value: Uint8Array): string {
  const text = Buffer.from(value).toString('latin1');
  if (!/^[\x21-\x7e]+$/.test(text))
    throw der.notDer('its issuer extension has other characters than printable ASCII');
  return text;
}

function utf8Of(value: Uint8Array): string {
  return textOf(only(value, der.UTF8_STRING).content);
}

/** A certificate with two issuers that differ would mean one issuer here and another one elsewhere. */
function issuerOf(raw: string | undefined, encoded: string | undefined): string | undefined {
  if (raw !== undefined && encoded !== undefined && raw !== encoded)
    throw new Refused('malformed', 'its two issuer extensions differ');
  return encoded ?? raw;
}
