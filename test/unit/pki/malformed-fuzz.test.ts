/**
 * Nonsense of every kind in the place of certificates, keys and CRLs: the one thing that is thrown for it is PkiError,
 * and no message holds key material. Good material is spoilt, its structure and its octets, and signed anew where that
 * leads deeper.
 *
 * Seeded, a part of it on every run. The long run, with a seed of its own if one is given:
 *
 *     FUZZ_CASES=1000000 FUZZ_SEED=7 npm test -- unit pki/malformed-fuzz
 */

import assert from 'node:assert/strict';
import { createPublicKey, type KeyObject, randomBytes, sign } from 'node:crypto';
import { test } from 'node:test';
import * as fc from 'fast-check';
import * as asn1 from '../../../src/pki/asn1/der.ts';
import { encodePem, parsePem } from '../../../src/pki/asn1/pem.ts';
import {
  encodeCertificates,
  encodePrivateKey,
  type Issuer,
  inspectIssuer,
  isCrlOf,
  type KeyEncoding,
  PkiError,
  parseCertificates,
  parseCrls,
  parsePrivateKey,
  parseTrustAnchors,
  readLeaf,
  subjectText,
  trustBundle,
} from '../../../src/pki/index.ts';
import { signatureAlgorithm } from '../../../src/pki/keys/key.ts';
import { isSelfSigned, issuerText } from '../../../src/pki/x509/certificate.ts';
import {
  certificateNamesOutsideConstraints,
  constraintsAreReadable,
  namesOutsideConstraints,
} from '../../../src/pki/x509/name-constraints.ts';
import { derNodes, encodeNode, spoilt, wrapped } from '../../support/der-mutation.ts';
import { altNames } from '../../support/fixtures/names.ts';
import { intermediate, privateKey, root } from '../../support/fixtures/roots.ts';
import { days, later, now } from '../../support/fixtures/times.ts';
import { permitting } from '../../support/roots/extensions.ts';
import { fuzzRuns } from '../../support/runs.ts';
import { issueCrl, issueLeafNow, type TestIssuer } from '../../support/sign.ts';

const { numRuns, seed } = fuzzRuns(1500);

const rsa = root({ key: { algorithm: 'RSA', size: 2048 } });
const ed25519 = root({ key: { algorithm: 'Ed25519' } });
const above = root();
const below = intermediate(above, { more: [permitting(asn1.implicit(2, Buffer.from('shop.svc')))] });
const signers: readonly TestIssuer[] = [above, rsa, ed25519, below];
const names = altNames({ dnsNames: ['db.shop.svc'] });
const leafKey = privateKey();
const leafOf = (signer: Issuer) =>
  issueLeafNow(
    { role: 'server', subject: { commonName: 'db' }, names, durationMs: days(30) },
    createPublicKey(leafKey),
    signer,
    {
      now,
      serialSeed: randomBytes(20),
    },
  );

interface Sample {
  readonly label: string;
  readonly der: Buffer;
  /** What it is signed with. */
  readonly key?: KeyObject;
}

const encodings: readonly [KeyObject, KeyEncoding][] = [
  [above.key, 'PKCS8'],
  [above.key, 'SEC1'],
  [rsa.key, 'PKCS8'],
  [rsa.key, 'PKCS1'],
  [ed25519.key, 'PKCS8'],
  [leafKey, 'PKCS8'],
  [below.key, 'SEC1'],
];
const keySamples: readonly Sample[] = encodings.flatMap(([key, encoding]) => parsePem(encodePrivateKey(key, encoding)));
const revoked = [
  { serialNumber: '0102', revokedAt: now },
  { serialNumber: '7f', revokedAt: now },
];
const samples: readonly Sample[] = [
  ...signers.flatMap(({ certificate: { der }, anchor, key }) => [
    { label: 'CERTIFICATE', der, key: anchor.der === der ? key : above.key },
  ]),
  { label: 'CERTIFICATE', der: leafOf(below).der, key: below.key },
  ...signers.map((signer) => ({
    label: 'X509 CRL',
    der: issueCrl(signer, { number: 5n, thisUpdate: now, nextUpdate: later(days(7)), revoked }).der,
    key: signer.key,
  })),
  ...keySamples,
];

/** Where key material would be found: the DER of every private key in hex, and in base64 from each of three octets on. */
const haystack = keySamples.flatMap(({ der }) => [
  der.toString('hex'),
  ...[0, 1, 2].map((start) => der.subarray(start).toString('base64')),
]);

/** Asserts that a message holds no 15 octets in a row of any key. */
function assertNoKeyMaterial(message: string): void {
  for (const [word] of message.matchAll(/[A-Za-z0-9+/]{20,}/g)) {
    for (let at = 0; at + 20 <= word.length; at += 1) {
      const part = word.slice(at, at + 20);
      // 20 hex digits are 10 octets.
      assert.ok(!haystack.some((text) => text.includes(part)), 'a message holds a part of a private key');
    }
  }
}

function messagesOf(error: unknown): string {
  return error instanceof Error ? `${error.message}\n${messagesOf(error.cause)}` : '';
}

/** Calls, and gives what it gives; undefined for the one error that there may be. */
function tried<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    assertNoKeyMaterial(messagesOf(error));
    return undefined;
  }
}

/** A signature of the issuer's over what was spoilt, so that it is not that which is found wrong. */
function signedAnew(der: Buffer, key: KeyObject): Buffer {
  const [whole] = derNodes(der);
  if (whole === undefined || Buffer.isBuffer(whole.content) || whole.content.length !== 3) return der;
  const [tbs, algorithm] = whole.content as ReturnType<typeof derNodes>;
  if (tbs === undefined || algorithm === undefined) return der;
  const fields = encodeNode(tbs);
  const signature = Buffer.concat([Buffer.of(0), sign(signatureAlgorithm(key).digest, fields, key)]);
  return wrapped(0x30, Buffer.concat([fields, encodeNode(algorithm), wrapped(0x03, signature)]));
}

const counts = { runs: 0, certificates: 0, selfSigned: 0, roots: 0, leaves: 0, keys: 0, crls: 0, verified: 0 };

const pemOf = new Map(signers.map(({ key }) => [key, encodePrivateKey(key, 'PKCS8')]));
const [abovePem, belowPem] = [encodeCertificates([above.certificate]), encodeCertificates([below.certificate])];
const leafPem = encodeCertificates([leafOf(below), below.certificate]);
const leafKeyPem = encodePrivateKey(leafKey, 'PKCS8');
const anchors = [above.certificate, rsa.certificate, ed25519.certificate];

/** Everything that reads a text from a Secret. */
function readText(text: string, key: KeyObject | undefined): void {
  tried(() => parsePem(text));
  const certificates = tried(() => parseCertificates(text)) ?? [];
  counts.certificates += certificates.length;
  for (const certificate of certificates) {
    subjectText(certificate);
    issuerText(certificate);
    if (isSelfSigned(certificate)) counts.selfSigned += 1;
    certificateNamesOutsideConstraints(below.certificate.nameConstraints ?? Buffer.alloc(0), certificate);
    trustBundle(certificate, anchors);
  }
  const trusted = tried(() => parseTrustAnchors(text)) ?? [];
  if (tried(() => parsePrivateKey(text)) !== undefined) counts.keys += 1;
  for (const crl of tried(() => parseCrls(text)) ?? []) {
    counts.crls += 1;
    if (signers.some(({ certificate }) => isCrlOf(crl, certificate))) counts.verified += 1;
  }
  for (const [crt, pem] of [
    [text, leafKeyPem],
    [leafPem, text],
    [text, text],
  ] as const) {
    if (tried(() => readLeaf(crt, pem, [...anchors, ...trusted])) !== undefined) counts.leaves += 1;
  }
  const own = pemOf.get(key ?? above.key) ?? '';
  for (const [crt, pem, trust] of [
    [text, own, anchors],
    [abovePem, text, []],
    [belowPem, pemOf.get(below.key) ?? '', trusted],
  ] as const) {
    const inspection = inspectIssuer(crt, pem, now, trust);
    if ('reason' in inspection) assertNoKeyMaterial(inspection.message);
    else {
      counts.roots += 1;
      tried(() => leafOf(inspection.issuer));
      tried(() => issueCrl(inspection.issuer, { number: 1n, thisUpdate: now, nextUpdate: later(1000), revoked }));
    }
  }
}

/** Everything that reads octets. */
function readOctets(der: Buffer): void {
  tried(() => asn1.readElement(der));
  tried(() => asn1.readAll(der));
  tried(() => asn1.readOnly(der, asn1.tags.sequence));
  tried(() => asn1.readOid(asn1.readElement(der).element));
  constraintsAreReadable(der);
  tried(() => namesOutsideConstraints(der, names, { commonName: 'db' }));
  certificateNamesOutsideConstraints(der, below.certificate);
}

test(`${numRuns} of certificates, keys and CRLs that were spoilt, with seed ${seed}, cause PkiError at most`, (t) => {
  const labels = ['CERTIFICATE', 'X509 CRL', 'PRIVATE KEY', 'RSA PRIVATE KEY', 'EC PRIVATE KEY', 'X'];
  const rarely = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> =>
    fc.oneof({ arbitrary: fc.constant(null), weight: 9 }, { arbitrary: value, weight: 1 });
  const cases = fc.record({
    spoilt: spoilt(samples.map(({ der }) => der)),
    label: rarely(fc.constantFrom(...labels)),
    anew: fc.boolean(),
    more: rarely(fc.constantFrom(...samples)),
  });
  fc.assert(
    fc.property(cases, ({ spoilt: { sample: from, der }, label, anew, more }) => {
      const sample = samples.find((one) => one.der === from);
      const isSignedAnew = anew && sample?.key !== undefined && tried(() => asn1.readAll(der)) !== undefined;
      const octets = isSignedAnew && sample.key !== undefined ? safelySignedAnew(der, sample.key) : der;
      if (octets.length > 0) {
        const pem = encodePem(label ?? sample?.label ?? 'X', octets);
        readText(more === null ? pem : `${pem}${encodePem(more.label, more.der)}`, sample?.key);
      }
      readOctets(octets);
      counts.runs += 1;
    }),
    { numRuns, seed },
  );
  t.diagnostic(JSON.stringify(counts));
  // Spoilt things that nobody would take for good show nothing: enough of them have to get far.
  assert.ok(counts.certificates > numRuns / 20, 'hardly any is still a certificate');
  assert.ok(counts.selfSigned > numRuns / 50 && counts.roots > numRuns / 50, 'hardly any is still a root');
  assert.ok(counts.keys > numRuns / 50 && counts.leaves > numRuns / 100, 'hardly any is still a key');
  assert.ok(counts.crls > numRuns / 50 && counts.verified > numRuns / 100, 'hardly any is still a CRL');
});

/** What cannot be taken apart any more is left as it is. */
function safelySignedAnew(der: Buffer, key: KeyObject): Buffer {
  try {
    return signedAnew(der, key);
  } catch {
    return der;
  }
}

test(`${Math.ceil(numRuns / 3)} texts and octets without any sense, with seed ${seed}, cause PkiError at most`, () => {
  const good = samples.map(({ label, der }) => encodePem(label, der));
  const lines = fc.constantFrom(
    ...good.flatMap((pem) => pem.split('\n')),
    'Proc-Type: 4,ENCRYPTED',
    '',
    ' ',
    '\0',
    '=',
  );
  const texts = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    fc.array(lines, { maxLength: 12 }).map((all) => all.join('\n')),
    fc.shuffledSubarray(good).map((all) => all.join('')),
    fc
      .tuple(fc.constantFrom(...good), fc.constantFrom(...good), fc.nat(), fc.nat())
      .map(([one, two, a, b]) => one.slice(0, a % one.length) + two.slice(b % two.length)),
  );
  fc.assert(
    fc.property(texts, fc.uint8Array({ maxLength: 96 }), (text, octets) => {
      readText(text, undefined);
      readOctets(Buffer.from(octets));
    }),
    { numRuns: Math.ceil(numRuns / 3), seed },
  );
});

test('the search for key material finds it', () => {
  const body = encodePem('X', keySamples[0]?.der ?? Buffer.alloc(0)).split('\n')[2] ?? '';
  assert.throws(() => assertNoKeyMaterial(`cannot read ${body.slice(7, 40)}`));
  assert.throws(() => assertNoKeyMaterial(keySamples[2]?.der.subarray(300, 316).toString('hex') ?? ''));
  assertNoKeyMaterial(
    `cannot read ${above.certificate.fingerprint} ${asn1.encode(asn1.implicit(0, randomBytes(60))).toString('base64')}`,
  );
});
