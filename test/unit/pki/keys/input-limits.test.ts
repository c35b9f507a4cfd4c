/** Hostile input must cost linear work: twice the input takes twice the steps, not four times. Steps are counted, not timed. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as asn1 from '../../../../src/pki/asn1/der.ts';
import { encodePem, parsePem } from '../../../../src/pki/asn1/pem.ts';
import {
  inspectIssuer,
  parseCertificates,
  parseCrls,
  parsePrivateKey,
  parseTrustAnchors,
} from '../../../../src/pki/index.ts';
import {
  certificateNamesOutsideConstraints,
  constraintsAreReadable,
  namesOutsideConstraints,
} from '../../../../src/pki/x509/name-constraints.ts';
import { wrapped } from '../../../support/der-mutation.ts';
import { altNames } from '../../../support/fixtures/names.ts';
import { encodedRoot, root } from '../../../support/fixtures/roots.ts';
import { later, now } from '../../../support/fixtures/times.ts';
import { workOf } from '../../../support/work.ts';
import { onlyPkiErrors } from '../expect.ts';

const signer = root();
const { crt, key } = encodedRoot(signer);
const subject = asn1.encoded(signer.certificate.subject);
const repeated = (octets: Buffer, count: number): Buffer => Buffer.concat(Array.from({ length: count }, () => octets));
const algorithm = asn1.sequence(asn1.oid('1.2.840.10045.4.3.2'));

/** A CRL with this many entries or extensions, and an invalid signature. */
function crl(entries: number, extensions: number): string {
  const entry = asn1.encode(asn1.sequence(asn1.integer(Uint8Array.of(7)), asn1.time(now)));
  const more = Array.from({ length: extensions }, (_, i) =>
    asn1.sequence(asn1.oid(`1.3.${i}`), asn1.octetString(Buffer.alloc(0))),
  );
  const number = asn1.sequence(asn1.oid('2.5.29.20'), asn1.octetString(asn1.encode(asn1.integer(Uint8Array.of(1)))));
  const list = asn1.encoded(wrapped(0x30, repeated(entry, entries)));
  const head = [asn1.integer(Uint8Array.of(1)), algorithm, subject, asn1.time(now), asn1.time(later(1000))];
  const tbs = asn1.sequence(...head, list, asn1.explicit(0, asn1.sequence(number, ...more)));
  return encodePem('X509 CRL', asn1.encode(asn1.sequence(tbs, algorithm, asn1.bitString(Buffer.alloc(70)))));
}

/** Constraints or names with this many elements. */
const subtrees = (count: number, tag = 0xa1): Buffer => {
  const subtree = asn1.encode(asn1.sequence(asn1.encoded(wrapped(0x82, Buffer.from('example.com')))));
  return wrapped(0x30, wrapped(tag, repeated(subtree, count)));
};
const lists = (count: number): Buffer => wrapped(0x30, repeated(Buffer.of(0xa0, 0), count));
const nested = (depth: number): Buffer => {
  let der = asn1.encode(asn1.nullValue());
  for (let level = 0; level < depth; level += 1) der = wrapped(0x30, der);
  return der;
};
const alternatives = (count: number): Buffer =>
  wrapped(0x30, repeated(wrapped(0x82, Buffer.from('a.example.com')), count));
const names = altNames({ dnsNames: ['db.shop.svc'] });

describe('the work grows linearly with the number of', () => {
  const hostile: [title: string, count: number, act: (count: number) => () => unknown][] = [
    ['elements in a row', 5000, (count) => asn1.readAll.bind(undefined, repeated(Buffer.of(5, 0), count))],
    ['nested elements', 2000, (count) => asn1.readAll.bind(undefined, nested(count))],
    [
      'arcs of an object identifier',
      5000,
      (count) => {
        const { element } = asn1.readElement(wrapped(0x06, Buffer.alloc(count, 1)));
        return () => asn1.readOid(element);
      },
    ],
    [
      'octets of one arc',
      5000,
      (count) => {
        const { element } = asn1.readElement(wrapped(0x06, Buffer.alloc(count, 0x81)));
        return () => asn1.readOid(element);
      },
    ],
    ['PEM blocks', 48, (count) => parsePem.bind(undefined, encodePem('X', Buffer.alloc(9)).repeat(count))],
    ['BEGIN lines without an END line', 5000, (count) => parsePem.bind(undefined, '-----BEGIN X-----\n'.repeat(count))],
    ['certificates', 32, (count) => parseCertificates.bind(undefined, crt.repeat(count))],
    ['roots', 32, (count) => parseTrustAnchors.bind(undefined, crt.repeat(count))],
    ['certificates of a root Secret', 32, (count) => () => inspectIssuer(crt.repeat(count), key, now)],
    ['keys', 32, (count) => parsePrivateKey.bind(undefined, key.repeat(count))],
    ['entries of a CRL', 2000, (count) => parseCrls.bind(undefined, crl(count, 0))],
    ['extensions of a CRL', 500, (count) => parseCrls.bind(undefined, crl(0, count))],
    ['subtrees of name constraints', 2000, (count) => () => constraintsAreReadable(subtrees(count))],
    ['lists of subtrees', 2000, (count) => () => constraintsAreReadable(lists(count))],
    ['subtrees to compare with a name', 2000, (count) => () => namesOutsideConstraints(subtrees(count), names, {})],
    [
      'lists of subtrees to compare with a name',
      2000,
      (count) => () => namesOutsideConstraints(lists(count), names, {}),
    ],
    [
      'names of a CA and subtrees to compare with them',
      3000,
      (count) => {
        const certificate = { ...signer.certificate, subjectAltNames: alternatives(count) };
        return () => certificateNamesOutsideConstraints(subtrees(count, 0xa0), certificate);
      },
    ],
  ];
  for (const [title, count, make] of hostile) {
    test(title, (t) => {
      const [once, twice] = [make(count), make(2 * count)].map((act) =>
        workOf('/src/pki/', () => onlyPkiErrors(act)),
      ) as [number, number];
      t.diagnostic(`${once} and ${twice} steps`);
      assert.ok(once > 0, 'nothing was counted');
      assert.ok(twice < 2.5 * once + 500, `${once} steps become ${twice}`);
    });
  }
});
