/**
 * Tests the policy with near misses: names that nearly match the own names of a namespace or the grants of an authority.
 * A request is accepted exactly when an independent oracle allows it, and the certificate holds no other name.
 *
 * Every run tests a seeded part. For a long run, optionally with another seed:
 *
 *     FUZZ_CASES=1000000 FUZZ_SEED=7 npm test -- unit plan/policy/policy-fuzz
 */

import assert from 'node:assert/strict';
import { createPublicKey, randomBytes, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import type {
  Grant,
  Issuance,
  LabelSelector,
  MtlsCertificateSpec,
  OtherNameGrant,
  Subject,
  SubjectGrant,
} from '../../../../src/api/types.ts';
import { expectTag, readAll, readOid, readOnly, tags } from '../../../../src/pki/asn1/der.ts';
import { type LeafUsage, type Role } from '../../../../src/pki/index.ts';
import { type LeafRequest, leafRequest } from '../../../../src/plan/certificate/leaf-request.ts';
import { issuancePolicy } from '../../../../src/plan/index.ts';
import { certificate } from '../../../support/fixtures/certificate.ts';
import { privateKey, root } from '../../../support/fixtures/roots.ts';
import { now } from '../../../support/fixtures/times.ts';
import * as fc from '../../../support/properties.ts';
import { fuzzRuns } from '../../../support/runs.ts';
import { issueLeafNow } from '../../../support/sign.ts';
import * as oracle from './policy-oracle.ts';

const { numRuns, seed } = fuzzRuns(30_000, 20_261_124);

type Kind = Exclude<keyof Grant, 'namespaceSelector' | 'usages'>;

/** Patterns that an authority may grant, usual and unusual ones. */
const patterns: Record<Kind, readonly string[]> = {
  dnsNames: [
    'www.example.com',
    '*.example.com',
    '*.*.example.com',
    'a.*.example.com',
    'EDGE.Example.ORG.',
    '*.xn--mnchen-3ya.example',
    'localhost',
    'kafka.example.com',
    '*.kafka.example.org',
    'payments.other.svc',
    '*.other.svc.cluster.local',
    'example.*',
    '*',
    '*.*',
    '*.10.0.0.1',
    '10.0.0.*',
    'a*.example.com',
    '**.example.com',
    '',
    '.',
    '*.\u212aafka.example',
  ],
  ipRanges: [
    '10.0.0.0/8',
    '192.0.2.128/25',
    '192.0.2.7/32',
    '0.0.0.0/1',
    '0.0.0.0/0',
    'fd00::/8',
    '2001:db8:0:8000::/49',
    '2001:DB8::1/128',
    '::/0',
    '::ffff:10.0.0.0/104',
    '10.0.0.1/8',
    '10.0.0.0',
    '10.0.0.0/33',
    '10.0.0.0/08',
    'fd00::/129',
    '',
  ],
  uris: [
    'spiffe://example.org/edge/*',
    'spiffe://example.org/edge/**',
    'spiffe://Example.ORG/*/sa/a',
    'spiffe://cluster.local/**',
    'spiffe://cluster.local/ns/*/sa/a',
    'spiffe://cluster.local/ns/other/sa/*',
    'spiffe://cluster.local/ns/other/**',
    'https://example.org/*',
    'HTTPS://Example.org:8443/a/*/b',
    'https://example.org/a%2fb?c#d',
    'https://example.org/a/../b',
    'https://example.org',
    'urn:uuid:1',
    'https://*.example.org/a',
    'https://example.org/a*',
    'https://example.org/**/a',
    'https://example.org/*?a',
    'spiffe://*/ns/other',
    '*',
    '',
  ],
  emailAddresses: [
    '*@example.com',
    'ops@Example.org',
    'o*@example.com',
    '*@*.example.com',
    '@',
    '*',
    '*@example.com@b.org',
  ],
  commonNames: [
    'postgres',
    'kafka-*',
    'Kafka-*',
    '*-*',
    '*',
    'db.example.com',
    'DB.*.Example.com.',
    'system:node:*',
    'Ops of the Shop',
    'postgres\0*',
    ' a ',
    '',
  ],
  // The object identifier, a space, and the value.
  otherNames: [
    '1.3.6.1.4.1.311.20.2.3 *@example.com',
    '1.3.6.1.4.1.311.20.2.3 *@Example.COM',
    '1.3.6.1.4.1.311.20.2.3 ops@example.com',
    '1.3.6.1.4.1.311.20.2.3 b\u00f6rse@example.com',
    '1.3.6.1.4.1.311.20.2.3 o*@example.com',
    '1.3.6.1.4.1.311.20.2.3 *@*.example.com',
    '1.3.6.1.4.1.311.20.2.3 *@example.com@b.org',
    '1.3.6.1.4.1.311.20.2.3 *@10.0.0.1',
    '1.3.6.1.5.5.7.8.5 a@shop.example/phone',
    '2.999.1 kafka-*',
    '2.999.1 *',
    '2.999.1 *.example.com',
    '1.2.3 \u65e5\u672c *',
    '1.2.4294967299 *',
    '01.2.3 *',
    '1.40.3 *',
    '1.2.3  a',
    '1.2.3 a\0*',
    '1.2.3 ',
    ' *',
  ],
  // Each text is a field of `grant.subject`, a space, and the value of the field.
  subject: [
    'organizations Example Org',
    'organizations *',
    'organizations system:masters',
    'organizations system:*',
    'organizations *:masters',
    'organizations team-*',
    'organizations B\u00f6rse, *',
    'organizations a\0*',
    'organizations ',
    'organizationalUnits *',
    'organizationalUnits system:node:*',
    'countries DE',
    'countries *',
    'localities Frankfurt am Main',
    'localities *',
    'provinces * *',
    'streetAddresses Taunusanlage *',
    'postalCodes 60*',
    'serialNumbers HRB *',
    'serialNumbers *',
  ],
};

/** More names to start from, in addition to those that match a pattern. */
const others: Record<Kind, readonly string[]> = {
  dnsNames: [
    'payments',
    'payments.shop',
    'payments.shop.svc',
    'payments.shop.svc.cluster.local',
    '*.shop.svc',
    'payments.other.svc.cluster.local',
    'kubernetes.default.svc',
    'localhost',
    '10.0.0.1',
    'shop.svc',
  ],
  ipRanges: ['127.0.0.1', '::1', '10.0.0.1', '::ffff:10.0.0.1', '0.0.0.0', '169.254.169.254', '::10.0.0.1'],
  uris: [
    'spiffe://cluster.local/ns/shop/sa/checkout',
    'spiffe://cluster.local/ns/other/sa/a',
    'spiffe://cluster.local/ns/other',
    'spiffe://cluster.local/ns',
    'spiffe://cluster.local',
    'https://payments.shop.svc/',
  ],
  emailAddresses: ['root@example.com', 'root@shop.svc', '"a@b"@example.com', 'a%b.org@example.com', '*@example.com'],
  commonNames: [
    'payments',
    'payments.shop.svc',
    'spiffe://cluster.local/ns/shop/sa/a',
    'system:masters',
    'admin',
    'root',
  ],
  otherNames: ['1.3.6.1.4.1.311.20.2.3 root@example.com', '2.999.1 root', '1.2.3 payments.shop.svc', '2.999 a'],
  subject: [
    'organizations system:masters',
    'organizations Example Org',
    'organizations payments',
    'organizationalUnits admins',
    'countries DE',
    'countries FR',
    'localities system:masters',
    'streetAddresses A',
    'serialNumbers 1',
  ],
};

const word = fc.constantFrom('a', 'b-1', 'shop', 'other', 'xn--mnchen-3ya', 'A', '0', '*', 'a_b', 'ns', 'sa');
/** A name that matches a pattern, or nearly does. */
const fitting = (kind: Kind, pattern: string): fc.Arbitrary<string> =>
  kind === 'ipRanges'
    ? addressNear(pattern)
    : fc
        .array(word, { minLength: 6, maxLength: 6 })
        .map((words) => pattern.split('*').reduce((sum, part, i) => `${sum}${words[i % 6]}${part}`));

/** The first and last address of a range, their neighbours, and some between them, in several notations. */
function addressNear(range: string): fc.Arbitrary<string> {
  const [, base = '', length = '0'] = /^(.*?)(?:\/(\d+))?$/.exec(range) ?? [];
  const { value, bits } = oracle.numberOf(base) ?? { value: 0n, bits: 32 as const };
  const size = 1n << BigInt(Math.max(0, bits - Number(length)));
  const [first, last] = [value - (value % size), value - (value % size) + size - 1n];
  const near = fc.oneof(
    fc.constantFrom(first, last, first - 1n, last + 1n, value),
    fc.bigInt({ min: first, max: last }),
    fc.nat(2 ** 32 - 1).map(BigInt),
  );
  return fc
    .tuple(near, fc.constantFrom(bits, bits, bits, 32 as const, 128 as const), fc.nat(3))
    .map(([number, asBits, form]) => addressText(BigInt.asUintN(asBits, number), asBits, form));
}

function addressText(value: bigint, bits: 32 | 128, form: number): string {
  const quad = [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join('.');
  if (bits === 32) return form === 0 ? `::ffff:${quad}` : quad;
  const groups = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  const text = groups.join(':');
  const forms = [
    text,
    text.toUpperCase(),
    text.replace(/(^|:)0(:0)+(:|$)/, '::'),
    `${groups.slice(0, 6).join(':')}:${quad}`,
  ];
  return forms[form] ?? text;
}

type Change = (name: string) => string;

/** Changes that have passed the checks of other programs, for any name and for each kind. */
const anyChanges: readonly Change[] = [
  (name) => name.toUpperCase(),
  (name) => name.toLowerCase(),
  (name) => `${name}.`,
  (name) => name.replaceAll('k', '\u212a'),
  (name) => name.replaceAll('s', '\u017f'),
  (name) => name.replaceAll('a', '\u0430'),
  (name) => name.replaceAll('.', '\u3002'),
  (name) => name.replace(/[a-z]/, (letter) => String.fromCodePoint(0xff41 + letter.charCodeAt(0) - 97)),
  (name) => name.replace(/[a-z]+/, (text) => `xn--${text}`),
  (name) => name.replace(/[a-z]/, (letter) => `%${letter.charCodeAt(0).toString(16)}`),
  (name) => name.replace('other', 'shop'),
  (name) => name.replace('shop', 'other'),
  (name) => name.replace(/\w+/, '*'),
  (name) => `${name}\0.shop.svc`,
  (name) => `${name}\n`,
  (name) => ` ${name}`,
  (name) => `${name}:443`,
  (name) => name.repeat(9),
];

const changes: Record<Kind, readonly Change[]> = {
  dnsNames: [
    (name) => `${name}..`,
    (name) => `.${name}`,
    (name) => `*.${name}`,
    (name) => `a.${name}`,
    (name) => `${name}.evil.com`,
    (name) => name.replace(/^[^.]*\./, ''),
    (name) => name.replace(/^[^.]*/, '*'),
    (name) => name.replace(/^[^.]*/, 'localhost'),
    (name) => name.replace(/\.[^.]*\./, '.*.'),
    (name) => name.replace(/\.[^.]*$/, '.1'),
    (name) => name.replace(/\.[^.]*$/, '.0x1F'),
    (name) => name.replace(/^.*$/, '0x7f000001'),
    (name) => name.replaceAll('.', '\uff0e'),
    (name) => `https://${name}/`,
  ],
  ipRanges: [
    (name) => `[${name}]`,
    (name) => `${name}%eth0`,
    (name) => `${name}/32`,
    (name) => `::ffff:${name}`,
    (name) => `::${name}`,
    (name) => `0${name}`,
    (name) => name.replace(/\d+$/, (octet) => `0x${octet}`),
    (name) => name.replace(/\.\d+\./, '.'),
  ],
  uris: [
    (uri) => uri.replaceAll('/', '%2f'),
    (uri) => uri.replace(/\/(?=[^/]*$)/, '//'),
    (uri) => uri.replaceAll('/', '\\'),
    (uri) => uri.replace(/\/(?=[^/]*$)/, '/../'),
    (uri) => uri.replace(/\/(?=[^/]*$)/, '/./'),
    (uri) => uri.replace(/[^/]*$/, '..'),
    (uri) => uri.replace(/[^/]*$/, '.'),
    (uri) => uri.replace(/[^/]*$/, '..;'),
    (uri) => uri.replace(/[^/]*$/, '%2e%2e'),
    (uri) => uri.replace(/[^/]*$/, ''),
    (uri) => `${uri}/more`,
    (uri) => `${uri}/**`,
    (uri) => uri.replace(/\/[^/]*$/, ''),
    (uri) => `${uri}?a=b`,
    (uri) => `${uri}#a`,
    (uri) => `${uri};a`,
    (uri) => uri.replace('://', '://evil@'),
    (uri) => uri.replace('://', '://evil.com\\@'),
    (uri) => uri.replace(/(:\/\/[^/]*)/, '$1:443'),
    (uri) => uri.replace(/(:\/\/[^/]*)/, '$1.'),
    (uri) => uri.replace(/(:\/\/[^/]*)/, '$1.evil.com'),
    (uri) => uri.replace('://', ':/'),
    (uri) => uri.replace('://', '://evil.'),
  ],
  emailAddresses: [
    (address) => `${address}@example.com`,
    (address) => address.replace('@', '@evil.com@'),
    (address) => address.replace('@', '@sub.'),
    (address) => address.replace('@', '%evil.com@'),
    (address) => address.replace('@', '!evil@'),
    (address) => address.replace('@', '"@'),
    (address) => address.replace('@', '.@'),
    (address) => address.replace(/@.*/, (domain) => domain.toUpperCase()),
    (address) => `${address}.evil.com`,
    (address) => `Root <${address}>`,
  ],
  commonNames: [
    (name) => `${name}.example.com`,
    (name) => `${name},OU=admins`,
    (name) => `${name}/CN=root`,
    (name) => `${name} x`,
    (name) => `${name}@example.com`,
    (name) => `${name}_x`,
    (name) => `x${name}`,
    (name) => `${name}\u202egnp`,
    (name) => `${name}\u200b`,
  ],
  otherNames: [
    (name) => `1.${name}`,
    (name) => `0${name}`,
    (name) => name.replace(' ', '.1 '),
    (name) => name.replace(' ', '.4294967296 '),
    (name) => name.replace(/\d /, (arc) => `${Number(arc) + 2 ** 32} `),
    (name) => name.replace(/^1\.(\d)/, '2.$1'),
    (name) => name.replace(/\.\d+ /, ' '),
    (name) => name.replace('@', '@evil.com@'),
    (name) => name.replace('@', '@sub.'),
    (name) => name.replace('@', '%evil.com@'),
    (name) => name.replace(/@.*/, (domain) => domain.toUpperCase()),
    (name) => `${name}@example.com`,
    (name) => `${name}.evil.com`,
    (name) => `${name}\u202egnp`,
    (name) => `${name} `,
    (name) => `${name}\ud800`,
    (name) => name.replace('\u00f6', 'o\u0308'),
  ],
  subject: [
    (name) => name.replace(/^\w+/, 'organizations'),
    (name) => name.replace(/^\w+/, 'organizationalUnits'),
    (name) => name.replace(/^\w+/, 'serialNumbers'),
    (name) => name.replace(' ', ' system:'),
    (name) => name.replace(' ', ' System:'),
    (name) => name.replace(' ', ' \uff33ystem\uff1a'),
    (name) => name.replace(' ', ' \u034fsystem:'),
    (name) => name.replace(/ .*/, ' system:masters'),
    (name) => name.replace(/ .*/, ' DE'),
    (name) => `${name},OU=admins`,
    (name) => `${name}/CN=root`,
    (name) => `${name}+OU`,
    (name) => `${name}\\`,
    (name) => `${name} x`,
    (name) => `${name}: x`,
    (name) => `${name}\u202egnp`,
    (name) => `${name}\u200b`,
    (name) => `${name}\u00a0x`,
    (name) => `${name}\ue000`,
    (name) => `${name}\ud800`,
    (name) => name.replace('\u00f6', 'o\u0308'),
    (name) => name.replace(/\w$/, (letter) => letter.repeat(70)),
  ],
};

/** Up to two changes, or one character too many or too few. */
const changesOf = (kind: Kind): fc.Arbitrary<Change[]> => {
  const inserted = fc
    .tuple(fc.nat(), fc.oneof(fc.string({ maxLength: 2 }), fc.string({ unit: 'binary', maxLength: 2 })))
    .map(
      ([place, text]): Change =>
        (name) => {
          const at = place % (name.length + 1);
          return `${name.slice(0, at)}${text}${name.slice(at)}`;
        },
    );
  const removed = fc.nat().map(
    (place): Change =>
      (name) => {
        const at = place % (name.length + 1);
        return `${name.slice(0, at)}${name.slice(at + 1)}`;
      },
  );
  const known = fc.constantFrom(...anyChanges, ...changes[kind]);
  return fc.oneof(
    fc.constant<Change[]>([]),
    fc.array(fc.oneof(known, known, known, inserted, removed), { maxLength: 2 }),
  );
};

const kinds = Object.keys(patterns) as Kind[];
const selectors: readonly (LabelSelector | undefined)[] = [
  {},
  {},
  { matchLabels: { team: 'edge' } },
  { matchLabels: { team: '' } },
  { matchExpressions: [{ key: 'team', operator: 'DoesNotExist' }] },
  undefined,
];

const grant = (kind: Kind) =>
  fc.record({
    namespaceSelector: fc.constantFrom(...selectors),
    list: fc.subarray([...patterns[kind]], { maxLength: 4 }),
  });

/** Splits an otherName or a subject attribute at the first space. */
const splitName = (text: string): [oid: string, value: string] => {
  const blank = text.indexOf(' ');
  return blank < 0 ? [text, ''] : [text.slice(0, blank), text.slice(blank + 1)];
};
function otherNameGrant(text: string): OtherNameGrant {
  const [oid, value] = splitName(text);
  return { oid, utf8Values: [value] };
}

function subjectGrant(list: readonly string[]): SubjectGrant {
  const fields = new Map<string, string[]>();
  for (const [field, value] of list.map(splitName)) fields.set(field, [...(fields.get(field) ?? []), value]);
  return Object.fromEntries(fields);
}

/** A grant with only these patterns, in one field. */
function granting(kind: Kind, list: readonly string[]): Partial<Grant> {
  if (kind === 'otherNames') return { otherNames: list.map(otherNameGrant) };
  return kind === 'subject' ? { subject: subjectGrant(list) } : { [kind]: list };
}

/** A policy for one kind of name, with a requesting namespace and a requested name. */
interface Case {
  readonly kind: Kind;
  readonly issuance: Issuance;
  readonly labels: Readonly<Record<string, string>> | undefined;
  readonly namespace: string;
  readonly role: Role;
  readonly name: string;
}

/** The names of attributes in Node.js and in a grant. */
const attributeFields: Readonly<Record<string, string>> = {
  O: 'organizations',
  OU: 'organizationalUnits',
  C: 'countries',
  L: 'localities',
  ST: 'provinces',
  street: 'streetAddresses',
  postalCode: 'postalCodes',
  serialNumber: 'serialNumbers',
};

/** The API server stores no attribute that is missing in the schema. */
const storable = (kind: Kind, name: string): string =>
  kind !== 'subject' || Object.values(attributeFields).includes(splitName(name)[0])
    ? name
    : `organizations ${splitName(name)[1]}`;

const cases: fc.Arbitrary<Case> = fc.constantFrom(...kinds).chain((kind) =>
  fc
    .record({
      grants: fc.array(grant(kind), { maxLength: 3 }),
      labels: fc.constantFrom({}, { team: 'edge' }, { team: 'core' }, { team: '' }, undefined),
      namespace: fc.constantFrom('shop', 'shop', 'shop', 'other', 'svc', 'a'),
      role: fc.constantFrom<Role>('server', 'client', 'peer'),
      granted: fc.boolean(),
      pick: fc.nat(),
      apply: changesOf(kind),
    })
    .chain(({ grants, granted, pick, apply, ...rest }) => {
      const all = granted ? grants.flatMap(({ list }) => list) : others[kind];
      const start = all[pick % Math.max(1, all.length)] ?? 'example.com';
      const allow = grants.map(({ namespaceSelector, list }) => ({
        namespaceSelector,
        ...granting(kind, list),
      })) as Grant[];
      return (granted ? fitting(kind, start) : fc.constant(start)).map((name) => ({
        kind,
        ...rest,
        issuance: { allow },
        name: storable(
          kind,
          apply.reduce((text, change) => change(text), name),
        ),
      }));
    }),
);

const fields = {
  dnsNames: 'dnsNames',
  ipRanges: 'ipAddresses',
  uris: 'uris',
  emailAddresses: 'emailAddresses',
} as const;

/** A resource that requests the name, together with an own name if it could not be requested alone. */
const specOf = (given: Case): MtlsCertificateSpec => ({
  ...certificate().record.spec,
  [given.role]: askedOf(given),
  ...(given.kind === 'subject' ? { subject: subjectOf(...splitName(given.name)) } : {}),
});

const subjectOf = (field: string, value: string): Subject =>
  field === 'serialNumbers' ? { serialNumber: value } : { [field]: [value] };

function askedOf({ kind, name, namespace }: Case): object {
  const own = { uris: [`spiffe://cluster.local/ns/${namespace}/sa/own`] };
  if (kind === 'commonNames') return { ...own, commonName: name };
  if (kind === 'subject') return own;
  if (kind !== 'otherNames') return { [fields[kind]]: [name] };
  const [oid, utf8Value] = splitName(name);
  // A certificate cannot have otherNames alone.
  return { otherNames: [{ oid, utf8Value }], commonName: `own.${namespace}.svc` };
}

const domains = { trustDomain: 'cluster.local', clusterDomain: 'cluster.local' };

function oracleAllows({ kind, name, role, ...rest }: Case): boolean {
  const scope = { ...rest, ...domains };
  const allowed: Record<Kind, () => boolean> = {
    dnsNames: () => oracle.mayHaveDns(name, role, scope),
    ipRanges: () => oracle.mayHaveIp(name, scope),
    uris: () => oracle.mayHaveUri(name, scope),
    emailAddresses: () => oracle.mayHaveEmail(name, scope),
    commonNames: () => oracle.mayHaveCommonName(name, role, scope),
    otherNames: () => oracle.mayHaveOtherName(name, scope),
    subject: () => oracle.mayHaveSubject(name, scope),
  };
  return allowed[kind]();
}

/** Every name of a request, as its own case. */
function namesIn(request: LeafRequest, given: Case): Case[] {
  const { names, subject } = request.profile;
  const as = (kind: Kind, list: readonly string[]) => list.map((name) => ({ ...given, kind, name }));
  return [
    ...as('dnsNames', names.dnsNames),
    ...as('ipRanges', names.ipAddresses),
    ...as('uris', names.uris),
    ...as('emailAddresses', names.emailAddresses),
    ...as(
      'otherNames',
      names.otherNames.map(({ oid, utf8Value }) => `${oid} ${utf8Value}`),
    ),
    ...as('commonNames', subject.commonName === undefined ? [] : [subject.commonName]),
    ...Object.entries(subject).flatMap(([attribute, value]: [string, string | readonly string[]]) =>
      attribute === 'commonName'
        ? []
        : as(
            'subject',
            [value].flat().map((text) => `${attribute === 'serialNumber' ? 'serialNumbers' : attribute} ${text}`),
          ),
    ),
  ];
}

const signer = root();
const key = privateKey();

/**
 * The names in the certificate that is signed for a request. Node.js (OpenSSL) reads them, except otherNames, which are
 * read from the bytes of the certificate.
 */
function namesSigned(request: LeafRequest, given: Case): Case[] {
  const context = { now, serialSeed: randomBytes(20) };
  const signed = issueLeafNow(request.profile, createPublicKey(key), signer, context);
  const leaf = new X509Certificate(signed.der);
  const sanKinds: Record<string, Kind> = {
    DNS: 'dnsNames',
    'IP Address': 'ipRanges',
    URI: 'uris',
    email: 'emailAddresses',
  };
  const sans = [...(leaf.subjectAltName ?? '').matchAll(/([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/g)];
  const otherNames = readAll(readOnly(signed.subjectAltNames ?? Buffer.alloc(0), tags.sequence).content)
    .filter(({ tag }) => tag === 0xa0)
    .map(({ content }) => {
      const [oid, value] = readAll(content);
      const text = readOnly(expectTag(value, 0xa0).content, 0x0c).content.toString();
      return { ...given, kind: 'otherNames' as const, name: `${readOid(oid)} ${text}` };
    });
  const inSubject = subjectSigned(leaf, given);
  if (given.kind === 'otherNames') {
    assert.match(leaf.subjectAltName ?? '', /^othername:/);
    return [...otherNames, ...inSubject];
  }
  const alternatives = sans.map(([, type = '', text = '']) => {
    const kind = sanKinds[type];
    assert.ok(kind !== undefined, `a name of type ${type} in ${leaf.subjectAltName}`);
    return { ...given, kind, name: text.startsWith('"') ? (JSON.parse(text) as string) : text };
  });
  return [...alternatives, ...otherNames, ...inSubject];
}

/** The common name and the other attributes of a subject, as cases. */
const subjectSigned = (leaf: X509Certificate, given: Case): Case[] =>
  Object.entries(leaf.toLegacyObject().subject as Record<string, string | string[]>).flatMap(([attribute, value]) =>
    [value].flat().map((text) => {
      if (attribute === 'CN') return { ...given, kind: 'commonNames' as const, name: text };
      const field = attributeFields[attribute];
      assert.ok(field !== undefined, `an attribute ${attribute} in the subject`);
      return { ...given, kind: 'subject' as const, name: `${field} ${text}` };
    }),
  );

test(`${numRuns} requests with seed ${seed}: a namespace gets exactly the names that the oracle allows`, (t) => {
  const counts = { requests: 0, allowed: 0, granted: 0, signed: 0 };
  const grantedOf = Object.fromEntries(kinds.map((kind) => [kind, 0])) as Record<Kind, number>;
  fc.assert(
    fc.property(cases, (given) => {
      const { namespace, labels, issuance, role } = given;
      const policy = { ...domains, issuance: issuancePolicy(issuance) };
      const request = leafRequest(specOf(given), role, { namespace, labels, authority: 'default', ...policy });
      const isAllowed = oracleAllows(given);
      counts.requests += 1;
      if ('reason' in request) {
        assert.ok(!isAllowed, `refused: ${request.message}`);
        return;
      }
      assert.ok(isAllowed, 'a denied name was accepted');
      for (const name of namesIn(request, given))
        assert.ok(oracleAllows(name), `${name.name} is in the request and not allowed`);
      counts.allowed += 1;
      if (oracleAllows({ ...given, issuance: {} })) return;
      counts.granted += 1;
      grantedOf[given.kind] += 1;
      // Sign the first ones of every kind, and a sample of the rest.
      if (grantedOf[given.kind] > 30 && counts.granted % 200 !== 0) return;
      counts.signed += 1;
      const names = namesSigned(request, given);
      assert.equal(names.length, namesIn(request, given).length, 'the certificate has other names than the request');
      for (const name of names) assert.ok(oracleAllows(name), `${name.name} is in the certificate and not allowed`);
    }),
    { numRuns, seed },
  );
  t.diagnostic(JSON.stringify({ ...counts, grantedOf }));
  for (const kind of kinds) assert.ok(grantedOf[kind] > numRuns / 1000, `hardly any name of ${kind} was granted`);
  assert.ok(counts.signed >= 100, 'hardly any certificate was signed');
});

/** Usages that may be requested, and usages that no leaf may have. */
const usageNames = [
  'contentCommitment',
  'dataEncipherment',
  'keyAgreement',
  'codeSigning',
  'emailProtection',
  'ipsecIKE',
  'keyCertSign',
  'cRLSign',
  'OCSPSigning',
  'anyExtendedKeyUsage',
  'timeStamping',
  'serverAuth',
  'CodeSigning',
  '',
] as readonly LeafUsage[];

/** RFC 5280 4.2.1.3, bit 0 first. */
const usageBits = ['digitalSignature', 'contentCommitment', 'keyEncipherment', 'dataEncipherment', 'keyAgreement'];
const usageOids: Record<string, string> = {
  '1.3.6.1.5.5.7.3.1': 'serverAuth',
  '1.3.6.1.5.5.7.3.2': 'clientAuth',
  '1.3.6.1.5.5.7.3.3': 'codeSigning',
  '1.3.6.1.5.5.7.3.4': 'emailProtection',
  '1.3.6.1.5.5.7.3.17': 'ipsecIKE',
};
const rsaKey = privateKey({ algorithm: 'RSA', size: 2048 });

test('a certificate has exactly the usages that its role, its key and the authority allow', (t) => {
  const counts = { requests: 0, allowed: 0 };
  const usageGrant = fc.record({
    namespaceSelector: fc.constantFrom(...selectors),
    // Includes usages that the schema rejects.
    usages: fc.subarray([...usageNames]),
  });
  const asked = fc.record({
    allow: fc.array(usageGrant, { maxLength: 3 }),
    labels: fc.constantFrom({}, { team: 'edge' }, { team: '' }, undefined),
    role: fc.constantFrom<Role>('server', 'client', 'peer'),
    algorithm: fc.constantFrom('ECDSA' as const, 'RSA' as const),
    usages: fc.oneof(
      fc.array(fc.constantFrom(...usageNames), { maxLength: 4 }),
      fc.array(fc.constantFrom(...usageNames.slice(0, 6)), { maxLength: 3 }),
    ),
  });
  fc.assert(
    fc.property(asked, ({ allow, labels, role, algorithm, usages }) => {
      const issuance = { allow } as unknown as Issuance;
      const { spec } = certificate().record;
      const ask = { ...spec, privateKey: { ...spec.privateKey, algorithm }, [role]: { service: 'db', usages } };
      const scope = { namespace: 'shop', labels, authority: 'default', ...domains };
      const request = leafRequest(ask, role, { ...scope, issuance: issuancePolicy(issuance) });
      counts.requests += 1;
      const isAllowed = usages.every((usage) => oracle.mayHaveUsage(usage, algorithm, { ...scope, issuance }));
      assert.equal(
        'profile' in request,
        isAllowed,
        'message' in request ? request.message : 'a denied usage was accepted',
      );
      if ('reason' in request) return;
      counts.allowed += 1;
      const context = { now, serialSeed: randomBytes(20) };
      const holder = createPublicKey(algorithm === 'RSA' ? rsaKey : key);
      const leaf = issueLeafNow(request.profile, holder, signer, context);
      const has = [
        ...[...(leaf.keyUsage ?? [])].map((bit) => usageBits[bit] ?? `bit ${bit}`),
        ...(leaf.extendedKeyUsage ?? []).map((id) => usageOids[id] ?? id),
      ];
      const ofRole = { server: ['serverAuth'], client: ['clientAuth'], peer: ['serverAuth', 'clientAuth'] }[role];
      // RFC 5280 4.2.1.12: serverAuth and emailProtection are consistent with it.
      const receivesKeys = algorithm === 'RSA' && (role !== 'client' || usages.includes('emailProtection'));
      const ofKey = ['digitalSignature', ...(receivesKeys ? ['keyEncipherment'] : [])];
      assert.deepEqual(has.sort(), [...new Set([...ofRole, ...ofKey, ...usages])].sort());
    }),
    { numRuns: 2000, seed },
  );
  t.diagnostic(JSON.stringify(counts));
  assert.ok(counts.allowed > 400 && counts.requests - counts.allowed > 400, JSON.stringify(counts));
});
