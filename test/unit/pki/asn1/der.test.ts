import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as asn1 from '../../../../src/pki/asn1/der.ts';
import { openssl } from '../../../support/openssl.ts';
import * as fc from '../../../support/properties.ts';
import { onlyPkiErrors, throwsCode } from '../expect.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('the encoder', () => {
  const encodings: [title: string, node: asn1.Asn1, der: string][] = [
    ['an empty sequence', asn1.sequence(), '30 00'],
    ['a set', asn1.setOf(asn1.nullValue()), '31 02 05 00'],
    [
      'a set sorted by its encodings',
      asn1.setOf(
        asn1.octetString(Uint8Array.of(0)),
        asn1.nullValue(),
        asn1.boolean(true),
        asn1.octetString(Uint8Array.of()),
      ),
      '31 0a 01 01 ff 04 00 04 01 00 05 00',
    ],
    ['TRUE as 0xff', asn1.boolean(true), '01 01 ff'],
    ['FALSE as 0x00', asn1.boolean(false), '01 01 00'],
    ['zero', asn1.integer(Uint8Array.of(0)), '02 01 00'],
    ['an integer in minimal form', asn1.integer(Uint8Array.of(0, 0, 1)), '02 01 01'],
    ['a zero before an integer that would read as negative', asn1.integer(Uint8Array.of(0x80)), '02 02 00 80'],
    ['exactly one zero before an integer that needs it', asn1.integer(Uint8Array.of(0, 0, 0x80)), '02 02 00 80'],
    ['the number zero', asn1.wholeNumber(0), '02 01 00'],
    ['a number', asn1.wholeNumber(10_000), '02 02 27 10'],
    ['the largest number', asn1.wholeNumber(2 ** 32 - 1), '02 05 00 ff ff ff ff'],
    ['a bit string with its number of unused bits', asn1.bitString(Uint8Array.of(0xa0), 5), '03 02 05 a0'],
    ['named bits without trailing zeros', asn1.namedBits([0]), '03 02 07 80'],
    ['named bits of keyCertSign and cRLSign', asn1.namedBits([5, 6]), '03 02 01 06'],
    ['named bits beyond the first octet', asn1.namedBits([8]), '03 03 07 00 80'],
    ['UTF-8 text', asn1.utf8String('é'), '0c 02 c3 a9'],
    ['a BMPString as UTF-16', asn1.bmpString('aä'), '1e 04 00 61 00 e4'],
    ['a PrintableString', asn1.printableString('DE'), '13 02 44 45'],
    ['an explicit tag', asn1.explicit(3, asn1.nullValue()), 'a3 02 05 00'],
    ['an implicit tag', asn1.implicit(2, Buffer.from('a')), '82 01 61'],
    ['an implicit tag of a constructed type', asn1.implicitConstructed(0, [asn1.nullValue()]), 'a0 02 05 00'],
    ['an object identifier', asn1.oid('2.5.29.17'), '06 03 55 1d 11'],
    ['an object identifier whose first two arcs need two octets', asn1.oid('2.999.3'), '06 03 88 37 03'],
    ['arcs of 7 and 8 bits', asn1.oid('1.2.127.128'), '06 04 2a 7f 81 00'],
    ['an arc of 31 bits', asn1.oid('1.2.2147483647'), '06 06 2a 87 ff ff ff 7f'],
    [
      'the smallest object identifiers',
      asn1.sequence(asn1.oid('0.0'), asn1.oid('1.39'), asn1.oid('2.0')),
      '30 09 06 01 00 06 01 4f 06 01 50',
    ],
    ['the last second of UTCTime', asn1.time(new Date('2049-12-31T23:59:59Z')), '17 0d 343931323331323335393539 5a'],
    [
      'the first second of GeneralizedTime',
      asn1.time(new Date('2050-01-01T00:00:00Z')),
      '18 0f 3230353030313031303030303030 5a',
    ],
    ['a time in whole seconds', asn1.time(new Date('2026-03-01T12:00:00.999Z')), '17 0d 323630333031313230303030 5a'],
  ];
  for (const [title, node, der] of encodings) {
    test(`writes ${title}`, () => assert.equal(asn1.encode(node).toString('hex'), hex(der).toString('hex')));
  }

  test('uses the long form for lengths of 128 octets and more', () => {
    const heads = { 127: '047f', 128: '048180', 65_536: '0483010000' };
    for (const [length, head] of Object.entries(heads)) {
      const written = asn1.encode(asn1.octetString(Buffer.alloc(Number(length))));
      assert.equal(written.subarray(0, head.length / 2).toString('hex'), head);
    }
  });

  test('copies encoded elements octet by octet', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.constantFrom(0x04, 0x30, 0xa0, 0x82), (content, tag) => {
        const inner = Buffer.concat([Buffer.of(tag), asn1.encode(asn1.octetString(content)).subarray(1)]);
        assert.deepEqual(
          asn1.readOnly(asn1.encode(asn1.sequence(asn1.encoded(inner))), asn1.tags.sequence).content,
          inner,
        );
      }),
    );
  });

  test('keeps the leading zeros of an implicit element with the tag number of an INTEGER', () => {
    for (const tag of [0x02, 0x82]) {
      const inner = Buffer.of(tag, 3, 0, 1, 2);
      assert.deepEqual(
        asn1.readOnly(asn1.encode(asn1.sequence(asn1.encoded(inner))), asn1.tags.sequence).content,
        inner,
      );
    }
  });

  test('writes DER that openssl reads', () => {
    const der = asn1.encode(
      asn1.sequence(
        asn1.oid('1.2.840.10045.4.3.2'),
        asn1.integer(Uint8Array.of(1, 0)),
        asn1.boolean(true),
        asn1.utf8String('ü'),
      ),
    );
    const parsed = openssl(['asn1parse', '-inform', 'DER'], der);
    assert.match(parsed, /OBJECT +:ecdsa-with-SHA256[\s\S]*INTEGER +:0100[\s\S]*BOOLEAN +:255[\s\S]*UTF8STRING +:ü/);
  });
});

describe('encoder and reader', () => {
  const leaf = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map(asn1.octetString),
    fc.uint8Array({ minLength: 1, maxLength: 20 }).map(asn1.integer),
    fc.string().map(asn1.utf8String),
    fc.boolean().map(asn1.boolean),
  );
  const trees = fc.letrec<{ node: asn1.Asn1 }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie('node'), { maxLength: 4 }).map((nodes) => asn1.sequence(...nodes)),
    ),
  })).node;

  /** Rebuilds a tree from the elements that were read. */
  const rebuilt = (der: Buffer): Buffer => {
    const [element, ...more] = asn1.readAll(der);
    assert.ok(element !== undefined && more.length === 0);
    if (element.tag !== asn1.tags.sequence) return element.der;
    return asn1.encode(
      asn1.sequence(...asn1.readAll(element.content).map((child) => asn1.encoded(rebuilt(child.der)))),
    );
  };

  test('agree on every tree', () => {
    fc.assert(
      fc.property(trees, (tree) => {
        const der = asn1.encode(tree);
        assert.deepEqual(rebuilt(der), der);
      }),
    );
  });

  test('agree on every object identifier', () => {
    const arcs = fc.array(fc.nat({ max: 2 ** 31 - 1 }), { maxLength: 8 });
    const heads = fc.oneof(
      fc.tuple(fc.constantFrom(0, 1), fc.nat({ max: 39 })),
      fc.tuple(fc.constant(2), fc.nat({ max: 999 })),
    );
    fc.assert(
      fc.property(heads, arcs, (head, rest) => {
        const dotted = [...head, ...rest].join('.');
        assert.equal(asn1.readOid(asn1.readOnly(asn1.encode(asn1.oid(dotted)), asn1.tags.oid)), dotted);
      }),
    );
  });

  test('agree on every integer', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 160n }), (number) => {
        const digits = number.toString(16);
        const magnitude = Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex');
        const { content } = asn1.readOnly(asn1.encode(asn1.integer(magnitude)), asn1.tags.integer);
        assert.equal(BigInt(`0x${content.toString('hex')}`), number);
        assert.ok((content[0] ?? 0x80) < 0x80, 'it is not negative');
      }),
    );
  });
});

describe('the reader refuses', () => {
  const malformed: [title: string, der: string][] = [
    ['an empty buffer', ''],
    ['an identifier without a length', '30'],
    ['truncated contents', '04 03 00 00'],
    ['a truncated length', '04 82 01'],
    ['an indefinite length', '30 80 00 00'],
    ['the reserved first length octet', '04 ff'],
    ['a length in long form that fits the short form', '04 81 01 00'],
    ['a length with a leading zero', `04 82 00 80 ${'00'.repeat(128)}`],
    ['a length of five octets', '04 85 01 00 00 00 00'],
    ['a length of four gibibytes', '04 84 ff ff ff ff 00'],
    ['a tag of several octets', '1f 81 00 00'],
  ];
  for (const [title, der] of malformed) {
    test(title, () => throwsCode('MalformedDer', () => asn1.readElement(hex(der))));
  }

  test('octets after the only element', () =>
    throwsCode('MalformedDer', () => asn1.readOnly(hex('30 00 00'), asn1.tags.sequence)));
  test('an unexpected tag', () => throwsCode('MalformedDer', () => asn1.readOnly(hex('31 00'), asn1.tags.sequence)));
  test('a list with a truncated last element', () =>
    throwsCode('MalformedDer', () => asn1.readAll(hex('05 00 04 01'))));

  const identifiers: [title: string, der: string][] = [
    ['an empty object identifier', '06 00'],
    ['a truncated object identifier', '06 02 55 9d'],
    ['an object identifier that is not minimal', '06 04 55 1d 80 13'],
    ['an arc above 2^31', '06 07 55 ff ff ff ff ff 7f'],
    ['a string in place of an object identifier', '04 01 55'],
  ];
  for (const [title, der] of identifiers) {
    test(title, () => throwsCode('MalformedDer', () => asn1.readOid(asn1.readElement(hex(der)).element)));
  }

  test('random octets with PkiError only', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const der = Buffer.from(bytes);
        onlyPkiErrors(() => asn1.readAll(der));
        onlyPkiErrors(() => asn1.readOnly(der, asn1.tags.sequence));
        onlyPkiErrors(() => asn1.readOid(asn1.readElement(der).element));
      }),
      { numRuns: 2000 },
    );
  });

  test('to read nested elements, so a megabyte of nesting costs nothing', () => {
    const der = Buffer.alloc(1024 * 1024, hex('30 80'));
    throwsCode('MalformedDer', () => asn1.readAll(der));
  });
});
