/**
 * Names below a CA with name constraints, checked by independent verifiers: they must accept every certificate that our code
 * would let such a CA sign. The test reports certificates that only our code refuses.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';

import {
  type ConstrainedExhibit,
  type Constraints,
  constrainedExhibit,
  type Requested,
} from '../support/judges/constrained.ts';
import { go } from '../support/judges/go.ts';
import { java } from '../support/judges/java.ts';
import { openssl } from '../support/judges/openssl.ts';
import type { Question } from '../support/judges/question.ts';
import { scratchFolder } from '../support/scratch.ts';

const dns = (...dnsNames: string[]): Requested => ({ names: { dnsNames } });
const uri = (...uris: string[]): Requested => ({ names: { uris } });
const email = (...emailAddresses: string[]): Requested => ({ names: { emailAddresses } });
const ip = (...ipAddresses: string[]): Requested => ({ names: { ipAddresses } });
const named = (commonName: string, requested: Requested): Requested => ({ ...requested, subject: { commonName } });
const of = (organization: string, requested: Requested): Requested => ({
  ...requested,
  subject: { organizations: [organization] },
});
const both = (subtrees: readonly string[]): Constraints[] =>
  subtrees.flatMap((subtree) => [{ permitted: [subtree] }, { excluded: [subtree] }]);

/** Constraints of one kind, and the names to check below each of them. */
const nameConstraints: readonly [constraints: readonly Constraints[], requested: readonly Requested[]][] = [
  [
    [
      ...both(['dns:', 'dns:EXAMPLE.com', 'dns:.example.com', 'dns:a.example.com']),
      { permitted: ['dns:a.com', 'dns:foo.example.com', 'dns:z.com'] },
      { permitted: ['dns:example.com'], excluded: ['dns:a.example.com', 'dns:.b.example.com'] },
      { permitted: ['dns:example.com', 'dns:.example.com', 'dns:x.org', 'dns:a-b.example.com'] },
      { permitted: ['ip:10.0.0.0/255.0.0.0'] },
    ],
    [
      dns('example.com'),
      dns('a.example.com'),
      dns('b.example.com'),
      dns('x.a.example.com'),
      dns('x.b.example.com'),
      dns('testexample.com'),
      dns('*.example.com'),
      dns('*.a.example.com'),
      dns('*.EXAMPLE.COM'),
      dns('a.example.com', 'x.org'),
      dns('payments'),
      ip('10.1.1.1'),
      named('a.example.com', uri('spiffe://example.com/a')),
      named('b.org', uri('spiffe://example.com/a')),
      named('B_a.org', uri('spiffe://example.com/a')),
      named('payments', uri('spiffe://example.com/a')),
      named('Payments of the Shop', uri('spiffe://example.com/a')),
      named('10.0.0.1', uri('spiffe://example.com/a')),
      named('b.org', dns('a.example.com')),
      named('payments', dns('a.example.com')),
      uri('urn:uuid:1'),
      uri('https://10.0.0.1/'),
      uri('https://a_b.com/'),
    ],
  ],
  [
    [...both(['email:EXAMPLE.com', 'email:.example.com', 'email:a@example.com', 'email:a@EXAMPLE.com'])],
    [
      email('a@example.com'),
      email('A@example.com'),
      email('a@EXAMPLE.com'),
      email('b@example.com'),
      email('a@sub.example.com'),
      email('a@sub.sub.example.com'),
      email('a@testexample.com'),
      email('a@example.org'),
      email('a@example.com', 'a@example.org'),
      {
        names: { otherNames: [{ oid: '1.3.6.1.5.5.7.8.9', utf8Value: 'a@example.com' }] },
        subject: { commonName: 'a' },
      },
      { names: { otherNames: [{ oid: '2.999.1', utf8Value: 'a@example.com' }] }, subject: { commonName: 'a' } },
      dns('example.com'),
    ],
  ],
  [
    both(['uri:EXAMPLE.com', 'uri:.example.com', 'uri:a']),
    [
      uri('https://example.com/a'),
      uri('https://example.com:8443/a'),
      uri('https://example.com'),
      uri('https://example.com:8443'),
      uri('https://example.com?a=b'),
      uri('https://example.com#a'),
      uri('https://user@example.com/'),
      uri('https://example.com@example.org/'),
      uri('https://a.example.com/a'),
      uri('https://testexample.com/a'),
      uri('https://example.com.evil.org/'),
      uri('https://example.com_evil.org/'),
      uri('https://example.com-evil.org/'),
      uri('https://evil.org/example.com'),
      uri('https://a_b.com/'),
      uri('https://a_example.com/'),
      uri('spiffe://example.com/ns/shop/sa/a'),
      uri('spiffe://a_b.com/ns/shop/sa/a'),
      uri('spiffe://example.org/ns/shop/sa/a'),
      uri('urn:uuid:1'),
      uri('https://10.0.0.1/'),
      uri('https://10.0.0.1:8443/'),
      uri('https://[2001:db8::1]/'),
      uri('https://[2001:db8::1]:16/'),
      uri('https://a/b', 'https://example.com/'),
      dns('example.com'),
    ],
  ],
  [
    [
      ...both([
        'ip:10.0.0.0/255.0.0.0',
        'ip:10.200.0.0/255.0.0.0',
        'ip:0.0.0.0/0.0.0.0',
        'ip:10.1.2.3/255.255.255.255',
        'ip:0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0/0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0',
        'ip:32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.0/255.255.255.255.0.0.0.0.0.0.0.0.0.0.0.0',
        'ip:0.0.0.0.0.0.0.0.0.0.255.255.10.0.0.0/255.255.255.255.255.255.255.255.255.255.255.255.255.0.0.0',
      ]),
      { permitted: ['ip:9.0.0.0/255.0.0.0', 'ip:10.200.0.0/255.0.0.0'] },
      { permitted: ['ip:10.0.0.0/255.0.0.0'], excluded: ['ip:10.1.0.0/255.255.0.0'] },
    ],
    [
      ip('10.1.2.3'),
      ip('10.0.0.1'),
      ip('11.0.0.1'),
      ip('2001:db8::1'),
      ip('2001:db9::1'),
      ip('10.0.0.1', '2001:db8::1'),
      dns('a'),
    ],
  ],
];

/** Constraints that Go does not apply: it refuses every certificate below such a CA. */
const directories: readonly [constraints: readonly Constraints[], requested: readonly Requested[]][] = [
  [
    both(['dir:Example Org', 'dir:example  ORG', 'dir:']),
    [
      of('Example Org', dns('a')),
      of('EXAMPLE ORG', dns('a')),
      of('Example  Org', dns('a')),
      of('Other', dns('a')),
      dns('a'),
    ],
  ],
];

interface Case {
  readonly title: string;
  readonly exhibit: ConstrainedExhibit;
}

/** The test is meaningful only with at least this many allowed and refused certificates. */
const atLeast = { allowed: 10, refused: 10 };

for (const [kind, all, judges] of [
  ['names, addresses and URIs', nameConstraints, [openssl, go, java]],
  ['subjects', directories, [openssl, java]],
] as const) {
  describe(`name constraints on ${kind}`, () => {
    const cases: Case[] = [];
    before(async () => {
      const folder = await scratchFolder('name-constraints');
      for (const [constraints, requested] of all) {
        for (const constraint of constraints) {
          for (const names of requested) {
            const exhibit = constrainedExhibit(constraint, names, join(folder, String(cases.length)));
            cases.push({ title: `${JSON.stringify(constraint)} for ${JSON.stringify(names)}`, exhibit });
          }
        }
      }
    });

    test('allow some certificates and refuse others in our code', () => {
      const allowed = cases.filter(({ exhibit }) => exhibit.outside.length === 0).length;
      assert.ok(
        allowed >= atLeast.allowed && cases.length - allowed >= atLeast.refused,
        `${allowed} of ${cases.length}`,
      );
    });

    for (const judge of judges) {
      const skip = process.env['CI'] === 'true' ? false : (judge.missing() ?? false);
      test(`never allow a certificate that ${judge.name} refuses`, { skip }, async (t) => {
        const questions = cases.map(
          ({ exhibit: { folder, trust } }, id): Question => ({ id, kind: 'verify', folder, trust, usage: 'server' }),
        );
        const verdicts = await judge.judge(questions);
        const looser = cases.filter(
          ({ exhibit }, id) => exhibit.outside.length === 0 && verdicts.get(id)?.accepted !== true,
        );
        const stricter = cases.filter(
          ({ exhibit }, id) => exhibit.outside.length > 0 && verdicts.get(id)?.accepted === true,
        );
        const refused = [...verdicts.values()].filter(({ accepted }) => !accepted).length;
        t.diagnostic(`${cases.length} certificates, ${refused} refused, ${stricter.length} refused only by our code`);
        if (process.env['VERBOSE'] !== undefined) for (const { title } of stricter) t.diagnostic(`  ${title}`);
        const refusals = looser.map((found) => `${found.title}: ${verdicts.get(cases.indexOf(found))?.words}`);
        assert.deepEqual(refusals, []);
        assert.ok(refused >= atLeast.refused, `${judge.name} refuses only ${refused}`);
      });
    }
  });
}
