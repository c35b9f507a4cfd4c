import assert from 'node:assert/strict';
import { createPublicKey, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import * as asn1 from '../../../../src/pki/asn1/der.ts';
import { oids } from '../../../../src/pki/asn1/oid.ts';
import {
  encodeCertificates,
  type Issuer,
  inspectIssuer,
  namesOutsideConstraints,
  parseCertificates,
  prepareLeaf,
  type Subject,
  type SubjectAltNames,
} from '../../../../src/pki/index.ts';
import { altNames } from '../../../support/fixtures/names.ts';
import { privateKey } from '../../../support/fixtures/roots.ts';
import { days, hours, now } from '../../../support/fixtures/times.ts';
import { goodRoot, opensslRefusal, opensslRoot, present } from '../../../support/openssl.ts';
import { issueLeafNow, issueRoot, signNow, withSigner } from '../../../support/sign.ts';
import { throwsCode } from '../expect.ts';

const none = altNames();
const key = privateKey();
const keyPem = key.export({ type: 'pkcs8', format: 'pem' });

/** The extension in openssl's syntax. The section holds the distinguished name of a dirName. */
function constrainedRoot(constraints: string, section: readonly string[] = []): Issuer & { pem: string } {
  const extensions = [...goodRoot, `nameConstraints = critical, ${constraints}`, ...section];
  const { crt } = opensslRoot({ keyPem, extensions });
  const [certificate] = parseCertificates(crt);
  assert.ok(certificate !== undefined);
  return withSigner({ certificate, key, intermediates: [], anchor: certificate, pem: crt });
}

/** A root with the same name and key, but without constraints. It can sign the leaves that the constrained root refuses. */
function unconstrained({ certificate }: Issuer): Issuer {
  const { nameConstraints: _, ...plain } = certificate;
  return withSigner({ certificate: plain, key, intermediates: [], anchor: plain });
}

type Asked = Partial<SubjectAltNames>;
type AskedText = Omit<Asked, 'otherNames'>;

const dns = (name: string): AskedText => ({ dnsNames: [name] });
const ip = (address: string): AskedText => ({ ipAddresses: [address] });
const uri = (text: string): AskedText => ({ uris: [text] });
const email = (address: string): AskedText => ({ emailAddresses: [address] });

/** A constraint, a name, and whether openssl and the operator both accept the name. */
const verdicts: [constraints: string, asked: AskedText, allowed: boolean][] = [
  ['permitted;DNS:shop.svc', dns('shop.svc'), true],
  ['permitted;DNS:shop.svc', dns('a.shop.svc'), true],
  ['permitted;DNS:shop.svc', dns('a.b.shop.svc'), true],
  ['permitted;DNS:SHOP.svc', dns('a.shop.svc'), true],
  ['permitted;DNS:shop.svc', dns('*.shop.svc'), true],
  ['permitted;DNS:shop.svc', dns('webshop.svc'), false],
  ['permitted;DNS:shop.svc', dns('shop.svc.cluster.local'), false],
  ['permitted;DNS:shop.svc', dns('svc'), false],
  ['permitted;DNS:.shop.svc', dns('a.shop.svc'), true],
  ['permitted;DNS:.shop.svc', dns('shop.svc'), false],
  ['permitted;DNS:a.svc,permitted;DNS:b.svc', dns('x.b.svc'), true],
  ['permitted;DNS:a.svc,permitted;DNS:b.svc', dns('x.c.svc'), false],
  ['permitted;DNS:shop.svc', ip('10.0.0.1'), true],
  ['excluded;DNS:shop.svc', dns('a.shop.svc'), false],
  ['excluded;DNS:shop.svc', dns('webshop.svc'), true],
  ['excluded;DNS:shop.svc', dns('a.other.svc'), true],
  ['permitted;DNS:svc,excluded;DNS:shop.svc', dns('a.shop.svc'), false],
  ['permitted;DNS:svc,excluded;DNS:shop.svc', dns('a.other.svc'), true],
  ['permitted;IP:10.0.0.0/255.0.0.0', ip('10.255.0.1'), true],
  ['permitted;IP:10.0.0.0/255.0.0.0', ip('11.0.0.1'), false],
  ['permitted;IP:10.0.0.0/255.0.0.0', ip('2001:db8::1'), false],
  ['permitted;IP:2001:db8::/ffff:ffff::', ip('2001:db8:1::1'), true],
  ['permitted;IP:2001:db8::/ffff:ffff::', ip('2001:db9::1'), false],
  ['excluded;IP:10.1.0.0/255.255.0.0', ip('10.1.2.3'), false],
  ['excluded;IP:10.1.0.0/255.255.0.0', ip('10.2.2.3'), true],
  ['excluded;IP:0.0.0.0/0.0.0.0', ip('192.0.2.1'), false],
  ['permitted;email:example.com', email('a@example.com'), true],
  ['permitted;email:example.com', email('a@sub.example.com'), false],
  ['permitted;email:.example.com', email('a@sub.example.com'), true],
  ['permitted;email:.example.com', email('a@example.com'), false],
  ['permitted;email:a@example.com', email('a@example.com'), true],
  ['permitted;email:a@example.com', email('b@example.com'), false],
  ['permitted;email:a@example.com', email('A@example.com'), false],
  ['excluded;email:example.com', email('a@example.com'), false],
  ['excluded;email:example.com', email('a@example.org'), true],
  ['permitted;URI:example.org', uri('spiffe://example.org/ns/shop'), true],
  ['permitted;URI:example.org', uri('https://a.example.org/x'), false],
  ['permitted;URI:.example.org', uri('https://a.example.org/x'), true],
  ['permitted;URI:.example.org', uri('https://example.org/x'), false],
  ['permitted;URI:example.org', uri('https://example.org:8443/x'), true],
  ['permitted;URI:example.org', uri('https://example.org.evil.test/x'), false],
  ['permitted;URI:example.org', uri('https://evil.test/example.org'), false],
  ['excluded;URI:example.org', uri('spiffe://example.org/ns/shop'), false],
  ['excluded;URI:example.org', uri('spiffe://example.com/ns/shop'), true],
];

describe('a root with name constraints', () => {
  for (const [constraints, asked, allowed] of verdicts) {
    const name = Object.values(asked).flat().join();
    test(`${constraints} ${allowed ? 'certifies' : 'does not certify'} ${name}, and openssl agrees`, () => {
      const issuer = constrainedRoot(constraints);
      const names = { ...none, ...asked };
      const profile = { role: 'server', subject: {}, names, durationMs: hours(1) } as const;
      const context = { now: present, serialSeed: randomBytes(20) };
      const leaf = issueLeafNow(profile, createPublicKey(privateKey()), unconstrained(issuer), context);
      const refusal = opensslRefusal(encodeCertificates([leaf]), issuer.pem, 'sslserver', present);
      if (allowed) assert.equal(refusal, undefined);
      else assert.match(refusal ?? '', /permitted subtree violation|excluded subtree violation/);

      const outside = namesOutsideConstraints(issuer.certificate.nameConstraints ?? Buffer.alloc(0), names, {});
      assert.deepEqual(outside, allowed ? [] : [name]);
      const prepare = () => prepareLeaf(profile, createPublicKey(privateKey()), issuer, context);
      if (allowed) signNow(prepare());
      else throwsCode('IssuerRefuses', prepare, new RegExp(RegExp.escape(name)));
    });
  }

  const org = { organizations: ['Org'] };
  const section = ['[org]', 'O = Org', '[unit]', 'O = Org', 'OU = Unit', '[long]', 'O = Example Org'];
  const subjects: [constraints: string, subject: Subject, allowed: boolean][] = [
    ['permitted;dirName:org', org, true],
    ['permitted;dirName:org', { ...org, commonName: 'a' }, true],
    ['permitted;dirName:org', { organizations: ['Other'], commonName: 'a' }, false],
    ['permitted;dirName:org', { commonName: 'a' }, false],
    ['permitted;dirName:org', {}, true],
    ['permitted;dirName:unit', { ...org, organizationalUnits: ['Unit'], commonName: 'a' }, true],
    ['permitted;dirName:unit', { ...org, commonName: 'a' }, false],
    ['excluded;dirName:org', { ...org, commonName: 'a' }, false],
    // Some verifiers treat these as equal: OpenSSL and Java ignore case and repeated blanks.
    ['excluded;dirName:org', { organizations: ['ORG'] }, false],
    ['excluded;dirName:org', { organizations: ['\uff2frg'] }, false],
    ['excluded;dirName:org', { organizations: ['O\u00adrg'] }, false],
    ['excluded;dirName:long', { organizations: ['Example   org'] }, false],
    ['excluded;dirName:unit', { ...org, organizationalUnits: ['UNIT'] }, false],
    ['excluded;dirName:unit', { ...org, organizationalUnits: ['Units'] }, true],
    ['excluded;dirName:unit', { ...org }, true],
    ['excluded;dirName:org', { organizationalUnits: ['Org'] }, true],
    ['excluded;dirName:org', { countries: ['DE'], ...org }, true],
    // Other verifiers treat these as different.
    ['permitted;dirName:org', { organizations: ['ORG'] }, false],
    ['excluded;dirName:org', { organizations: ['Other'] }, true],
  ];
  for (const [constraints, subject, allowed] of subjects) {
    test(`${constraints} ${allowed ? 'certifies' : 'does not certify'} the subject ${JSON.stringify(subject)}`, () => {
      const { certificate } = constrainedRoot(constraints, section);
      const outside = namesOutsideConstraints(certificate.nameConstraints ?? Buffer.alloc(0), none, subject);
      assert.deepEqual(outside, allowed ? [] : ['the subject']);
    });
  }

  test('excludes a subject in another or unknown string type, because verifiers may treat it as equal', () => {
    const organization = (value: asn1.Asn1) =>
      asn1.sequence(asn1.setOf(asn1.sequence(asn1.oid(oids.organization), value)));
    const outside = (kind: 0 | 1, ...names: asn1.Asn1[]) => {
      const subtrees = names.map((name) => asn1.sequence(asn1.implicitConstructed(4, [name])));
      const constraints = asn1.encode(asn1.sequence(asn1.implicitConstructed(kind, subtrees)));
      return namesOutsideConstraints(constraints, none, org).length > 0;
    };
    for (const value of [asn1.printableString('org'), asn1.bmpString('ORG'), asn1.implicit(3, Buffer.from('Org'))]) {
      assert.ok(outside(1, organization(value)), 'it is not excluded');
      assert.ok(outside(0, organization(value)), 'it is permitted');
    }
    assert.ok(
      !outside(1, organization(asn1.printableString('Other'))) && !outside(0, organization(asn1.utf8String('Org'))),
    );
    const two = asn1.setOf(
      asn1.sequence(asn1.oid(oids.organization), asn1.utf8String('Org')),
      asn1.sequence(asn1.oid(oids.country), asn1.utf8String('DE')),
    );
    assert.ok(outside(1, asn1.sequence(two)), 'two attributes in one are not compared');
  });

  const commonNames: [constraints: string, commonName: string, asked: AskedText, allowed: boolean][] = [
    ['permitted;DNS:shop.svc', 'a.shop.svc', uri('spiffe://a/b'), true],
    ['permitted;DNS:shop.svc', 'A.Shop.svc', dns('a.shop.svc'), true],
    ['permitted;DNS:shop.svc', 'a.other.svc', uri('spiffe://a/b'), false],
    ['permitted;DNS:shop.svc', 'a.other.svc', dns('a.shop.svc'), false],
    ['permitted;DNS:shop.svc', 'a_b.other.svc', uri('spiffe://a/b'), false],
    ['permitted;DNS:shop.svc', '10.0.0.1', uri('spiffe://a/b'), false],
    ['permitted;DNS:shop.svc', 'payments', uri('spiffe://a/b'), false],
    ['permitted;DNS:shop.svc', 'Payments of the Shop', uri('spiffe://a/b'), false],
    ['permitted;DNS:shop.svc', 'payments', dns('a.shop.svc'), true],
    ['permitted;DNS:shop.svc', 'Payments of the Shop', dns('a.shop.svc'), true],
    ['excluded;DNS:shop.svc', 'a.shop.svc', uri('spiffe://a/b'), false],
    ['excluded;DNS:shop.svc', 'Payments of the Shop', uri('spiffe://a/b'), true],
    ['permitted;IP:10.0.0.0/255.0.0.0', 'a.other.svc', uri('spiffe://a/b'), true],
  ];
  for (const [constraints, commonName, asked, allowed] of commonNames) {
    const otherName = Object.values(asked).flat().join();
    test(`${constraints} ${allowed ? 'certifies' : 'does not certify'} the common name ${commonName} with ${otherName}`, () => {
      const { certificate } = constrainedRoot(constraints);
      const names = { ...none, ...asked };
      const outside = namesOutsideConstraints(certificate.nameConstraints ?? Buffer.alloc(0), names, { commonName });
      assert.deepEqual(outside, allowed ? [] : [`the common name ${commonName}`]);
    });
  }

  const doubts: [title: string, constraints: string, asked: Asked][] = [
    ['a wildcard that covers an excluded name', 'excluded;DNS:a.shop.svc', dns('*.shop.svc')],
    ['a URI without a host', 'permitted;URI:example.org', uri('urn:uuid:1')],
    ['a URI without a host when a host is excluded', 'excluded;URI:example.org', uri('urn:uuid:1')],
    ['a URI without a host when DNS names are excluded', 'excluded;DNS:example.org', uri('file:///a')],
    ['a URI with an IP address when DNS names are permitted', 'permitted;DNS:example.org', uri('https://10.0.0.1:80/')],
    ['a URI with an IPv6 address', 'excluded;URI:example.org', uri('https://[2001:db8::1]/')],
    ['a URI with an underscore after a permitted host', 'permitted;URI:example.org', uri('https://example.org_evil/')],
    ['a URI with an underscore before a permitted host', 'permitted;URI:.example.org', uri('https://a_b.example.org/')],
    ['a URI with an underscore when a host is excluded', 'excluded;URI:.example.org', uri('https://a_b.example.com/')],
    ['a URI with a user', 'permitted;URI:example.org', uri('https://a@example.org/')],
    ['a URI with a query directly after its host', 'excluded;URI:example.com', uri('https://example.org?a')],
    [
      'a URI below an excluded host, because Go excludes the whole domain',
      'excluded;URI:example.org',
      uri('https://a.example.org/'),
    ],
    [
      'a mailbox below an excluded host, because Go excludes the whole domain',
      'excluded;email:example.org',
      email('a@b.example.org'),
    ],
    ['a mailbox in another case', 'excluded;email:a@example.com', email('A@Example.com')],
    ['a mailbox whose domain is in another case', 'excluded;email:a@EXAMPLE.com', email('a@example.com')],
    [
      'a mailbox in UTF-8, because OpenSSL applies the constraints on mailboxes',
      'permitted;email:example.com',
      { otherNames: [{ oid: '1.3.6.1.5.5.7.8.9', utf8Value: 'a@example.com' }] },
    ],
    ['an IPv6 address when all IPv4 addresses are excluded', 'excluded;IP:0.0.0.0/0.0.0.0', ip('2001:db8::1')],
    ['an address in a network with bits outside its mask', 'permitted;IP:10.1.0.0/255.0.0.0', ip('10.2.0.1')],
    [
      'any otherName when its type is permitted',
      'permitted;otherName:1.2.3.4;UTF8:a',
      { otherNames: [{ oid: '1.2.3.4', utf8Value: 'a' }] },
    ],
  ];
  for (const [title, constraints, asked] of doubts) {
    test(`does not certify a name that a verifier may refuse: ${title}`, () => {
      const { certificate } = constrainedRoot(constraints);
      const names = { ...none, ...asked };
      assert.equal(namesOutsideConstraints(certificate.nameConstraints ?? Buffer.alloc(0), names, {}).length, 1);
    });
  }

  test('lists every name that is outside, and no other', () => {
    const { certificate } = constrainedRoot('permitted;DNS:shop.svc,permitted;IP:10.0.0.0/255.0.0.0');
    const names = { ...none, dnsNames: ['a.shop.svc', 'a', 'b'], ipAddresses: ['10.0.0.1', '::1'], uris: ['urn:a'] };
    assert.deepEqual(namesOutsideConstraints(certificate.nameConstraints ?? Buffer.alloc(0), names, {}), [
      'a',
      'b',
      // Go refuses a URI without a host below any CA that has name constraints.
      'urn:a',
      '::1',
    ]);
  });
});

describe('constraints that cannot be read', () => {
  const malformed: [title: string, der: string][] = [
    ['that are not a sequence', '05:00'],
    ['that are truncated', '30:05:a0:00'],
    ['with a truncated subtree', '30:06:a0:04:30:82:01:00'],
    ['with an empty subtree', '30:04:a0:02:30:00'],
    ['without lists', '30:00'],
    ['with an empty list', '30:02:a0:00'],
    ['with the lists in the wrong order', '30:0e:a1:05:30:03:82:01:61:a0:05:30:03:82:01:62'],
    ['with two lists of the same kind', '30:0e:a0:05:30:03:82:01:61:a0:05:30:03:82:01:62'],
  ];
  for (const [title, der] of malformed) {
    test(`${title} prevent a root from signing`, () => {
      const { crt } = opensslRoot({ keyPem, extensions: [...goodRoot, `nameConstraints = critical, DER:${der}`] });
      const inspection = inspectIssuer(crt, keyPem, present);
      assert.deepEqual('reason' in inspection && inspection.reason, 'RootMalformed');
    });
  }

  test('in reasonable time, because of too many subtrees and names, exclude every name', () => {
    const encoded = (count: number): Buffer => {
      const subtrees = Array.from({ length: count }, () => asn1.sequence(asn1.implicit(2, Buffer.from('shop.svc'))));
      return asn1.encode(asn1.sequence(asn1.implicitConstructed(0, subtrees)));
    };
    const dnsNames = Array.from({ length: 1024 }, (_, i) => `${i}.shop.svc`);
    assert.deepEqual(namesOutsideConstraints(encoded(1024), { ...none, dnsNames }, {}), []);
    assert.deepEqual(namesOutsideConstraints(encoded(1025), { ...none, dnsNames }, {}), dnsNames);
  });

  const unreadable: [title: string, der: string][] = [
    ['a network of odd length', '30:0a:a0:08:30:06:87:04:0a:00:00:00'],
    ['a network whose mask is not a prefix', '30:0e:a0:0c:30:0a:87:08:0a:00:00:00:ff:00:ff:00'],
    ['a DNS name with a trailing dot', '30:08:a0:06:30:04:82:02:61:2e'],
    ['a DNS name with an empty label', '30:0a:a0:08:30:06:82:04:61:2e:2e:62'],
    ['a DNS name beyond ASCII', '30:07:a0:05:30:03:82:01:fc'],
    ['a mailbox with two @', '30:0b:a0:09:30:07:81:05:61:40:62:40:63'],
    ['an empty mailbox, which Java cannot read', '30:06:a1:04:30:02:81:00'],
    ['an empty host, which Java cannot read', '30:06:a1:04:30:02:86:00'],
    ['a host that is an IP address', '30:0f:a0:0d:30:0b:86:09:31:30:2e:30:2e:30:2e:31:30'],
    ['a host with an underscore, which Java cannot read', '30:09:a0:07:30:05:86:03:61:5f:62'],
  ];
  for (const [title, der] of unreadable) {
    test(`because of ${title} prevent a root from signing any name`, () => {
      const { crt } = opensslRoot({ keyPem, extensions: [...goodRoot, `nameConstraints = critical, DER:${der}`] });
      const inspection = inspectIssuer(crt, keyPem, present);
      assert.deepEqual('reason' in inspection && inspection.reason, 'RootMalformed');
      const constraints = Buffer.from(der.replaceAll(':', ''), 'hex');
      const names = { ...none, dnsNames: ['a'], otherNames: [{ oid: '1.2.3', utf8Value: 'a' }] };
      assert.deepEqual(namesOutsideConstraints(constraints, names, {}), ['a', 'otherName 1.2.3']);
    });
  }

  const unknown: [title: string, der: string, asked: Asked][] = [
    ['an invalid directory name', '30:08:a0:06:30:04:a4:02:05:00', {}],
    ['a minimum distance, which RFC 5280 forbids', '30:0a:a0:08:30:06:82:01:61:80:01:01', dns('a')],
  ];
  for (const [title, der, asked] of unknown) {
    test(`because of ${title} exclude every name of that type`, () => {
      const constraints = Buffer.from(der.replaceAll(':', ''), 'hex');
      assert.equal(namesOutsideConstraints(constraints, { ...none, ...asked }, { commonName: 'x' }).length, 1);
    });
  }
});

test('a generated root has no name constraints, because some verifiers do not support them', () => {
  const context = { now, serialSeed: randomBytes(20) };
  assert.equal(
    issueRoot({ subject: { commonName: 'a' }, durationMs: days(1) }, key, context).nameConstraints,
    undefined,
  );
});
