import { isUtf8 } from 'node:buffer';
import { isIP } from 'node:net';
import { type Element, expectTag, readAll, readOid, readOnly, tags } from '../asn1/der.ts';
import { attributes, countryName } from './lint-oids.ts';
import { assertRule, violation } from './lint-rule.ts';

const utf8String = 0x0c;
const printableString = 0x13;
const stringTags = { utf8String, printableString } as const;

/** Checks a subject. */
export function lintSubject(subject: Element | undefined): { readonly isEmpty: boolean } {
  const sets = expectTag(subject, tags.sequence).children();
  const seen = new Set<string>();
  for (const set of sets) {
    const [only, ...others] = expectTag(set, tags.set).children();
    assertRule(others.length === 0, 'each RDN of a subject has one attribute');
    const [type, value, ...more] = expectTag(only, tags.sequence).children();
    const id = readOid(type);
    const attribute = attributes[id];
    assertRule(attribute !== undefined, 'a subject has only attributes of the profile');
    assertRule(
      !(attribute.single === true && seen.has(id)),
      'a subject has at most one common name and one serial number',
    );
    seen.add(id);
    assertRule(
      value?.tag === stringTags[attribute.type] && more.length === 0,
      'an attribute of a subject has the string type that its kind requires',
    );
    const text = textOf(value);
    assertRule(
      Array.from(text).length <= attribute.most,
      'an attribute of a subject is within its upper bound (RFC 5280 A.1)',
    );
    assertRule(id !== countryName || /^[A-Z]{2}$/.test(text), 'a country is two capital letters');
  }
  return { isEmpty: sets.length === 0 };
}

/** Checks and decodes a UTF8String or a PrintableString. */
function textOf({ tag, content }: Element): string {
  assertRule(isUtf8(content), 'a UTF8String is UTF-8');
  const text = content.toString('utf8');
  assertRule(text !== '' && !/\p{Cc}/u.test(text), 'a text is not empty and has no control characters');
  assertRule(
    tag !== printableString || /^[A-Za-z0-9 '()+,./:=?-]+$/.test(text),
    'a PrintableString has only the characters that its type allows',
  );
  return text;
}

/** Checks the names of a SubjectAltName extension (RFC 5280 4.2.1.6). */
export function lintAlternativeNames(value: Buffer): void {
  const names = readOnly(value, tags.sequence).children();
  assertRule(names.length > 0, 'a certificate has at least one subject alternative name');
  const seen = new Set(names.map(({ der }) => der.toString('latin1')));
  assertRule(seen.size === names.length, 'no subject alternative name is repeated');
  const uris = names.filter(({ tag }) => tag === 0x86).map(({ content }) => content.toString('latin1'));
  assertRule(
    uris.length <= 1 || !uris.some((uri) => /^spiffe:/i.test(uri)),
    'a certificate with a SPIFFE ID has no other URI (SPIFFE X509-SVID 2)',
  );
  for (const name of names) lintName(name);
}

function lintName({ tag, content }: Element): void {
  const text = content.toString('latin1');
  switch (tag) {
    case 0x82:
      return assertRule(isDnsName(text.startsWith('*.') ? text.slice(2) : text), 'a dNSName consists of LDH labels');
    case 0x86:
      return assertRule(isUri(text), 'a URI is absolute and has only the characters of RFC 3986');
    case 0x81:
      return assertRule(isMailbox(text), 'an rfc822Name is a mailbox: a dot-atom and a domain');
    case 0x87:
      return assertRule(content.length === 4 || content.length === 16, 'an iPAddress has 4 or 16 octets');
    case 0xa0: {
      const [type, value, ...more] = readAll(content);
      readOid(type);
      assertRule(
        value?.tag === 0xa0 && more.length === 0,
        'an otherName consists of a type and a value (RFC 5280 4.2.1.6)',
      );
      textOf(readOnly(value.content, utf8String));
      return;
    }
    default:
      throw violation('a subject alternative name has a type of the profile');
  }
}

const label = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
const dnsName = new RegExp(`^(?:${label}\\.)*${label}$`);

/** RFC 1123 2.1. If the last label is a number (as inet_aton(3) reads numbers), some parsers treat the name as an address. */
const isDnsName = (text: string): boolean => text.length <= 253 && dnsName.test(text) && !endsInNumber.test(text);

const endsInNumber = /(?:^|\.)(?:\d+|0[xX][\dA-Fa-f]*)$/;

function isMailbox(text: string): boolean {
  const at = text.indexOf('@');
  return (
    /^[\w!#$%&'*+/=?^`{|}~.-]+$/.test(text.slice(0, at)) && isDnsName(text.slice(at + 1)) && !/^\.|\.[.@]/.test(text)
  );
}

/** Go refuses to parse a certificate that has a URI with an invalid host. */
function isUri(text: string): boolean {
  const isAbsolute = /^[A-Za-z][A-Za-z0-9+.-]*:(?:[\w.~:/?#[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+$/.test(text);
  const authority = /^[^:]+:\/\/([^/?#]*)/.exec(text)?.[1];
  if (!isAbsolute || authority === undefined) return isAbsolute;
  const [, host = '', port = ''] = /^(?:[^@]*@)?(\[[^\]]*\]|[^:@[\]]*)(:\d*)?$/.exec(authority) ?? ['', '..'];
  const isHost = host.startsWith('[') ? isIP(host.slice(1, -1)) === 6 : !/^\.|\.\.|\.$/.test(host);
  const isUnclear = endsInNumber.test(host) && isIP(host) !== 4 && !/^spiffe:/i.test(text);
  return isHost && !isUnclear && Number(port.slice(1)) <= 65_535;
}
