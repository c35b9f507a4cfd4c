/** Compares the encoder with node-forge: both must write the same octets for the same tree. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import forge from 'node-forge/lib/asn1.js';
import * as der from '../../../../src/pki/asn1/der.ts';
import * as fc from '../../../support/properties.ts';

/** The same tree for both encoders. */
interface Pair {
  readonly ours: der.Asn1;
  readonly forges: ReturnType<typeof forge.create>;
}

const { UNIVERSAL, CONTEXT_SPECIFIC } = forge.Class;
const { Type } = forge;
const latin1 = (octets: Uint8Array): string => Buffer.from(octets).toString('latin1');
const primitive = (type: number, octets: Uint8Array, ours: der.Asn1): Pair => ({
  ours,
  forges: forge.create(UNIVERSAL, type, false, latin1(octets)),
});

const octets = fc.oneof(
  { arbitrary: fc.uint8Array({ maxLength: 40 }), weight: 8 },
  // Around the lengths at which the length field grows.
  { arbitrary: fc.nat({ max: 3 }).map((more) => new Uint8Array(126 + more).fill(7)), weight: 1 },
  { arbitrary: fc.nat({ max: 3 }).map((more) => new Uint8Array(254 + more).fill(7)), weight: 1 },
  { arbitrary: fc.nat({ max: 3 }).map((more) => new Uint8Array(65_534 + more).fill(7)), weight: 1 },
);
const seconds = fc.integer({ min: Date.UTC(1950, 0) / 1000, max: Date.UTC(9999, 11, 31) / 1000 });
const identifiers = fc
  .tuple(fc.constantFrom('0.9', '1.2', '2.5', '2.999'), fc.array(fc.nat({ max: 2 ** 31 - 1 }), { maxLength: 9 }))
  .map(([head, arcs]) => [head, ...arcs].join('.'));

const leaves: fc.Arbitrary<Pair> = fc.oneof(
  octets.map((content) => primitive(Type.OCTETSTRING, content, der.octetString(content))),
  fc.boolean().map((value) => primitive(Type.BOOLEAN, Uint8Array.of(value ? 0xff : 0), der.boolean(value))),
  fc.constant(primitive(Type.NULL, new Uint8Array(), der.nullValue())),
  fc.string({ unit: 'binary' }).map((text) => primitive(Type.UTF8, Buffer.from(text), der.utf8String(text))),
  fc.string({ unit: 'binary' }).map((text) => ({
    ours: der.bmpString(text),
    forges: forge.create(UNIVERSAL, Type.BMPSTRING, false, text),
  })),
  fc.nat({ max: 2 ** 31 - 1 }).map((value) => ({
    ours: der.wholeNumber(value),
    forges: forge.create(UNIVERSAL, Type.INTEGER, false, forge.integerToDer(value).getBytes()),
  })),
  identifiers.map((dotted) => ({
    ours: der.oid(dotted),
    forges: forge.create(UNIVERSAL, Type.OID, false, forge.oidToDer(dotted).getBytes()),
  })),
  seconds.map((at) => {
    const date = new Date(at * 1000);
    const [type, text] =
      date.getUTCFullYear() < 2050
        ? [Type.UTCTIME, forge.dateToUtcTime(date)]
        : [Type.GENERALIZEDTIME, forge.dateToGeneralizedTime(date)];
    return { ours: der.time(date), forges: forge.create(UNIVERSAL, type, false, text) };
  }),
  fc.tuple(fc.nat({ max: 30 }), octets).map(([tag, content]) => ({
    ours: der.implicit(tag, content),
    // forge treats tag number 2 of any class as an INTEGER, and may decode other numbers: Type.NONE prevents that.
    forges: forge.create(CONTEXT_SPECIFIC | tag, Type.NONE, false, latin1(content)),
  })),
);

const sequenceOf = (items: readonly Pair[]): Pair => ({
  ours: der.sequence(...items.map(({ ours }) => ours)),
  forges: forge.create(
    UNIVERSAL,
    Type.SEQUENCE,
    true,
    items.map(({ forges }) => forges),
  ),
});

const trees = fc.letrec<{ node: Pair }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 5 },
    leaves,
    fc.array(tie('node'), { maxLength: 5 }).map(sequenceOf),
    fc.tuple(fc.nat({ max: 30 }), tie('node')).map(([tag, { ours, forges }]) => ({
      ours: der.explicit(tag, ours),
      forges: forge.create(CONTEXT_SPECIFIC, tag, true, [forges]),
    })),
    tie('node').map(({ ours, forges }) => ({
      ours: der.octetStringOf(ours),
      forges: forge.create(UNIVERSAL, Type.OCTETSTRING, false, forge.toDer(forges).getBytes()),
    })),
    tie('node').map(({ ours, forges }) => ({ ours: der.encoded(der.encode(ours)), forges })),
  ),
})).node;

test('the encoder writes every tree as node-forge does', () => {
  fc.assert(
    fc.property(trees, ({ ours, forges }) => {
      assert.equal(der.encode(ours).toString('hex'), forge.toDer(forges).toHex());
    }),
    { numRuns: 2000 },
  );
});
