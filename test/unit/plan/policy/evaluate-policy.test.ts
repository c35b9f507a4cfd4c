import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Role, Subject, SubjectAltNames } from '../../../../src/pki/index.ts';
import { issuancePolicy } from '../../../../src/plan/index.ts';
import { deniedNames, type PolicyScope } from '../../../../src/plan/policy/evaluate-policy.ts';
import { rules } from '../../../support/fixtures/authority.ts';
import { altNames } from '../../../support/fixtures/names.ts';
import * as fc from '../../../support/properties.ts';

const shop: PolicyScope = { namespace: 'shop', labels: {}, authority: 'default', ...rules };
const none = altNames();

const mayHaveDns = (name: string, scope = shop, role: Role = 'server'): boolean =>
  deniedNames({ role, subject: {}, names: { ...none, dnsNames: [name] } }, scope).length === 0;
const mayHaveUri = (uri: string, scope = shop): boolean =>
  deniedNames({ role: 'client', subject: {}, names: { ...none, uris: [uri] } }, scope).length === 0;
const mayHaveCommonName = (commonName: string, role: Role, scope = shop): boolean =>
  deniedNames({ role, subject: { commonName }, names: none }, scope).length === 0;

/** The messages when a role requests these names and this subject. */
const told = (role: Role, names: Partial<SubjectAltNames>, subject: Subject = {}, scope = shop): string[] =>
  deniedNames({ role, subject, names: { ...none, ...names } }, scope);

describe('a namespace may have', () => {
  const own = [
    'payments',
    'payments.shop',
    'payments.shop.svc',
    'payments.shop.svc.cluster.local',
    'db-0.db.shop.svc',
    'db-0.db.shop.svc.cluster.local',
    '*.shop.svc',
    '*.shop.svc.cluster.local',
    '*.db.shop.svc.cluster.local',
    'svc.shop.svc',
    'cluster.shop',
    'PAYMENTS.Shop.SVC',
    'payments.shop.svc.',
  ];
  for (const name of own) {
    test(`the DNS name ${name}, for a client or peer only if it contains the namespace`, () => {
      assert.ok(mayHaveDns(name));
      for (const role of ['client', 'peer'] as const) assert.equal(mayHaveDns(name, shop, role), name.includes('.'));
    });
  }

  test('the SPIFFE ID of each of its ServiceAccounts', () => {
    assert.ok(mayHaveUri('spiffe://cluster.local/ns/shop/sa/checkout'));
    assert.ok(mayHaveUri('spiffe://cluster.local/ns/shop/sa/check.out-1'));
    assert.ok(mayHaveUri('spiffe://CLUSTER.local/ns/shop/sa/checkout'), 'a trust domain is not case-sensitive');
    assert.ok(mayHaveUri('spiffe://example.org/ns/shop/sa/a', { ...shop, trustDomain: 'example.org' }));
  });

  test('names in a cluster domain of several labels', () => {
    const scope = { ...shop, clusterDomain: 'k8s.prod.example.com' };
    assert.ok(mayHaveDns('a.shop.svc.k8s.prod.example.com', scope));
    assert.ok(!mayHaveDns('a.shop.svc.cluster.local', scope));
    assert.ok(!mayHaveDns('a.other.svc.k8s.prod.example.com', scope));
    assert.ok(!mayHaveDns('shop.svc.k8s.prod.example.com', scope));
  });

  const commonNames: [commonName: string, server: boolean, client: boolean][] = [
    ['payments', true, false],
    ['payments.shop', true, true],
    ['payments.shop.svc', true, true],
    ['spiffe://cluster.local/ns/shop/sa/a', true, true],
    ['payments.other', false, false],
    ['admin', true, false],
    ['system:masters', false, false],
    ['system:node:a', false, false],
    ['postgres', true, false],
    ['Payments of the Shop', false, false],
    ['payments.shop\0.other', false, false],
    ['', false, false],
  ];
  for (const [commonName, server, client] of commonNames) {
    test(`${JSON.stringify(commonName)} as the common name of ${server ? '' : 'no '}server and ${client ? '' : 'no '}client`, () => {
      assert.equal(mayHaveCommonName(commonName, 'server'), server);
      assert.equal(mayHaveCommonName(commonName, 'client'), client);
      assert.equal(mayHaveCommonName(commonName, 'peer'), client, 'a peer is also a client');
    });
  }
});

describe('a namespace may not have', () => {
  const granted = 'that issuance.allow of MtlsAuthority default grants';
  const foreign = [
    'payments.other',
    'payments.other.svc',
    'payments.other.svc.cluster.local',
    'shop.svc',
    'shop.svc.cluster.local',
    'svc.cluster.local',
    'cluster.local',
    'kubernetes.default',
    'kubernetes.default.svc',
    'localhost',
    'LOCALHOST.',
    '*',
    '*.shop',
    '*.svc',
    '*.svc.cluster.local',
    '*.cluster.local',
    '*.other.svc',
    '*.*.shop.svc',
    'a.*.shop.svc',
    'payments.shop.svc.evil',
    'payments.shop.svc.cluster.local.evil',
    'payments.shop.example.com',
    'payments.shop.cluster.local',
    'payments.shop.svc.cluster',
    'payments.webshop.svc',
    'payments.shop-svc',
    'shop.payments',
    'payments.shop.pod.cluster.local',
    'www.example.com',
    '10.0.0.1',
    'payments.shop.svc:443',
    'https://payments.shop.svc',
    'payments.shop.svc\0.other.svc',
    'payments.other.svc\0.shop.svc',
    'payments.other\u3002shop.svc',
    'payments.\u017fhop.svc',
    'payments.shop.svc..',
    'payments..shop.svc',
    '.shop.svc',
    ' payments.shop.svc',
    `${'a'.repeat(64)}.shop.svc`,
    '',
  ];
  for (const name of foreign) test(`the DNS name ${JSON.stringify(name)}`, () => assert.ok(!mayHaveDns(name)));

  const uris = [
    'spiffe://cluster.local/ns/other/sa/a',
    'spiffe://cluster.local/ns/Shop/sa/a',
    'spiffe://cluster.local/ns/shop',
    'spiffe://cluster.local/ns/shop/sa',
    'spiffe://cluster.local/ns/shop/sa/a/b',
    'spiffe://cluster.local/ns/shop/sa/A',
    'spiffe://cluster.local/ns/shop/sa/-a',
    'spiffe://cluster.local/ns/shop/sa/.',
    'spiffe://cluster.local/ns/shop/sa/..',
    'spiffe://cluster.local/ns/shop/../other/sa/a',
    'spiffe://cluster.local/ns/sh%6Fp/sa/a',
    'spiffe://cluster.local/ns%2Fshop/sa/a',
    'spiffe://cluster.local//ns/shop/sa/a',
    'spiffe://cluster.local/x/ns/shop/sa/a',
    'spiffe://cluster.local:80/ns/shop/sa/a',
    'spiffe://a@cluster.local/ns/shop/sa/a',
    'spiffe://cluster.local/ns/shop/sa/a?b',
    'spiffe://cluster.local/ns/shop/sa/a#b',
    'spiffe://cluster.local./ns/shop/sa/a',
    'spiffe://evil.local/ns/shop/sa/a',
    'spiffe://xcluster.local/ns/shop/sa/a',
    'spiffe://clu\u017fter.local/ns/shop/sa/a',
    'https://cluster.local/ns/shop/sa/a',
    'https://payments.shop.svc',
    'urn:uuid:1',
    '',
  ];
  for (const uri of uris) test(`the URI ${JSON.stringify(uri)}`, () => assert.ok(!mayHaveUri(uri)));

  test('IP addresses, e-mail addresses or otherNames', () => {
    const otherNames = [{ oid: '1.2.3', utf8Value: 'shop' }];
    assert.deepEqual(told('client', { ipAddresses: ['10.0.0.1'], emailAddresses: ['a@shop.svc'], otherNames }), [
      `IP address "10.0.0.1": namespace shop may have only IP addresses ${granted}`,
      `e-mail address "a@shop.svc": namespace shop may have only e-mail addresses ${granted}`,
      `otherName of type 1.2.3 "shop": namespace shop may have only otherNames ${granted}`,
    ]);
  });

  test('any attribute of a subject except the common name', () => {
    const subject: Required<Subject> = {
      commonName: 'a.shop.svc',
      organizations: ['Example Org', 'system:masters'],
      organizationalUnits: ['Payments'],
      countries: ['DE'],
      provinces: ['Hessen'],
      localities: ['Frankfurt'],
      streetAddresses: ['Taunusanlage 1'],
      postalCodes: ['60329'],
      serialNumber: '1',
    };
    const rule = `namespace shop may have only values ${granted}`;
    assert.deepEqual(told('client', {}, subject), [
      `subject.organizations "Example Org": ${rule}`,
      `subject.organizations "system:masters": ${rule} (for a value that begins with system:, the pattern must begin with system: too)`,
      `subject.organizationalUnits "Payments": ${rule}`,
      `subject.countries "DE": ${rule}`,
      `subject.localities "Frankfurt": ${rule}`,
      `subject.provinces "Hessen": ${rule}`,
      `subject.streetAddresses "Taunusanlage 1": ${rule}`,
      `subject.postalCodes "60329": ${rule}`,
      `subject.serialNumbers "1": ${rule}`,
    ]);
  });
});

describe('a denied name is answered with', () => {
  const granted = 'that issuance.allow of MtlsAuthority default grants';
  const qualified =
    '<service>.shop, <service>.shop.svc, <service>.shop.svc.cluster.local, and names below the last two';
  const own = `only names of its own Services (<service>, ${qualified}) and names ${granted}`;
  const ownOfClients = `only names of its own Services (${qualified}) and names ${granted}`;
  const accounts = 'SPIFFE IDs of its own ServiceAccounts (spiffe://cluster.local/ns/shop/sa/<name>)';

  test('the names that the namespace may have in that role', () => {
    assert.deepEqual(told('server', { dnsNames: ['www.example.com'], uris: ['urn:a'] }), [
      `DNS name "www.example.com": namespace shop may have ${own}`,
      `URI "urn:a": namespace shop may have only ${accounts} and URIs ${granted}`,
    ]);
    assert.deepEqual(told('peer', { dnsNames: ['www.example.com'] }), [
      `DNS name "www.example.com": namespace shop may have ${ownOfClients}`,
    ]);
    assert.deepEqual(told('server', {}, { commonName: 'Payments of the Shop' }), [
      `common name "Payments of the Shop": namespace shop may have only names of its own Services (<service>, ${qualified}), ${accounts} and common names ${granted}`,
    ]);
  });

  test('the reason why a client or peer has no bare name', () => {
    assert.deepEqual(told('peer', { dnsNames: ['postgres'] }), [
      `DNS name "postgres": namespace shop may have ${ownOfClients}; programs read the bare name of a peer as a user name (did you mean "postgres.shop.svc"?)`,
    ]);
    assert.match(
      told('client', {}, { commonName: 'admin' })[0] ?? '',
      /^common name "admin": .*; programs read the bare name of a client as a user name \(did you mean "admin\.shop\.svc"\?\)$/,
    );
  });

  const misses: [asked: string, meant: string | undefined][] = [
    ['web-0.web.shop', 'web-0.web.shop.svc'],
    ['*.shop', '*.shop.svc'],
    ['payments.other', 'payments.shop'],
    ['payments.other.svc', 'payments.shop.svc'],
    ['db-0.db.other.svc', 'db-0.db.shop.svc'],
    ['*.other.svc.cluster.local', '*.shop.svc.cluster.local'],
    ['payments.other.svc.example.org', 'payments.shop.svc.cluster.local'],
    ['payments.shop.svc.example.org', 'payments.shop.svc.cluster.local'],
    ['payments.shop.svc.cluster', 'payments.shop.svc.cluster.local'],
    ['payments.shop.cluster.local', 'payments.shop.svc.cluster.local'],
    ['payments.shop.pod.cluster.local', 'payments.shop.svc.cluster.local'],
    ['www.example.com', undefined],
    ['example.com', undefined],
    ['payments.svc', 'payments.shop.svc'],
    ['shop.svc', undefined],
    ['shop.svc.cluster.local', undefined],
    ['*.svc.cluster.local', undefined],
    ['*.*.shop.svc', undefined],
    ['localhost', undefined],
    [`${'a.'.repeat(118)}b.shop.cluster.local`, undefined],
  ];
  for (const [asked, meant] of misses) {
    test(`${meant === undefined ? 'no suggestion' : meant} for ${asked.slice(0, 60)}`, () => {
      const [message = ''] = told('server', { dnsNames: [asked] });
      assert.equal(/ \(did you mean "(.*)"\?\)$/.exec(message)?.[1], meant, message);
      if (meant !== undefined) assert.ok(mayHaveDns(meant));
    });
  }

  const ids: [asked: string, meant: string | undefined][] = [
    ['spiffe://example.org/ns/shop/sa/checkout', 'spiffe://cluster.local/ns/shop/sa/checkout'],
    ['spiffe://cluster.local/ns/other/sa/checkout', 'spiffe://cluster.local/ns/shop/sa/checkout'],
    ['spiffe://cluster.local/ns/Shop/sa/checkout', 'spiffe://cluster.local/ns/shop/sa/checkout'],
    ['spiffe://cluster.local/ns/other/sa/Checkout', undefined],
    ['spiffe://cluster.local/ns/shop/sa/checkout/more', undefined],
    ['spiffe://cluster.local/ns/shop', undefined],
    ['https://cluster.local/ns/shop/sa/checkout', undefined],
  ];
  for (const [asked, meant] of ids) {
    test(`${meant ?? 'no suggestion'} for ${asked}, as a URI and as a common name`, () => {
      for (const [message = ''] of [told('client', { uris: [asked] }), told('client', {}, { commonName: asked })]) {
        assert.equal(/ \(did you mean "(.*)"\?\)$/.exec(message)?.[1], meant, message);
      }
      if (meant !== undefined) assert.ok(mayHaveUri(meant));
    });
  }

  test('a suggestion that the namespace may always have', () => {
    const label = fc.constantFrom('shop', 'other', 'svc', 'cluster', 'local', 'a', '*', 'localhost', 'A', '1');
    const names = fc.array(label, { minLength: 1, maxLength: 6 }).map((labels) => labels.join('.'));
    let guesses = 0;
    fc.assert(
      fc.property(names, fc.constantFrom<Role>('server', 'client', 'peer'), label, (name, role, namespace) => {
        const scope = { ...shop, namespace };
        const [message = ''] = told(role, { dnsNames: [name] }, {}, scope);
        const guess = /did you mean "(.*)"/.exec(message)?.[1];
        if (guess === undefined) return;
        guesses += 1;
        assert.ok(mayHaveDns(guess, scope, role), `${guess} for ${name}`);
      }),
      { numRuns: 3000 },
    );
    assert.ok(guesses > 100, 'there were hardly any suggestions');
  });

  test('a message that always fits into a condition', () => {
    const long = Array.from({ length: 100 }, (_, i) => `${'\u0001'.repeat(5000)}${i}`);
    const names = { dnsNames: long, ipAddresses: long, uris: long, emailAddresses: long };
    const otherNames = long.map((utf8Value) => ({ oid: '1.2.3', utf8Value }));
    const subject = { commonName: long[0] ?? '', organizations: long, localities: long };
    const scope = { ...shop, namespace: 'n'.repeat(63), authority: 'a'.repeat(253), trustDomain: 't'.repeat(255) };
    const messages = told('client', { ...names, otherNames }, subject, { ...scope, clusterDomain: 'c'.repeat(121) });
    // A condition has room for 32768 characters. It holds a message with five names for each of three roles.
    for (const message of messages) assert.ok(message.length * 15 < 32_768, String(message.length));
  });
});

test('a pattern with a control character grants no name, even if it passes the schema', () => {
  const grantOf = (text: string) => ({ namespaceSelector: {}, otherNames: [{ oid: '1.2.3', utf8Values: [text] }] });
  const isDenied = (text: string): boolean => {
    const scope = { ...shop, issuance: issuancePolicy({ allow: [grantOf(text)] }) };
    const names = { ...none, otherNames: [{ oid: '1.2.3', utf8Value: text }] };
    return deniedNames({ role: 'client', subject: {}, names }, scope).length > 0;
  };
  assert.ok(!isDenied('a'));
  for (const text of ['a\0', 'a\n', ' a', '\ud800', 'a'.repeat(1025)]) assert.ok(isDenied(text), JSON.stringify(text));
});

describe('a namespace with the name of a part of the domain', () => {
  // None of these namespaces may have the Service names of namespace `shop`.
  const victims = ['payments', 'db-0.db', '*'].flatMap((service) =>
    ['shop.svc', 'shop.svc.cluster.local'].map((rest) => `${service}.${rest}`),
  );
  for (const namespace of ['svc', 'cluster', 'local', 'com', 'default', 'payments', 'db']) {
    test(`${namespace} has its own names and no names of other namespaces`, () => {
      const scope = { ...shop, namespace };
      assert.ok(mayHaveDns(`a.${namespace}.svc`, scope) && mayHaveDns(`a.${namespace}.svc.cluster.local`, scope));
      for (const name of victims) assert.ok(!mayHaveDns(name, scope), name);
    });
  }

  for (const clusterDomain of ['svc', 'foo.svc', 'svc.svc', 'shop.svc']) {
    test(`gains no names from a cluster domain like ${clusterDomain}`, () => {
      for (const namespace of ['svc', 'foo', 'shop']) {
        const scope = { ...shop, namespace, clusterDomain };
        assert.ok(mayHaveDns(`a.${namespace}.svc.${clusterDomain}`, scope));
        assert.ok(!mayHaveDns(`a.other.svc.${clusterDomain}`, scope));
        assert.ok(!mayHaveDns(`*.other.svc.${clusterDomain}`, scope));
      }
    });
  }
});

describe('for random requests', () => {
  /**
   * An independent implementation: the names that cluster DNS and its search paths give to Services of the namespace,
   * as one regular expression over the normal form.
   */
  const isOwn = (name: string, { namespace, clusterDomain }: PolicyScope): boolean => {
    const label = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
    const [ns, domain] = [RegExp.escape(namespace), RegExp.escape(clusterDomain)];
    const short = new RegExp(`^${label}(\\.${ns})?$`);
    const full = new RegExp(`^(\\*\\.)?(${label}\\.)*${ns}\\.svc(\\.${domain})?$`);
    const normal = name.toLowerCase().replace(/\.$/, '');
    const isAscii = /^[!-~]+$/.test(name);
    return (
      isAscii &&
      normal !== 'localhost' &&
      !/(^|\.)(\d+|0x[\da-f]*)$/.test(normal) &&
      (short.test(normal) || full.test(normal))
    );
  };

  const pieces = fc.constantFrom(
    'shop',
    'other',
    'svc',
    'cluster',
    'local',
    'payments',
    '*',
    '.',
    '.',
    '.',
    '..',
    '-',
    'S',
    '\u017f',
    '\0',
    '%2e',
    '1',
  );
  const attacks = fc.oneof(
    fc.array(pieces, { maxLength: 9 }).map((all) => all.join('')),
    fc
      .array(fc.constantFrom('shop', 'other', 'svc', 'cluster', 'local', 'a', '*', 'SHOP'), { maxLength: 6 })
      .map((labels) => labels.join('.')),
    fc.string({ unit: 'binary' }).map((text) => `${text}.shop.svc`),
    fc.string({ unit: 'binary' }).map((text) => `a.shop.svc${text}`),
  );
  const namespaces = fc.constantFrom('shop', 'svc', 'cluster', 'local', 'a');

  test('a DNS name is allowed only if its normal form is the namespace’s own', () => {
    let granted = 0;
    fc.assert(
      fc.property(attacks, namespaces, (name, namespace) => {
        const scope = { ...shop, namespace };
        if (!mayHaveDns(name, scope)) return;
        granted += 1;
        assert.ok(isOwn(name, scope), `${JSON.stringify(name)} for ${namespace}`);
      }),
      { numRuns: 5000 },
    );
    assert.ok(granted > 100, 'hardly any name was granted, so the property tests too little');
  });

  test('a URI is allowed only if it is exactly a SPIFFE ID of the namespace', () => {
    const parts = fc.constantFrom(
      'spiffe://',
      'cluster.local',
      '/ns/',
      'shop',
      'other',
      '/sa/',
      'a',
      '/',
      '..',
      '%2f',
      '@',
      '?',
    );
    const mixed = fc.array(parts, { maxLength: 10 }).map((all) => all.join(''));
    const near = fc
      .tuple(fc.string({ maxLength: 4 }), fc.string({ maxLength: 4 }))
      .map(([a, b]) => `spiffe://cluster.local/ns/${a}shop/sa/${b}`);
    let granted = 0;
    fc.assert(
      fc.property(fc.oneof(mixed, near), (uri) => {
        if (!mayHaveUri(uri)) return;
        granted += 1;
        assert.match(uri, /^spiffe:\/\/cluster\.local\/ns\/shop\/sa\/[a-z0-9.-]+$/);
      }),
      { numRuns: 5000 },
    );
    assert.ok(granted > 10, 'hardly any URI was granted, so the property tests too little');
  });
});
