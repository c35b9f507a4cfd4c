/**
 * Damaged certificates, keys and CRLs: every function may throw only PkiError, and no message may contain key material. The
 * samples are valid input with changed structure or octets, in part signed again, so that they pass the signature check and
 * reach the code behind it.
 *
 * A normal run uses a fixed seed and few cases. For a long run, optionally with another seed:
 *
 *     FUZZ_CASES=1000000 FUZZ_SEED=7 npm test -- unit pki/malformed-fuzz
 */

import assert from 'node:assert/strict';
import { createPublicKey, type KeyObject, randomBytes, sign } from 'node:crypto';
import { test } from 'node:test';
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
import * as fc from '../../support/properties.ts';
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
  /** The key that signed the sample. */
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

/** The key material to search for: the DER of every private key in hex, and in base64 at each of the three alignments. */
const haystack = keySamples.flatMap(({ der }) => [
  der.toString('hex'),
  ...[0, 1, 2].map((start) => der.subarray(start).toString('base64')),
]);

/** Asserts that a message contains no 15 consecutive octets of any key in base64, and no 10 in hex. */
function assertNoKeyMaterial(message: string): void {
  for (const [word] of message.matchAll(/[A-Za-z0-9+/]{20,}/g)) {
    for (let at = 0; at + 20 <= word.length; at += 1) {
      const part = word.slice(at, at + 20);
      // 20 characters: 15 octets in base64, 10 in hex.
      assert.ok(!haystack.some((text) => text.includes(part)), 'a message contains part of a private key');
    }
  }
}

function messagesOf(error: unknown): string {
  return error instanceof Error ? `${error.message}\n${messagesOf(error.cause)}` : '';
}

/** The result of a call; undefined when it throws a PkiError. */
function tried<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    assertNoKeyMaterial(messagesOf(error));
    return undefined;
  }
}

/** Signs a damaged sample again, so that its signature is valid. */
function signedAgain(der: Buffer, key: KeyObject): Buffer {
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

/** Calls every function that reads a text from a Secret. */
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

/** Calls every function that reads octets. */
function readOctets(der: Buffer): void {
  tried(() => asn1.readElement(der));
  tried(() => asn1.readAll(der));
  tried(() => asn1.readOnly(der, asn1.tags.sequence));
  tried(() => asn1.readOid(asn1.readElement(der).element));
  constraintsAreReadable(der);
  tried(() => namesOutsideConstraints(der, names, { commonName: 'db' }));
  certificateNamesOutsideConstraints(der, below.certificate);
}

test(`${numRuns} damaged certificates, keys and CRLs (seed ${seed}) cause no error but PkiError`, (t) => {
  const labels = ['CERTIFICATE', 'X509 CRL', 'PRIVATE KEY', 'RSA PRIVATE KEY', 'EC PRIVATE KEY', 'X'];
  const rarely = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> =>
    fc.oneof({ arbitrary: fc.constant(null), weight: 9 }, { arbitrary: value, weight: 1 });
  const cases = fc.record({
    spoilt: spoilt(samples.map(({ der }) => der)),
    label: rarely(fc.constantFrom(...labels)),
    again: fc.boolean(),
    more: rarely(fc.constantFrom(...samples)),
  });
  fc.assert(
    fc.property(cases, ({ spoilt: { sample: from, der }, label, again, more }) => {
      const sample = samples.find((one) => one.der === from);
      const isSignedAgain = again && sample?.key !== undefined && tried(() => asn1.readAll(der)) !== undefined;
      const octets = isSignedAgain && sample.key !== undefined ? safelySignedAgain(der, sample.key) : der;
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
  // The test proves nothing if every sample is refused at once, so enough of them must still be readable.
  assert.ok(counts.certificates > numRuns / 20, 'too few samples are still certificates');
  assert.ok(counts.selfSigned > numRuns / 50 && counts.roots > numRuns / 50, 'too few samples are still roots');
  assert.ok(counts.keys > numRuns / 50 && counts.leaves > numRuns / 100, 'too few samples are still keys');
  assert.ok(counts.crls > numRuns / 50 && counts.verified > numRuns / 100, 'too few samples are still CRLs');
});

/** Returns a sample unchanged if it cannot be parsed any more. */
function safelySignedAgain(der: Buffer, key: KeyObject): Buffer {
  try {
    return signedAgain(der, key);
  } catch {
    return der;
  }
}

test(`${Math.ceil(numRuns / 3)} random texts and octets (seed ${seed}) cause no error but PkiError`, () => {
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
