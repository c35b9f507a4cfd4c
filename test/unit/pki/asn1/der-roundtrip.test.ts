import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as asn1 from '../../../../src/pki/asn1/der.ts';
import { checkWithForge } from '../../../../src/pki/asn1/der-roundtrip.ts';
import { root } from '../../../support/fixtures/roots.ts';
import * as fc from '../../../support/properties.ts';
import { throwsCode } from '../expect.ts';

describe('checkWithForge', () => {
  test('accepts roots with every kind of key', () => {
    for (const key of [
      { algorithm: 'ECDSA', size: 521 },
      { algorithm: 'RSA', size: 2048 },
      { algorithm: 'Ed25519' },
    ] as const) {
      const [tbs] = asn1.readOnly(root({ key, name: 'Wurzel Ü' }).certificate.der, asn1.tags.sequence).children();
      assert.ok(tbs !== undefined);
      checkWithForge(tbs.der);
    }
  });

  test('accepts random identifiers, texts and times', () => {
    const arcs = fc.array(fc.nat({ max: 2 ** 31 - 1 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(arcs, fc.string({ unit: 'binary' }), fc.nat({ max: 2 ** 32 }), (more, text, at) =>
        checkWithForge(
          asn1.encode(
            asn1.sequence(
              asn1.oid(['1.3', ...more].join('.')),
              asn1.explicit(3, asn1.utf8String(text)),
              asn1.time(new Date(at * 1000)),
            ),
          ),
        ),
      ),
    );
  });

  const bad: [title: string, der: string][] = [
    ['an indefinite length', '30800500 0000'],
    ['a length that is not minimal', '308102 0500'],
    ['truncated contents', '3004 0500'],
    ['octets after the end', '3002 0500 00'],
    ['an INTEGER that is not minimal', '3004 0202 0001'],
    ['nothing', ''],
  ];
  for (const [title, der] of bad) {
    test(`refuses ${title}`, () =>
      throwsCode('ProfileViolation', () => checkWithForge(Buffer.from(der.replaceAll(' ', ''), 'hex'))));
  }
});
