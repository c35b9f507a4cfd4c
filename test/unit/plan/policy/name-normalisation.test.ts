import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  dnsLabels,
  normaliseEmailAddress,
  normaliseIpAddress,
  normaliseUri,
} from '../../../../src/plan/policy/name-normalisation.ts';
import * as fc from '../../../support/properties.ts';

const normaliseDns = (name: string): string | undefined => dnsLabels(name)?.join('.');

type Table = [name: string, normal: string | undefined][];

const long = (length: number): string => 'a'.repeat(length);

const tables: [kind: string, normalise: (name: string) => string | undefined, table: Table][] = [
  [
    'DNS name',
    normaliseDns,
    [
      ['a', 'a'],
      ['payments.shop.svc', 'payments.shop.svc'],
      ['PayMents.SHOP.svc', 'payments.shop.svc'],
      ['payments.shop.svc.', 'payments.shop.svc'],
      ['*.shop.svc', '*.shop.svc'],
      ['xn--mnchen-3ya.de', 'xn--mnchen-3ya.de'],
      ['1a.2b', '1a.2b'],
      ['a--b.c', 'a--b.c'],
      [long(63), long(63)],
      [`${`${long(63)}.`.repeat(3)}${long(61)}`, `${`${long(63)}.`.repeat(3)}${long(61)}`],
      [`${`${long(63)}.`.repeat(3)}${long(61)}.`, `${`${long(63)}.`.repeat(3)}${long(61)}`],
      [`${`${long(63)}.`.repeat(3)}${long(62)}`, undefined],
      [long(64), undefined],
      [`${long(64)}.svc`, undefined],
      ['', undefined],
      ['.', undefined],
      ['..', undefined],
      ['a..b', undefined],
      ['.a', undefined],
      ['a..', undefined],
      ['*', undefined],
      ['*.', undefined],
      ['**.a', undefined],
      ['a.*', undefined],
      ['a.*.b', undefined],
      ['*.*.a', undefined],
      ['*a.b', undefined],
      ['a*.b', undefined],
      ['-a.b', undefined],
      ['a-.b', undefined],
      ['a_b.c', undefined],
      ['a b.c', undefined],
      [' a', undefined],
      ['a\n', undefined],
      ['a\0.shop.svc', undefined],
      ['a.shop.svc\0', undefined],
      ['a/b', undefined],
      ['a:443', undefined],
      ['user@a', undefined],
      ['%2f.a', undefined],
      ['münchen.de', undefined],
      // Characters that turn into ASCII, or vanish, when a program changes their case or normalises them.
      ['\u212aafka.shop.svc', undefined],
      ['\u017fhop.svc', undefined],
      ['\uff41.shop.svc', undefined],
      ['а.shop.svc', undefined],
      ['a\u200d.shop.svc', undefined],
      ['a\u3002shop\u3002svc', undefined],
      ['a\u00ad.svc', undefined],
      ['1.2.3.4', undefined],
      ['a.1', undefined],
      ['123', undefined],
      // inet_aton(3) reads these as addresses.
      ['0x7f000001', undefined],
      ['0X7F000001', undefined],
      ['127.0x1', undefined],
      ['127.0.0x1', undefined],
      ['0177.0.0.0x1', undefined],
      ['017700000001', undefined],
      ['2130706433', undefined],
      ['127.1', undefined],
      ['0x7f.1', undefined],
      ['0x', undefined],
      ['a.0x', undefined],
      ['a.0XfF', undefined],
      ['*.0x1', undefined],
      ['127.0x1.', undefined],
      ['0x7g', '0x7g'],
      ['x1', 'x1'],
      ['0x1.a', '0x1.a'],
      ['0a', '0a'],
      ['1-1', '1-1'],
      ['0x-1', '0x-1'],
      ['::1', undefined],
    ],
  ],
  [
    'IP address',
    normaliseIpAddress,
    [
      ['10.0.0.1', '10.0.0.1'],
      ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
      ['2001:0db8::0001', '2001:db8::1'],
      ['::', '::'],
      ['::ffff:10.0.0.1', '::ffff:a00:1'],
      ['0:0:1:0:0:0:1:0', '0:0:1::1:0'],
      ['fe80::1%eth0', undefined],
      ['10.0.0', undefined],
      ['010.0.0.1', undefined],
      ['10.0.0.1/8', undefined],
      ['0x0a.0.0.1', undefined],
      ['167772161', undefined],
      ['[::1]', undefined],
      ['1.2.3.4\n', undefined],
      ['', undefined],
    ],
  ],
  [
    'URI',
    normaliseUri,
    [
      ['spiffe://cluster.local/ns/shop/sa/a', 'spiffe://cluster.local/ns/shop/sa/a'],
      ['SPIFFE://Cluster.Local/ns/Shop/sa/a', 'spiffe://cluster.local/ns/Shop/sa/a'],
      ['spiffe://cluster.local', 'spiffe://cluster.local'],
      ['spiffe://cluster.local/', undefined],
      ['spiffe://cluster.local/ns//sa/a', undefined],
      ['spiffe://cluster.local/ns/shop/sa/a/', undefined],
      ['spiffe://cluster.local/ns/other/../shop/sa/a', undefined],
      ['spiffe://cluster.local/ns/./shop/sa/a', undefined],
      ['spiffe://cluster.local/ns/sh%6fp/sa/a', undefined],
      ['spiffe://cluster.local/ns%2fshop/sa/a', undefined],
      ['spiffe://cluster.local:443/ns/shop/sa/a', undefined],
      ['spiffe://user@cluster.local/ns/shop/sa/a', undefined],
      ['spiffe://cluster.local/ns/shop/sa/a?x', undefined],
      ['spiffe://cluster.local/ns/shop/sa/a#x', undefined],
      ['spiffe:///ns/shop/sa/a', undefined],
      ['spiffe:cluster.local/ns/shop/sa/a', undefined],
      ['spiffe:\\\\cluster.local\\ns', undefined],
      ['spiffe://clust\u0435r.local/ns', undefined],
      [`spiffe://a/${long(2049)}`, undefined],
      ['HTTPS://Example.com/Path', 'https://example.com/Path'],
      ['https://Example.com:8443', 'https://example.com:8443'],
      ['https://Example.com?Query', 'https://example.com?Query'],
      ['https://[2001:DB8::1]/', 'https://[2001:db8::1]/'],
      ['https://User@Example.com/', 'https://User@Example.com/'],
      ['https://Ex%41mple.com/', 'https://Ex%41mple.com/'],
      ['https:/Example.com/', 'https:/Example.com/'],
      ['urn:uuid:1', 'urn:uuid:1'],
      ['https://a/%zz', undefined],
      ['https://a/%', undefined],
      ['https://a/"b"', undefined],
      ['https://a/<b>', undefined],
      ['https://a\\b', undefined],
      ['https://a/{b}|^`', undefined],
      ['https://10.0.0.1/', 'https://10.0.0.1/'],
      ['https://0x7f000001/', undefined],
      ['https://127.0X1:443/', undefined],
      ['https://user@127.1', undefined],
      ['https://0177.0.0.1', undefined],
      ['spiffe://prod.1/a', 'spiffe://prod.1/a'],
      ['https://a..b/', undefined],
      ['https://.a/', undefined],
      ['https://a./', undefined],
      ['https://a:b/', undefined],
      ['https://a:65536/', undefined],
      ['https://a:65535/', 'https://a:65535/'],
      ['https://a:/', 'https://a:/'],
      ['https://a@b@c/', undefined],
      ['https://[a]/', undefined],
      ['https://[10.0.0.1]/', undefined],
      ['https://[::1/', undefined],
      ['https://[::1]a/', undefined],
      ['https://[::1]:443', 'https://[::1]:443'],
      ['spiffe://a..b/c', undefined],
      ['file:///a', 'file:///a'],
      ['mailto:a@b', 'mailto:a@b'],
      ['no scheme', undefined],
      ['/path', undefined],
      ['a:', undefined],
      ['https://a/\0', undefined],
      ['', undefined],
    ],
  ],
  [
    'e-mail address',
    normaliseEmailAddress,
    [
      ['A@Example.COM', 'A@example.com'],
      ['a+b@example.com', 'a+b@example.com'],
      ['a@example.com.', 'a@example.com'],
      ['a@b@example.com', undefined],
      ['@example.com', undefined],
      ['a@', undefined],
      ['a', undefined],
      ['a@*.example.com', undefined],
      ['a b@example.com', undefined],
      ['a@[10.0.0.1]', undefined],
      ['a@10.0.0.1', undefined],
      ['a@0x7f000001', undefined],
      ['a@127.0x1', undefined],
      ['"a"@example.com', undefined],
      ['a..b@example.com', undefined],
      ['.a@example.com', undefined],
      ['a.@example.com', undefined],
      ['a,b@example.com', undefined],
      ['a\\@example.com', undefined],
      ["!#$%&'*+-/=?^_`{|}~.a@example.com", "!#$%&'*+-/=?^_`{|}~.a@example.com"],
      ['jörg@example.com', undefined],
      ['a\n@example.com', undefined],
      ['', undefined],
    ],
  ],
];

for (const [kind, normalise, table] of tables) {
  describe(`the normal form of a ${kind}`, () => {
    for (const [name, normal] of table) {
      const shown = name.length > 100 ? `${name.slice(0, 20)}… of ${name.length} characters` : JSON.stringify(name);
      test(normal === undefined ? `does not exist for ${shown}` : `of ${shown} is ${normal.slice(0, 60)}`, () =>
        assert.equal(normalise(name), normal),
      );
    }

    test('is stable and ASCII, and exists or not for every text', () => {
      const known = fc.constantFrom(...table.map(([name]) => name));
      const mixed = fc.tuple(known, known, fc.nat(40)).map(([a, b, at]) => a.slice(0, at) + b.slice(at));
      fc.assert(
        fc.property(fc.oneof(known, mixed, fc.string(), fc.string({ unit: 'binary' })), (name) => {
          const normal = normalise(name);
          if (normal === undefined) return;
          assert.equal(normalise(normal), normal);
          assert.match(normal, /^[\x21-\x7e]+$/);
        }),
        { numRuns: 1000 },
      );
    });
  });
}

test('all spellings of an IPv6 address have the same normal form', () => {
  fc.assert(
    fc.property(fc.ipV6(), (address) => {
      const normal = normaliseIpAddress(address);
      assert.ok(normal !== undefined);
      assert.equal(normaliseIpAddress(address.toUpperCase()), normal);
    }),
  );
});
