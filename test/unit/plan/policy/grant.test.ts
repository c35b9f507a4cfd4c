import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Grant, Issuance, LabelSelector, MtlsCertificateSpec, Subject } from '../../../../src/api/types.ts';
import type { LeafUsage } from '../../../../src/pki/index.ts';
import { leafRequest } from '../../../../src/plan/certificate/leaf-request.ts';
import { issuancePolicy } from '../../../../src/plan/index.ts';
import { rules } from '../../../support/fixtures/authority.ts';
import { certificate } from '../../../support/fixtures/certificate.ts';

type Labels = Readonly<Record<string, string>>;

/** The result of a request from namespace `shop`. Its labels are null while they are unknown. */
function ask(spec: Partial<MtlsCertificateSpec>, issuance: Issuance, labels: Labels | null = {}) {
  const policy = { ...rules, issuance: issuancePolicy(issuance) };
  const scope = { namespace: 'shop', labels: labels ?? undefined, authority: 'default', ...policy };
  return leafRequest({ ...certificate().record.spec, ...spec }, spec.client === undefined ? 'server' : 'client', scope);
}

const isGranted = (...asked: Parameters<typeof ask>): boolean => 'profile' in ask(...asked);

type Kind = Exclude<keyof Grant, 'namespaceSelector' | 'usages'>;
type Row = [pattern: string, name: string, granted: boolean];

const asking: Record<Kind, (name: string) => Partial<MtlsCertificateSpec>> = {
  dnsNames: (name) => ({ server: { dnsNames: [name] } }),
  ipRanges: (name) => ({ server: { ipAddresses: [name] } }),
  uris: (name) => ({ client: { uris: [name] } }),
  emailAddresses: (name) => ({ client: { emailAddresses: [name] } }),
  commonNames: (name) => ({ client: { serviceAccount: 'a', commonName: name } }),
  otherNames: (name) => ({
    client: { commonName: 'a.shop.svc', otherNames: [{ oid: split(name)[0], utf8Value: split(name)[1] }] },
  }),
  subject: (name) => ({ client: { serviceAccount: 'a' }, subject: subjectOf(...split(name)) }),
};

/** A subject attribute is written here as its field in a grant, a space, and its value. */
const subjectOf = (field: string, value: string): Subject =>
  field === 'serialNumbers' ? { serialNumber: value } : { [field]: [value] };

/** An otherName is written here as its object identifier, a space, and its value. */
const split = (name: string): [oid: string, value: string] => [name.split(' ')[0] ?? '', name.replace(/^\S+ /, '')];

/** A grant with only these patterns, in one field. */
function granting(kind: Kind, patterns: readonly string[]) {
  if (kind === 'otherNames') {
    return { [kind]: patterns.map((text) => ({ oid: split(text)[0], utf8Values: [split(text)[1]] })) };
  }
  if (kind !== 'subject') return { [kind]: [...patterns] };
  const fields = new Set(patterns.map((text) => split(text)[0]));
  const ofField = (field: string) => patterns.map(split).flatMap(([other, text]) => (other === field ? [text] : []));
  return { subject: Object.fromEntries([...fields].map((field) => [field, ofField(field)])) };
}

const upn = '1.3.6.1.4.1.311.20.2.3';

const longest = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(49)}.example.com`;

const tables: Record<Kind, readonly Row[]> = {
  dnsNames: [
    ['www.example.com', 'www.example.com', true],
    ['www.example.com', 'WWW.Example.COM', true],
    ['WWW.EXAMPLE.com', 'www.example.com', true],
    ['www.example.com', 'www.example.com.', true],
    ['www.example.com.', 'www.example.com', true],
    ['www.example.com', 'www.example.com..', false],
    ['www.example.com', 'example.com', false],
    ['www.example.com', 'a.www.example.com', false],
    ['www.example.com', 'xwww.example.com', false],
    ['www.example.com', 'www.example.com.evil.org', false],
    ['www.example.com', '*.example.com', false],
    ['www.example.com', 'wwwxexample.com', false],
    ['*.example.com', 'a.example.com', true],
    ['*.example.com', '*.example.com', true],
    ['*.example.com', 'example.com', false],
    ['*.example.com', 'a.b.example.com', false],
    ['*.example.com', '*.a.example.com', false],
    ['*.example.com', '*.b.example.com', false],
    ['*.example.com', '.example.com', false],
    ['*.example.com', 'a.example.com.evil.org', false],
    ['*.example.com', 'a.evilexample.com', false],
    ['*.example.com', 'a.example.org', false],
    ['*.example.com', 'a\0.example.com', false],
    ['*.example.com', 'evil.org\0.example.com', false],
    ['*.example.com', 'a.example.com\0', false],
    ['*.example.com', 'a.example.com\n', false],
    ['*.example.com', ' a.example.com', false],
    ['*.example.com', 'a.example.com:443', false],
    ['*.example.com', 'a_b.example.com', false],
    ['*.example.com', '-a.example.com', false],
    ['*.example.com', 'evil.org/.example.com', false],
    ['*.example.com', 'a%2eb.example.com', false],
    ['*.example.com', 'm\u00fcnchen.example.com', false],
    ['*.example.com', 'xn--mnchen-3ya.example.com', true],
    ['*.example.com', 'a.\u0435xample.com', false],
    ['*.example.com', 'a\u3002example.com', false],
    ['*.example.com', 'a.example\u3002com', false],
    ['*.example.com', 'a\uff0eb.example.com', false],
    ['*.example.com', 'a\u200d.example.com', false],
    ['*.example.com', 'a\u00ad.example.com', false],
    ['*.kafka.example', 'a.\u212aafka.example', false],
    ['*.\u212aafka.example', 'a.kafka.example', false],
    ['*.shops.example', 'a.\u017fhops.example', false],
    ['*.m\u00fcnchen.example', 'a.xn--mnchen-3ya.example', false],
    ['*.xn--mnchen-3ya.example', 'a.XN--MNCHEN-3YA.example', true],
    ['*.*.example.com', 'a.b.example.com', true],
    ['*.*.example.com', '*.b.example.com', true],
    ['*.*.example.com', 'a.example.com', false],
    ['*.*.example.com', 'a.*.example.com', false],
    ['a.*.example.com', 'a.b.example.com', true],
    ['a.*.example.com', '*.b.example.com', false],
    ['a.*.example.com', '*.example.com', false],
    ['a.*.example.com', 'a.*.example.com', false],
    ['example.*', 'example.org', true],
    ['example.*', 'example.co.uk', false],
    ['10.0.0.*', '10.0.0.1', false],
    ['*.0.0.1', '10.0.0.1', false],
    ['localhost', 'localhost', true],
    ['*', 'localhost', false],
    ['*.*', 'example.com', false],
    ['**', 'example.com', false],
    ['**.example.com', 'a.b.example.com', false],
    ['a*.example.com', 'ab.example.com', false],
    ['*a.example.com', 'ba.example.com', false],
    ['', 'example.com', false],
    ['.', 'example.com', false],
    ['.example.com', 'a.example.com', false],
    ['payments.other.svc', 'payments.other.svc', true],
    ['*.other.svc', 'payments.other.svc', true],
    ['*.other.svc', 'payments.third.svc', false],
    ['*.*.*.*.example.com', longest, true],
  ],
  ipRanges: [
    ['10.0.0.0/8', '10.0.0.0', true],
    ['10.0.0.0/8', '10.255.255.255', true],
    ['10.0.0.0/8', '9.255.255.255', false],
    ['10.0.0.0/8', '11.0.0.0', false],
    ['192.0.2.128/25', '192.0.2.127', false],
    ['192.0.2.128/25', '192.0.2.128', true],
    ['192.0.2.128/25', '192.0.2.255', true],
    ['192.0.2.7/32', '192.0.2.7', true],
    ['192.0.2.7/32', '192.0.2.6', false],
    ['192.0.2.7/32', '192.0.2.8', false],
    ['0.0.0.0/0', '255.255.255.255', true],
    ['0.0.0.0/0', '::1', false],
    ['::/0', '2001:db8::1', true],
    ['::/0', '10.0.0.1', false],
    ['::/0', '::ffff:10.0.0.1', false],
    ['::/0', '::ffff:a00:1', false],
    ['::/0', '0:0:0:0:0:FFFF:0A00:0001', false],
    ['10.0.0.0/8', '::ffff:10.0.0.1', false],
    ['::ffff:10.0.0.0/104', '10.0.0.1', false],
    ['::ffff:10.0.0.0/104', '::ffff:10.0.0.1', false],
    ['::ffff:0:0/96', '::ffff:10.0.0.1', false],
    ['::/80', '::fffe:10.0.0.1', true],
    ['fd00::/8', 'fd00::', true],
    ['fd00::/8', 'FDFF:ffff:ffff:ffff:ffff:ffff:ffff:ffff', true],
    ['fd00::/8', 'fe00::', false],
    ['fd00::/8', 'fcff:ffff::', false],
    ['fd00::/8', 'fd00::1%eth0', false],
    ['2001:db8:0:8000::/49', '2001:db8:0:7fff::1', false],
    ['2001:db8:0:8000::/49', '2001:db8:0:ffff::1', true],
    ['2001:DB8::1/128', '2001:0db8:0:0:0:0:0:1', true],
    ['10.0.0.0/8', '010.0.0.1', false],
    ['10.0.0.0/8', '0x0a.0.0.1', false],
    ['10.0.0.0/8', '10.1', false],
    ['10.0.0.0/8', '167772161', false],
    ['10.0.0.0/8', '10.0.0.1/32', false],
    ['10.0.0.0/8', '10.0.0.1\0', false],
    ['10.0.0.1/8', '10.0.0.1', false],
    ['10.0.0.1', '10.0.0.1', false],
    ['10.0.0.0/', '10.0.0.0', false],
    ['10.0.0.0/33', '10.0.0.0', false],
    ['10.0.0.0/-1', '10.0.0.0', false],
    ['10.0.0.0/08', '10.0.0.0', false],
    ['10.0.0.0/8/8', '10.0.0.0', false],
    ['fd00::/129', 'fd00::', false],
    ['*', '10.0.0.1', false],
    ['', '10.0.0.1', false],
    ['/0', '10.0.0.1', false],
  ],
  uris: [
    ['spiffe://example.org/edge/*', 'spiffe://example.org/edge/a', true],
    ['spiffe://example.org/edge/*', 'SPIFFE://Example.Org/edge/a', true],
    ['SPIFFE://Example.Org/edge/*', 'spiffe://example.org/edge/a', true],
    ['spiffe://example.org/edge/*', 'spiffe://example.org/Edge/a', false],
    ['spiffe://example.org/edge/*', 'spiffe://example.org/edge', false],
    ['spiffe://example.org/edge/*', 'spiffe://example.org/edge/', false],
    ['spiffe://example.org/edge/*', 'spiffe://example.org/edge/a/b', false],
    ['spiffe://example.org/edge/*', 'spiffe://example.org/edge/..', false],
    ['spiffe://example.org/edge/*', 'spiffe://example.org/edge/.', false],
    ['spiffe://example.org/edge/*', 'spiffe://example.org/edge/%2e%2e', false],
    ['spiffe://example.org/edge/*', 'spiffe://example.org/edge/a%2fb', false],
    ['spiffe://example.org/edge/*', 'spiffe://example.org/edge//a', false],
    ['spiffe://example.org/edge/*', 'spiffe://example.org/edge/a?b', false],
    ['spiffe://example.org/edge/*', 'spiffe://example.org/edge/a#b', false],
    ['spiffe://example.org/edge/*', 'spiffe://example.org/edge/*', false],
    ['spiffe://example.org/edge/*', 'spiffe://evil@example.org/edge/a', false],
    ['spiffe://example.org/edge/*', 'spiffe://example.org:80/edge/a', false],
    ['spiffe://example.org/edge/*', 'spiffe://example.org./edge/a', false],
    ['spiffe://example.org/edge/*', 'spiffe://sub.example.org/edge/a', false],
    ['spiffe://example.org/edge/*', 'spiffe://example.org.evil.com/edge/a', false],
    ['spiffe://example.org/edge/*', 'spiffe://ex\u0430mple.org/edge/a', false],
    ['spiffe://example.org/edge/*', 'spiffe://example.org/edge/a\0', false],
    ['spiffe://example.org/edge/*', 'https://example.org/edge/a', false],
    ['spiffe://example.org/edge/**', 'spiffe://example.org/edge/a', true],
    ['spiffe://example.org/edge/**', 'spiffe://example.org/edge/a/b/c', true],
    ['spiffe://example.org/edge/**', 'spiffe://example.org/edge', false],
    ['spiffe://example.org/edge/**', 'spiffe://example.org/edge/a/../b', false],
    ['spiffe://example.org/edge/**', 'spiffe://example.org/edges/a', false],
    ['spiffe://example.org/*/a', 'spiffe://example.org/x/a', true],
    ['spiffe://example.org/*/a', 'spiffe://example.org/x/y/a', false],
    ['spiffe://example.org/**/a', 'spiffe://example.org/x/a', false],
    ['spiffe://example.org/a*', 'spiffe://example.org/ab', false],
    ['spiffe://*/a', 'spiffe://example.org/a', false],
    ['spiffe://example.org', 'spiffe://example.org', true],
    ['spiffe://example.org/**', 'spiffe://example.org', false],
    // ServiceAccounts of other namespaces, in the authority's own trust domain: a pattern must spell them out.
    ['spiffe://cluster.local/ns/other/sa/a', 'spiffe://cluster.local/ns/other/sa/a', true],
    ['spiffe://cluster.local/ns/other/sa/*', 'spiffe://cluster.local/ns/other/sa/a', true],
    ['spiffe://cluster.local/ns/other/**', 'spiffe://cluster.local/ns/other/sa/a', true],
    ['spiffe://cluster.local/ns/other/*', 'spiffe://cluster.local/ns/third/a', false],
    ['spiffe://cluster.local/ns/*/sa/a', 'spiffe://cluster.local/ns/other/sa/a', false],
    ['spiffe://cluster.local/ns/**', 'spiffe://cluster.local/ns/other/sa/a', false],
    ['spiffe://cluster.local/*/other/sa/a', 'spiffe://cluster.local/ns/other/sa/a', false],
    ['spiffe://cluster.local/*/*/sa/a', 'spiffe://cluster.local/ns/other/sa/a', false],
    ['spiffe://cluster.local/**', 'spiffe://cluster.local/ns/other/sa/a', false],
    ['spiffe://cluster.local/**', 'spiffe://CLUSTER.local/ns/other/sa/a', false],
    ['spiffe://cluster.local/**', 'spiffe://cluster.local/ns', false],
    ['spiffe://cluster.local/**', 'spiffe://cluster.local/edge/a', true],
    ['spiffe://cluster.local/ns/*/gateway', 'spiffe://cluster.local/ns/shop/gateway', true],
    ['spiffe://cluster.local/ns/*/gateway', 'spiffe://cluster.local/ns/other/gateway', false],
    ['spiffe://example.org/ns/*/sa/a', 'spiffe://example.org/ns/other/sa/a', true],
    ['https://example.org/a/*', 'https://Example.org/a/b', true],
    ['https://example.org/a/*', 'http://example.org/a/b', false],
    ['https://example.org/a/*', 'https://example.org:443/a/b', false],
    ['https://example.org/a/*', 'https://example.org/a/b?c', false],
    ['https://example.org/a/*', 'https://example.org/a/..;', false],
    ['https://example.org/a/*', 'https://example.org/a/b;c', false],
    ['https://example.org/a/*', 'https://example.org/a/..', false],
    ['https://example.org/a/*', 'https://example.org/a/%2e%2e', false],
    ['https://example.org/a/*', 'https://example.org/./a/b', false],
    ['https://example.org/a/*', 'https://example.org/x/../a/b', false],
    ['https://example.org/a/*', 'https://example.org\\@evil.com/a/b', false],
    ['https://example.org/a/*', 'https://evil.com\\@example.org/a/b', false],
    ['https://example.org/a/*', 'https://evil.com@example.org/a/b', false],
    ['https://example.org/a/*', 'https://example.org/a/b\\c', false],
    ['https://example.org/a/*', 'https:/example.org/a/b', false],
    ['https://example.org:8443/*', 'https://example.org:8443/a', true],
    ['https://example.org:8443/*', 'https://example.org/a', false],
    ['https://*.example.org/a', 'https://b.example.org/a', false],
    ['https://example.org/*?a', 'https://example.org/b?a', false],
    ['https://example.org/a/../*', 'https://example.org/a/../b', false],
    ['https://example.org/a%2fb?c#d', 'https://example.org/a%2fb?c#d', true],
    ['https://example.org/a%2fb?c#d', 'https://example.org/a%2Fb?c#d', false],
    ['https://example.org/a%2fb?c#d', 'https://example.org/a/b?c#d', false],
    ['https://example.org/a', 'https://example.org/%61', false],
    ['https://example.org/', 'https://example.org', false],
    ['urn:uuid:1', 'URN:uuid:1', true],
    ['urn:uuid:1', 'urn:UUID:1', false],
    ['urn:uuid:*', 'urn:uuid:1', false],
    ['urn:*', 'urn:a', false],
    ['*', 'urn:a', false],
    ['**', 'spiffe://example.org/a', false],
    ['', 'urn:a', false],
  ],
  emailAddresses: [
    ['ops@example.com', 'ops@example.com', true],
    ['ops@Example.com', 'ops@EXAMPLE.com', true],
    ['ops@example.com', 'Ops@example.com', false],
    ['ops@example.com', 'ops@example.com.', true],
    ['ops@example.com', 'dev@example.com', false],
    ['*@example.com', 'ops@example.com', true],
    ['*@example.com', 'o.p-s+1@example.com', true],
    ['*@example.com', 'ops@sub.example.com', false],
    ['*@example.com', 'ops@example.com.evil.org', false],
    ['*@example.com', 'ops@evilexample.com', false],
    ['*@example.com', 'ops@example.org', false],
    ['*@example.com', '@example.com', false],
    ['*@example.com', '*@example.com', false],
    ['*@example.com', 'a*@example.com', false],
    ['*@example.com', 'ops@evil.org@example.com', false],
    ['*@example.com', '"ops@evil.org"@example.com', false],
    ['*@example.com', '"ops"@example.com', false],
    ['*@example.com', 'ops%evil.org@example.com', false],
    ['*@example.com', 'evil.org!ops@example.com', false],
    ['*@example.com', 'ops.@example.com', false],
    ['*@example.com', '.ops@example.com', false],
    ['*@example.com', 'o..ps@example.com', false],
    ['*@example.com', 'Ops <ops@example.com>', false],
    ['*@example.com', 'a,b@example.com', false],
    ['*@example.com', 'ops@ex\u0430mple.com', false],
    ['*@example.com', '\u00fc@example.com', false],
    ['*@example.com', 'ops\0@example.com', false],
    ['*@example.com', 'ops@example.com\0', false],
    ['*@example.com', 'ops@[10.0.0.1]', false],
    ['o*@example.com', 'ops@example.com', false],
    ['o*@example.com', 'o*@example.com', false],
    ['*@*.example.com', 'ops@a.example.com', false],
    ['*@*', 'ops@example.com', false],
    ['*', 'ops@example.com', false],
    ['@example.com', 'ops@example.com', false],
    ['*@', 'ops@example.com', false],
    ['', 'ops@example.com', false],
  ],
  commonNames: [
    ['postgres', 'postgres', true],
    ['postgres', 'Postgres', true],
    ['Postgres', 'postgres', true],
    ['post_gres', 'Post_gres', false],
    ['postgres', 'postgres2', false],
    ['postgres', 'xpostgres', false],
    ['postgres', 'postgres\0', false],
    ['postgres', 'postgres\0.shop', false],
    ['postgres', 'postgres ', false],
    ['postgres', 'postgr\u0435s', false],
    ['postgres\0*', 'postgres\0a', false],
    ['kafka-*', 'kafka-0', true],
    ['Kafka-*', 'Kafka-0', true],
    ['kafka-*', 'kafka-', false],
    ['kafka-*', 'kafka', false],
    ['kafka-*', 'kafka-a-b_c', true],
    ['kafka-*', 'kafka-0.other', false],
    ['kafka-*', 'kafka-0.other.svc', false],
    ['kafka-*', 'kafka-0,OU=admins', false],
    ['kafka-*', 'kafka-0/CN=root', false],
    ['kafka-*', 'kafka-0 x', false],
    ['kafka-*', 'kafka-0@example.com', false],
    ['kafka-*', 'kafka-0:admin', false],
    ['kafka-*', 'kafka-\0', false],
    ['kafka-*', 'kafka-\u202e0', false],
    ['kafka-*', 'kafka-\u0430', false],
    ['kafka-*', 'kafka-*', false],
    ['kafka-*', 'xkafka-0', false],
    ['*', 'root', true],
    ['*', 'system:masters', false],
    ['*', '', false],
    ['*', '*', false],
    ['system:node:*', 'system:node:a', true],
    ['system:node:*', 'system:nodes', false],
    ['system:*', 'system:node:a', false],
    ['system:*', 'system:masters', true],
    ['*:masters', 'system:masters', false],
    ['s*:masters', 'system:masters', false],
    ['*:masters', 'SYSTEM:masters', false],
    ['*:masters', 'users:masters', true],
    ['*-*', 'a-b', true],
    ['*-*', 'a--', true],
    ['*-*', 'ab', false],
    ['*.example.com', 'a.example.com', true],
    ['*.example.com', '*.example.com', false],
    ['*.example.com', 'a.b.example.com', false],
    ['DB.example.com.', 'db.example.com', true],
    ['Ops of the Shop', 'Ops of the Shop', true],
    ['Ops of *', 'Ops of shop', true],
    ['Ops of *', 'Ops of the Shop', false],
    ['spiffe://cluster.local/ns/other/sa/a', 'spiffe://cluster.local/ns/other/sa/a', true],
    ['', 'postgres', false],
    [' ', ' ', false],
  ],
  otherNames: [
    [`${upn} *@example.com`, `${upn} ops@example.com`, true],
    [`${upn} *@example.com`, `${upn} Ops.Team+1@example.com`, true],
    [`${upn} *@example.com`, `${upn} ops@EXAMPLE.com`, false],
    [`${upn} *@EXAMPLE.com`, `${upn} ops@EXAMPLE.com`, true],
    [`${upn} *@EXAMPLE.com`, `${upn} ops@example.com`, false],
    [`${upn} *@example.com`, `${upn} ops@mail.example.com`, false],
    [`${upn} *@example.com`, `${upn} ops@evilexample.com`, false],
    [`${upn} *@example.com`, `${upn} ops@example.com.evil.org`, false],
    [`${upn} *@example.com`, `${upn} ops@example.com.`, false],
    [`${upn} *@example.com`, `${upn} ops@example.org`, false],
    [`${upn} *@example.com`, `${upn} @example.com`, false],
    [`${upn} *@example.com`, `${upn} *@example.com`, false],
    [`${upn} *@example.com`, `${upn} root@evil.org@example.com`, false],
    [`${upn} *@example.com`, `${upn} root%evil.org@example.com`, false],
    [`${upn} *@example.com`, `${upn} "a b"@example.com`, false],
    [`${upn} *@example.com`, `${upn} o ps@example.com`, false],
    [`${upn} *@example.com`, `${upn} b\u00f6rse@example.com`, false],
    [`${upn} *@example.com`, `${upn} ops\u200b@example.com`, false],
    [`${upn} *@example.com`, `${upn} ops@exam\u03c1le.com`, false],
    [`${upn} *@example.com`, `${upn} ops`, false],
    [`${upn} *@example.com`, '1.3.6.1.4.1.311.20.2.4 ops@example.com', false],
    [`${upn} *@example.com`, '1.3.6.1.4.1.311.20.2 ops@example.com', false],
    [`${upn} *@example.com`, `${upn}.1 ops@example.com`, false],
    // A parser with 32-bit arcs would read the last arc, 2^32 + 3, as the 3 of the user principal name.
    [`${upn} *@example.com`, '1.3.6.1.4.1.311.20.2.4294967299 ops@example.com', false],
    ['1.3.6.1.4.1.311.20.2.4294967299 *', '1.3.6.1.4.1.311.20.2.4294967299 ops', false],
    [`${upn} ops@example.com`, `${upn} ops@example.com`, true],
    [`${upn} ops@example.com`, `${upn} OPS@example.com`, false],
    [`${upn} ops@example.com`, `${upn} ops@Example.com`, false],
    [`${upn} ops@example.com`, `${upn} xops@example.com`, false],
    [`${upn} b\u00f6rse@example.com`, `${upn} b\u00f6rse@example.com`, true],
    [`${upn} b\u00f6rse@example.com`, `${upn} bo\u0308rse@example.com`, false],
    [`${upn} o*@example.com`, `${upn} ops@example.com`, false],
    [`${upn} *@*.example.com`, `${upn} ops@a.example.com`, false],
    [`${upn} ops@*`, `${upn} ops@example`, false],
    [`${upn} *@*`, `${upn} ops@example`, false],
    [`${upn} *@`, `${upn} ops@`, false],
    [`${upn} *@example.com.`, `${upn} ops@example.com.`, false],
    [`${upn} *@b\u00f6rse.example`, `${upn} ops@b\u00f6rse.example`, false],
    [`${upn} *`, `${upn} ops`, true],
    [`${upn} *`, `${upn} ops@example.com`, false],
    ['2.999.1 kafka-*', '2.999.1 kafka-0', true],
    ['2.999.1 kafka-*', '2.999.1 Kafka-0', false],
    ['2.999.1 kafka-*', '2.999.1 kafka-', false],
    ['2.999.1 kafka-*', '2.999.1 kafka-0.other', false],
    ['2.999.1 kafka-*', '2.999.1 kafka-0@other', false],
    ['2.999.1 Db.Example', '2.999.1 db.example', false],
    ['2.999.1 \u65e5\u672c *', '2.999.1 \u65e5\u672c 1', true],
    ['2.999.1 *', '2.999.1 \u65e5', false],
    ['2.999.1 a b', '2.999.1 a b', true],
    ['1.40.1 a', '1.40.1 a', false],
    ['1.2.03 a', '1.2.03 a', false],
    ['1 a', '1 a', false],
    ['2.999.1 *', '2.999.1 a\0', false],
    ['2.999.1 a\0', '2.999.1 a\0', false],
    ['2.999.1 a\u0085', '2.999.1 a\u0085', false],
    ['2.999.1 a\ud800', '2.999.1 a\ud800', false],
    ['2.999.1 a ', '2.999.1 a ', false],
    ['2.999.1  a', '2.999.1  a', false],
    ['2.999.1 a\u00a0', '2.999.1 a\u00a0', false],
    [`2.999.1 ${'\u65e5'.repeat(1024)}`, `2.999.1 ${'\u65e5'.repeat(1024)}`, true],
    [`2.999.1 ${'a'.repeat(1025)}`, `2.999.1 ${'a'.repeat(1025)}`, false],
  ],
  subject: [
    ['organizations Example Org', 'organizations Example Org', true],
    ['organizations Example Org', 'organizations example org', false],
    ['organizations Example Org', 'organizations Example Org 2', false],
    ['organizations Example Org', 'organizations Example\u00a0Org', false],
    ['organizations Example Org', 'organizationalUnits Example Org', false],
    ['organizationalUnits Example Org', 'organizations Example Org', false],
    ['organizations B\u00f6rse', 'organizations B\u00f6rse', true],
    ['organizations B\u00f6rse', 'organizations Bo\u0308rse', false],
    ['organizations team-*', 'organizations team-a_1', true],
    ['organizations team-*', 'organizations team-', false],
    ['organizations team-*', 'organizations team-a b', false],
    ['organizations team-*', 'organizations team-a,OU=b', false],
    ['organizations team-*', 'organizations team-a:b', false],
    ['organizations *', 'organizations Example Org', true],
    ['organizations *', 'organizations B\u00fccher & S\u00f6hne "GmbH", Hamburg (DE); No. 1/2', true],
    ['organizations *', 'organizations \u682a\u5f0f\u4f1a\u793e\u4f8b', true],
    ['organizations *', 'organizations group:admins', true],
    ['organizations *', 'organizations the system:masters', true],
    // Kubernetes reads an organization as a group, and reserves system: groups.
    ['organizations *', 'organizations system:masters', false],
    ['organizations *', 'organizations System:Masters', false],
    ['organizations *', 'organizations \u017fystem:masters', false],
    ['organizations *', 'organizations \uff33ystem\uff1amasters', false],
    ['organizations *', 'organizations s\u034fystem:masters', false],
    ['organizations *', 'organizations \u00adsystem:masters', false],
    ['organizations *:masters', 'organizations system:masters', false],
    ['organizations *:*', 'organizations system:masters', false],
    ['organizations s*:masters', 'organizations system:masters', false],
    ['organizations *ystem:masters', 'organizations system:masters', false],
    ['organizations *:masters', 'organizations group:masters', true],
    ['organizations system:masters', 'organizations system:masters', true],
    ['organizations system:masters', 'organizations system:nodes', false],
    ['organizations system:*', 'organizations system:masters', true],
    ['organizations system:*', 'organizations system:node:a', false],
    ['organizationalUnits *', 'organizationalUnits system:masters', false],
    // Characters that some programs read as a list of attributes or as a pattern.
    ['organizations *', 'organizations Org,OU=admins', false],
    ['organizations *', 'organizations Org/CN=admin', false],
    ['organizations *', 'organizations Org\\', false],
    ['organizations *', 'organizations *', false],
    ['organizations *', 'organizations Org\u202egrO', false],
    ['organizations *', 'organizations Org\u200b', false],
    ['organizations *', 'organizations Org\u00a01', false],
    ['organizations Org,OU=admins', 'organizations Org,OU=admins', true],
    ['organizations **', 'organizations a', false],
    ['organizations ', 'organizations Org', false],
    ['organizations  Org', 'organizations Org', false],
    ['organizations Org\0', 'organizations Org', false],
    ['organizationalUnits *', 'organizationalUnits Payments', true],
    ['countries DE', 'countries DE', true],
    ['countries DE', 'countries FR', false],
    ['countries *', 'countries DE', true],
    ['countries D*', 'countries DE', true],
    ['countries *', 'provinces DE', false],
    ['localities Frankfurt am Main', 'localities Frankfurt am Main', true],
    [`localities ${'\u65e5'.repeat(128)}`, `localities ${'\u65e5'.repeat(128)}`, true],
    ['provinces Hessen', 'provinces Hessen', true],
    ['streetAddresses *', 'streetAddresses Stra\u00dfe des 17. Juni 135, 2. Stock', true],
    ['postalCodes 60*', 'postalCodes 60329', true],
    ['postalCodes 60*', 'postalCodes 80331', false],
    ['serialNumbers HRB *', 'serialNumbers HRB 12345', true],
    ['serialNumbers HRB *', 'serialNumbers HRA 12345', false],
    ['serialNumbers *', "serialNumbers A-1 (b)'+,./:?", true],
    ['serialNumbers *', 'serialNumbers a=b', false],
  ],
};

for (const [kind, rows] of Object.entries(tables) as [Kind, readonly Row[]][]) {
  describe(`${kind}: the pattern`, () => {
    for (const [pattern, name, granted] of rows) {
      test(`${JSON.stringify(pattern)} ${granted ? 'grants' : 'does not grant'} ${JSON.stringify(name)}`, () => {
        const allow = [{ namespaceSelector: {}, ...granting(kind, [pattern]) }];
        assert.equal(isGranted(asking[kind](name), { allow }), granted);
        assert.ok(!isGranted(asking[kind](name), {}), 'it needs no grant');
      });
    }
  });
}

describe('a pattern', () => {
  const wanted: Record<Kind, string> = {
    dnsNames: 'a.example.com',
    ipRanges: '10.0.0.1',
    uris: 'urn:a',
    emailAddresses: 'a@example.com',
    commonNames: 'a:b',
    otherNames: '1.2.3 a@example.com',
    subject: 'organizations a:b',
  };
  const patterns: Record<Kind, string> = { ...wanted, ipRanges: '10.0.0.1/32' };
  const kinds = Object.keys(wanted) as Kind[];

  for (const kind of kinds) {
    test(`of ${kind} grants no name of another kind`, () => {
      const allow = [{ namespaceSelector: {}, ...granting(kind, Object.values(patterns)) }];
      const granted = kinds.filter((other) => isGranted(asking[other](wanted[other]), { allow }));
      assert.deepEqual(granted, [kind]);
    });
  }

  test('of a common name with many `*` is compared without backtracking', { timeout: 5000 }, () => {
    const allow = [{ namespaceSelector: {}, commonNames: [`${'*-'.repeat(30)}.`] }];
    assert.ok(!isGranted(asking.commonNames('-'.repeat(64)), { allow }));
  });

  test('does not grant another name of the same request', () => {
    const allow = [{ namespaceSelector: {}, dnsNames: ['*.example.com'] }];
    const spec = {
      server: { service: 'db', dnsNames: ['a.example.com', 'a.example.org'], commonName: 'a.example.com' },
    };
    const refusal = ask(spec, { allow });
    assert.ok('message' in refusal);
    assert.match(refusal.message, /^DNS name "a\.example\.org": .*; common name "a\.example\.com": /);
  });

  test('of an attribute grants no other attribute', () => {
    const values: Required<Subject> = {
      organizations: ['DE'],
      organizationalUnits: ['DE'],
      countries: ['DE'],
      localities: ['DE'],
      provinces: ['DE'],
      streetAddresses: ['DE'],
      postalCodes: ['DE'],
      serialNumber: 'DE',
    };
    const client = { serviceAccount: 'a' };
    for (const [attribute, value] of Object.entries(values)) {
      const field = attribute === 'serialNumber' ? 'serialNumbers' : attribute;
      const allow = [{ namespaceSelector: {}, subject: { [field]: ['*'] } }];
      for (const [other, otherValue] of Object.entries(values)) {
        const isOwn = isGranted({ client, subject: { [other]: otherValue } }, { allow });
        assert.equal(isOwn, other === attribute, `${field} for ${other}`);
      }
      assert.ok(!isGranted({ client, subject: { ...values, [attribute]: value } }, { allow }));
    }
  });

  test('must grant every value of an attribute, or the request is denied', () => {
    const allow = [
      { namespaceSelector: {}, subject: { organizations: ['a'], organizationalUnits: ['*'] } },
      { namespaceSelector: {}, subject: { organizations: ['b'] } },
    ];
    const client = { serviceAccount: 'a' };
    assert.ok(isGranted({ client, subject: { organizations: ['a', 'b'], organizationalUnits: ['c d'] } }, { allow }));
    const refusal = ask({ client, subject: { organizations: ['a', 'c', 'b'] } }, { allow });
    assert.ok('message' in refusal);
    assert.match(refusal.message, /^subject\.organizations "c": [^;]*$/);
  });

  test('that does not match its schema grants nothing and throws nothing', () => {
    const odd: unknown[] = ['1.2.3', {}, { oid: '1.2.3' }, { utf8Values: ['a'] }, { oid: '1.2.3', utf8Values: [] }];
    const allow = [{ namespaceSelector: {}, otherNames: odd as never, commonNames: ['*'] }];
    assert.ok(!isGranted(asking.otherNames('1.2.3 a'), { allow }));
    for (const subject of [{}, { organizations: [] }, { surnames: ['*'] }] as never[]) {
      assert.ok(!isGranted(asking.subject('organizations a'), { allow: [{ namespaceSelector: {}, subject }] }));
    }
  });

  test('for one type of otherName does not match another type in the same grant', () => {
    const otherNames = [
      { oid: '1.2.3', utf8Values: ['a', 'b'] },
      { oid: '1.2.4', utf8Values: ['c'] },
    ];
    const allow = [{ namespaceSelector: {}, otherNames }];
    const isNamed = (name: string): boolean => isGranted(asking.otherNames(name), { allow });
    assert.ok(isNamed('1.2.3 a') && isNamed('1.2.3 b') && isNamed('1.2.4 c'));
    assert.ok(!isNamed('1.2.4 a') && !isNamed('1.2.3 c'));
  });
});

describe('the names that are signed', () => {
  test('are in normal form, both own and granted names', () => {
    const allow = [
      {
        namespaceSelector: {},
        dnsNames: ['*.example.com'],
        ipRanges: ['2001:db8::/32'],
        uris: ['https://example.org/*'],
        emailAddresses: ['*@example.com'],
        commonNames: ['*.example.com'],
        otherNames: [{ oid: upn, utf8Values: ['*@Example.com'] }],
      },
    ];
    const server = {
      service: 'db',
      dnsNames: ['A.Example.com.', 'a.example.com'],
      ipAddresses: ['2001:DB8:0::1'],
      uris: ['HTTPS://Example.org/a'],
      emailAddresses: ['Ops@EXAMPLE.com'],
      commonName: 'A.Example.com.',
      // Unchanged, each once.
      otherNames: ['Ops', 'ops', 'Ops'].map((mailbox) => ({ oid: upn, utf8Value: `${mailbox}@Example.com` })),
    };
    const request = ask({ server }, { allow });
    assert.ok('profile' in request);
    assert.equal(request.profile.subject.commonName, 'a.example.com');
    assert.deepEqual(request.profile.names, {
      dnsNames: ['db', 'db.shop', 'db.shop.svc', 'db.shop.svc.cluster.local', 'a.example.com'],
      ipAddresses: ['2001:db8::1'],
      uris: ['https://example.org/a'],
      emailAddresses: ['Ops@example.com'],
      otherNames: [
        { oid: upn, utf8Value: 'Ops@Example.com' },
        { oid: upn, utf8Value: 'ops@Example.com' },
      ],
    });
  });
});

test('a request with otherNames alone needs a commonName or a subject, or its alternative names would be critical', () => {
  const allow = [{ namespaceSelector: {}, otherNames: [{ oid: upn, utf8Values: ['*@example.com'] }] }];
  const client = { otherNames: [{ oid: upn, utf8Value: 'ops@example.com' }] };
  for (const subject of [undefined, { organizations: [] }]) {
    const request = ask({ client, ...(subject === undefined ? {} : { subject }) }, { allow });
    assert.ok('reason' in request);
    assert.equal(request.reason, 'InvalidSpec');
    assert.match(request.message, /^otherNames: add a commonName or a subject;/);
  }
  assert.ok(isGranted({ client: { ...client, serviceAccount: 'a' } }, { allow }));
});

describe('a grant', () => {
  const toEdge = (namespaceSelector: LabelSelector): Issuance => ({
    allow: [{ namespaceSelector, dnsNames: ['www.example.com'] }],
  });
  const name = asking.dnsNames('www.example.com');

  const rows: [title: string, selector: LabelSelector, labels: Labels | null, granted: boolean][] = [
    ['to all namespaces reaches a namespace without labels', {}, {}, true],
    ['to all namespaces reaches a namespace with unknown labels', {}, null, true],
    [
      'to a label reaches a namespace with that label',
      { matchLabels: { team: 'edge' } },
      { team: 'edge', a: 'b' },
      true,
    ],
    [
      'to a label does not reach a namespace with another value',
      { matchLabels: { team: 'edge' } },
      { team: 'Edge' },
      false,
    ],
    ['to a label does not reach a namespace without labels', { matchLabels: { team: 'edge' } }, {}, false],
    ['to an empty value does not reach a namespace without the label', { matchLabels: { team: '' } }, {}, false],
    ['to a label does not reach a namespace with unknown labels', { matchLabels: { team: 'edge' } }, null, false],
    [
      'to namespaces without a label does not reach a namespace with unknown labels',
      { matchExpressions: [{ key: 'team', operator: 'DoesNotExist' }] },
      null,
      false,
    ],
  ];
  for (const [title, selector, labels, granted] of rows) {
    test(title, () => assert.equal(isGranted(name, toEdge(selector), labels), granted));
  }

  test('adds to the other grants and removes nothing from them', () => {
    const allow = [
      { namespaceSelector: { matchLabels: { team: 'edge' } }, dnsNames: ['a.example.com'] },
      { namespaceSelector: {}, dnsNames: ['b.example.com'] },
    ];
    const spec = { server: { dnsNames: ['a.example.com', 'b.example.com'] } };
    assert.ok(isGranted(spec, { allow }, { team: 'edge' }));
    assert.ok(!isGranted(spec, { allow }, {}));
  });

  test('can be added to the authority that the message of a denied name mentions', () => {
    const refusal = ask(name, toEdge({ matchLabels: { team: 'edge' } }));
    assert.deepEqual(refusal, {
      reason: 'Denied',
      message:
        'DNS name "www.example.com": namespace shop may have only names of its own Services (<service>, <service>.shop, <service>.shop.svc, <service>.shop.svc.cluster.local, and names below the last two) and names that issuance.allow of MtlsAuthority default grants',
    });
  });
});

describe('a usage', () => {
  const key = certificate().record.spec.privateKey;
  const asking = (usages: readonly LeafUsage[], algorithm: 'ECDSA' | 'RSA' = 'ECDSA') => ({
    server: { service: 'db', usages },
    privateKey: { ...key, algorithm },
  });
  const edge = { matchLabels: { team: 'edge' } };
  const allow: Grant[] = [
    { namespaceSelector: edge, usages: ['codeSigning'] },
    { namespaceSelector: {}, usages: ['ipsecIKE'] },
  ];
  const rows: [usages: LeafUsage[], issuance: Issuance, labels: Labels | null, granted: boolean][] = [
    [['codeSigning'], {}, {}, false],
    [['emailProtection'], {}, {}, false],
    [['ipsecIKE'], {}, {}, false],
    [['codeSigning'], { allow }, { team: 'edge' }, true],
    [['codeSigning'], { allow }, { team: 'core' }, false],
    [['codeSigning'], { allow }, null, false],
    [['ipsecIKE'], { allow }, null, true],
    [['ipsecIKE', 'codeSigning'], { allow }, { team: 'edge' }, true],
    [['ipsecIKE', 'codeSigning'], { allow }, {}, false],
    [['emailProtection'], { allow }, { team: 'edge' }, false],
    [['contentCommitment', 'keyAgreement'], {}, {}, true],
    [['codeSigning'], { allow: [{ namespaceSelector: {}, usages: [] }] }, {}, false],
    [['codeSigning'], { allow: [{ namespaceSelector: {} }] }, {}, false],
    [['codeSigning'], { allow: [{ usages: ['codeSigning'] } as unknown as Grant] }, {}, false],
  ];
  for (const [usages, issuance, labels, granted] of rows) {
    test(`${usages.join(' and ')}: ${granted ? '' : 'not '}for ${JSON.stringify(labels)} by ${JSON.stringify(issuance)}`, () => {
      assert.equal(isGranted(asking(usages), issuance, labels), granted);
    });
  }

  test('of the key needs no grant, for an RSA key too', () =>
    assert.ok(isGranted(asking(['contentCommitment', 'dataEncipherment'], 'RSA'), {})));

  test('is denied with a message that names it and the rule', () => {
    assert.deepEqual(ask(asking(['keyAgreement', 'emailProtection', 'ipsecIKE']), { allow }), {
      reason: 'Denied',
      message:
        'usage emailProtection: namespace shop may have only the usages of its roles and usages that issuance.allow of MtlsAuthority default grants',
    });
  });

  test('that is granted does not grant a name, and a granted name does not grant a usage', () => {
    const dnsNames = ['www.example.com'];
    const both = { server: { dnsNames, usages: ['codeSigning'] as const } };
    assert.ok(!isGranted(both, { allow: [{ namespaceSelector: {}, usages: ['codeSigning'] }] }));
    assert.ok(!isGranted(both, { allow: [{ namespaceSelector: {}, dnsNames }] }));
    assert.ok(isGranted(both, { allow: [{ namespaceSelector: {}, dnsNames, usages: ['codeSigning'] }] }));
  });
});

describe('an empty field never allows more:', () => {
  const names: Partial<MtlsCertificateSpec>[] = [
    asking.dnsNames('www.example.com'),
    asking.ipRanges('10.0.0.1'),
    asking.uris('urn:a'),
    asking.emailAddresses('a@example.com'),
    asking.commonNames('postgres'),
    asking.otherNames('1.2.3 a'),
  ];
  const grant = (fields: Partial<Grant>): Issuance => ({ allow: [{ namespaceSelector: {}, ...fields }] });
  const own: Issuance[] = [
    {},
    { namespaceSelector: {} },
    { allow: [] },
    grant({}),
    grant({ dnsNames: [], ipRanges: [], uris: [], emailAddresses: [], commonNames: [], otherNames: [] }),
    grant({ dnsNames: [''], ipRanges: [''], uris: [''], emailAddresses: [''], commonNames: [''] }),
    grant({
      otherNames: [
        { oid: '1.2.3', utf8Values: [] },
        { oid: '1.2.3', utf8Values: [''] },
        { oid: '', utf8Values: ['a'] },
      ],
    }),
  ];
  for (const issuance of own) {
    test(`${JSON.stringify(issuance)} leaves a namespace only its own names`, () => {
      assert.ok(isGranted({ server: { service: 'db' } }, issuance));
      for (const spec of names) assert.ok(!isGranted(spec, issuance), JSON.stringify(spec));
    });
  }

  test('an entry without a selector, from before the schema required one, grants nothing', () => {
    const allow = [{ dnsNames: ['www.example.com'], uris: ['urn:a'], commonNames: ['postgres'] }] as unknown as Grant[];
    for (const spec of names) assert.ok(!isGranted(spec, { allow }));
  });

  test('an expression without an operator, or without the values it needs, selects no namespace', () => {
    const broken = [
      { key: 'a' },
      { key: 'a', operator: 'In' },
      { key: 'a', operator: 'NotIn' },
      { key: 'a', operator: 'NotIn', values: [] },
    ];
    for (const expression of broken) {
      const namespaceSelector = { matchExpressions: [expression] } as LabelSelector;
      assert.ok(!isGranted({ server: { service: 'db' } }, { namespaceSelector }), JSON.stringify(expression));
    }
  });

  test('an empty maxDuration allows no certificate', () => {
    const refusal = ask({ server: { service: 'db' } }, { maxDuration: '' });
    assert.deepEqual(refusal, {
      reason: 'Denied',
      message: 'issuance.maxDuration of MtlsAuthority default is not a valid duration',
    });
  });
});

describe('the longest duration', () => {
  const rows: [duration: string, maxDuration: string | undefined, granted: boolean][] = [
    ['24h', '24h', true],
    ['24h', '1440m', true],
    ['24h1ms', '24h', false],
    ['2160h', '24h', false],
    ['876000h', undefined, true],
    ['24h', 'forever', false],
    ['24h', '-1h', false],
    ['24h', '0s', false],
  ];
  for (const [duration, maxDuration, granted] of rows) {
    test(`${maxDuration ?? 'absent'} ${granted ? 'allows' : 'does not allow'} ${duration}`, () => {
      const issuance = maxDuration === undefined ? {} : { maxDuration };
      assert.equal(isGranted({ duration, server: { service: 'db' } }, issuance), granted);
    });
  }

  test('is named in the message', () => {
    assert.deepEqual(ask({ server: { service: 'db' } }, { maxDuration: '24h' }), {
      reason: 'Denied',
      message: 'spec.duration: MtlsAuthority default allows at most 24h (issuance.maxDuration)',
    });
  });
});

describe('an authority for some namespaces', () => {
  const issuance: Issuance = {
    namespaceSelector: {
      matchLabels: { team: 'edge' },
      matchExpressions: [{ key: 'stage', operator: 'In', values: ['prod', 'test'] }],
    },
    allow: [{ namespaceSelector: {}, dnsNames: ['www.example.com'] }],
  };

  test('serves the selected namespaces', () =>
    assert.ok(isGranted({ server: { service: 'db' } }, issuance, { team: 'edge', stage: 'prod' })));

  test('waits for the labels of a namespace that has not been read', () => {
    assert.deepEqual(ask({ server: { service: 'db' } }, issuance, null), {
      reason: 'Pending',
      message: 'the operator has not read namespace shop yet; its labels decide which names it may have',
    });
  });

  for (const labels of [{}, { team: 'edge' }, { team: 'core', stage: 'prod' }]) {
    test(`denies every name to other namespaces, and names the required labels: ${JSON.stringify(labels)}`, () => {
      assert.deepEqual(ask({ server: { service: 'db', dnsNames: ['www.example.com'] } }, issuance, labels), {
        reason: 'Denied',
        message:
          'namespace shop may not use MtlsAuthority default: issuance.namespaceSelector requires the labels team=edge,stage in (prod,test)',
      });
    });
  }
});

test('messages always fit into a condition, for every request and grant', () => {
  const long = (text: string) => text.repeat(2000);
  const values = Array.from({ length: 64 }, (_, i) => `${i}${'a'.repeat(60)}`);
  const selector = {
    matchExpressions: Array.from({ length: 32 }, (_, i) => ({
      key: `${i}.${'a'.repeat(300)}`,
      operator: 'In' as const,
      values,
    })),
  };
  for (const [spec, issuance] of [
    [{ client: { uris: Array.from({ length: 20 }, (_, i) => `https://example.org/${i}/${long('a')}`) } }, {}],
    [{ client: { uris: Array.from({ length: 20 }, (_, i) => `spiffe://example.org/${i}//${long('a')}`) } }, {}],
    [{ server: { service: 'db' } }, { namespaceSelector: selector }],
  ] as const) {
    const refusal = ask(spec, issuance);
    assert.ok('message' in refusal);
    // A third of the limit, because a resource has three roles.
    assert.ok(refusal.message.length < 10_000, `${refusal.message.length} characters`);
  }
});
