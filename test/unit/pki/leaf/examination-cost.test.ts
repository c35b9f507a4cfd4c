/**
 * Secrets that an attacker writes to keep the operator busy. The tests count operations and do not measure time. For each
 * Secret, the operator verifies at most one signature, or three if tls.crt contains an intermediate of the operator. It
 * verifies only with keys of its own CAs. OpenSSL parses at most one certificate and one private key.
 */
import assert from 'node:assert/strict';
import crypto, { type KeyObject, X509Certificate } from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { describe, test } from 'node:test';

/** The OpenSSL operations of a call. */
interface Operations {
  /** The public keys that verified signatures. */
  verifiedWith: KeyObject[];
  parsed: number;
  keys: number;
  multiplied: number;
}
let counted: Operations = { verifiedWith: [], parsed: 0, keys: 0, multiplied: 0 };
const { verify, createPrivateKey, createECDH } = crypto;
class CountedCertificate extends X509Certificate {
  constructor(der: Buffer) {
    super(der);
    counted.parsed += 1;
  }

  override verify(key: KeyObject): boolean {
    counted.verifiedWith.push(key);
    return super.verify(key);
  }
}
Object.assign(crypto, {
  verify(...[algorithm, data, key, ...rest]: Parameters<typeof verify>) {
    counted.verifiedWith.push(key as KeyObject);
    return verify(algorithm, data, key, ...rest);
  },
  createPrivateKey(...input: Parameters<typeof createPrivateKey>) {
    counted.keys += 1;
    return createPrivateKey(...input);
  },
  createECDH(...input: Parameters<typeof createECDH>) {
    counted.multiplied += 1;
    return createECDH(...input);
  },
  X509Certificate: CountedCertificate,
});
syncBuiltinESMExports();

const { encodePrivateKey, PkiError, proveKeyAhead, readLeaf, readLeafChain, recoverLeaf, verifyLeafAhead } =
  await import('../../../../src/pki/index.ts');
const { bitString, encode, encoded, integer, oid, sequence } = await import('../../../../src/pki/asn1/der.ts');
const { encodePem } = await import('../../../../src/pki/asn1/pem.ts');
const { certificate } = await import('../../../support/fixtures/certificate.ts');
const { intermediate, privateKey, root } = await import('../../../support/fixtures/roots.ts');
const { ecKey, inDays, makeCa: makeAnyCa } = await import('../../../support/roots/make.ts');

const ours = root();
const below = intermediate(ours);
const roots = [root({ name: 'Another' }).certificate, ours.certificate];
const issued = certificate().issuedBy(ours);
const textOf = (key: string, from = issued) =>
  Buffer.from(from.secret('server').data?.[key] ?? '', 'base64').toString('latin1');
const [leaf, key] = [textOf('tls.crt'), textOf('tls.key')];
const ourSubject = {
  subject: ours.certificate.subject,
  keyId: Buffer.from(ours.certificate.subjectKeyId ?? '', 'hex'),
};

type Made = ReturnType<typeof makeAnyCa>;
const [notBefore, notAfter] = [inDays(-1), inDays(30)];
/** Every certificate has the same validity. */
const makeCa = (options: Parameters<typeof makeAnyCa>[0] = {}): Made => makeAnyCa({ notBefore, notAfter, ...options });
const p521 = () => ecKey('P-521');
const pems = (made: readonly Made[]): string => made.map(({ pem }) => pem).join('');

/** CAs, each signed by the next; the last one is signed by `by`. */
function chain(length: number, by?: Parameters<typeof makeCa>[0], keyOf = p521): Made[] {
  const cas: Made[] = [makeCa({ key: keyOf(), ...by })];
  while (cas.length < length) {
    const [above] = cas;
    cas.unshift(makeCa({ key: keyOf(), ...(above && { by: above }) }));
  }
  return cas;
}

/** CAs whose last certificate names the operator's root as its issuer, but is signed with another key. */
const claimsOurs = () => ({ by: { ...ourSubject, key: p521() } });
const leafKey = ecKey();
const leafPem = leafKey.export({ type: 'pkcs8', format: 'pem' });
const asLeaf = (by: Made, spki = crypto.createPublicKey(leafKey)) =>
  makeCa({ key: leafKey, by, spki: spki.export({ type: 'spki', format: 'der' }), extensions: [] });

/** A certificate with this SubjectPublicKeyInfo. */
const withKey = (spki: Buffer) => makeCa({ spki, ...claimsOurs() }).pem;
const rsaInfo = (modulusOctets: number, exponent: Buffer): Buffer =>
  encode(
    sequence(
      sequence(oid('1.2.840.113549.1.1.1')),
      bitString(encode(sequence(integer(Buffer.alloc(modulusOctets, 0xff)), integer(exponent)))),
    ),
  );
const explicitCurve = crypto.generateKeyPairSync('ec', { namedCurve: 'P-521', paramEncoding: 'explicit' });
const hugeRsa = encode(
  sequence(
    integer(Buffer.of(0)),
    ...Array.from({ length: 8 }, () => integer(Buffer.concat([Buffer.of(0x7f), crypto.randomBytes(1100)]))),
  ),
);

const forged = chain(14, claimsOurs());
const selfMade = chain(15);
const mutual = ((): string => {
  const [a, b] = [makeCa({ name: 'A', key: p521() }), makeCa({ name: 'B', key: p521() })];
  const cas = Array.from({ length: 14 }, (_, i) => {
    const [own, other] = i % 2 === 0 ? [a, b] : [b, a];
    return makeCa({ key: p521(), subject: encoded(own.subject), by: other, keyId: own.keyId });
  });
  const [first] = cas;
  return pems(first === undefined ? cas : [asLeaf(first), ...cas]);
})();

const contents: [title: string, crt: string, key: string, mostVerified?: number][] = [
  ['99 CAs on P-521 in a row', pems(chain(99)), leafPem],
  ['16 of them', pems(chain(16)), leafPem],
  ['a leaf below 15 such CAs', pems([asLeaf(selfMade[0] as Made), ...selfMade]), leafPem],
  ['a chain whose last certificate names the operator’s root', pems([asLeaf(forged[0] as Made), ...forged]), leafPem],
  [
    'CAs that all name the operator’s root',
    pems(Array.from({ length: 15 }, () => makeCa({ key: p521(), ...claimsOurs() }))),
    leafPem,
  ],
  ['CAs that name each other as issuer', mutual, leafPem],
  ['a certificate of the operator, and CAs above it', leaf + pems(selfMade), key],
  ['a certificate of the operator, and CAs that name its root', leaf + pems(forged), key],
  ['a certificate of the operator, and another key', leaf, leafPem],
  ['the root itself above a leaf', leaf + encodePem('CERTIFICATE', ours.certificate.der), key],
  [
    'an intermediate of the operator above a leaf that it has not signed',
    asLeaf({
      ...makeCa(),
      key: p521(),
      subject: below.certificate.subject,
      keyId: Buffer.from(below.certificate.subjectKeyId ?? '', 'hex'),
    }).pem + encodePem('CERTIFICATE', below.certificate.der),
    leafPem,
    3,
  ],
  ['an RSA modulus of 65,536 bits', withKey(rsaInfo(8192, Buffer.of(1, 0, 1))), leafPem],
  ['an RSA exponent of 8192 bits', withKey(rsaInfo(256, Buffer.alloc(1024, 0xff))), leafPem],
  ['explicit curve parameters', withKey(explicitCurve.publicKey.export({ type: 'spki', format: 'der' })), leafPem],
  ['a megabyte of certificates', leaf.repeat(1 + (1024 * 1024) / leaf.length), key],
  ['an RSA key with huge numbers', leaf, encodePem('RSA PRIVATE KEY', hugeRsa)],
  ['a key of a megabyte', leaf, key.repeat(5000)],
  ['a key with explicit curve parameters', leaf, explicitCurve.privateKey.export({ type: 'pkcs8', format: 'pem' })],
  [
    'a key with explicit curve parameters in SEC1',
    leaf,
    explicitCurve.privateKey.export({ type: 'sec1', format: 'pem' }),
  ],
  [
    'a key of an unsupported kind',
    leaf,
    crypto.generateKeyPairSync('ed448').privateKey.export({ type: 'pkcs8', format: 'pem' }),
  ],
];

/** Counts the OpenSSL operations of a call. */
async function operationsOf(work: () => void | Promise<void>): Promise<Operations & { ms: number }> {
  counted = { verifiedWith: [], parsed: 0, keys: 0, multiplied: 0 };
  const began = performance.now();
  try {
    await work();
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
  }
  return { ...counted, ms: performance.now() - began };
}

/** Reads a Secret as the caches do. */
function examine(crt: string, key: string): void {
  try {
    readLeaf(crt, key, roots);
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    recoverLeaf(crt, key, roots);
  }
}

async function examineAhead(crt: string, key: string): Promise<void> {
  const chain = readLeafChain(crt);
  await Promise.all([verifyLeafAhead(chain, roots), proveKeyAhead(chain, key)]);
  readLeaf(chain, key, roots);
}

describe('the examination of a Secret', () => {
  for (const [title, crt, key, mostVerified = 1] of contents) {
    test(`with ${title} verifies at most ${mostVerified === 1 ? 'one signature' : `${mostVerified} signatures`}`, async (t) => {
      for (const work of [() => examine(crt, key), () => examineAhead(crt, key)]) {
        const { verifiedWith, parsed, keys, multiplied, ms } = await operationsOf(work);
        t.diagnostic(`${ms.toFixed(1)} ms, ${verifiedWith.length} verified, ${parsed} parsed, ${keys} keys`);
        const known = [...roots, below.certificate].map(({ publicKey }) => publicKey);
        assert.ok(
          verifiedWith.every((one) => known.some((other) => other.equals(one))),
          'a signature was verified with a foreign key',
        );
        assert.ok(verifiedWith.length <= mostVerified, `${verifiedWith.length} verified`);
        assert.ok(parsed <= 1 && keys <= 1 && multiplied <= 2, `${parsed} parsed, ${keys} keys, ${multiplied} points`);
      }
    });
  }

  test('with a certificate of the operator verifies one or two signatures', async () => {
    const chained = certificate().issuedBy(below);
    const operations = await operationsOf(() => {
      assert.ok(readLeaf(textOf('tls.crt', chained), textOf('tls.key', chained), roots).root !== undefined);
    });
    assert.ok(operations.verifiedWith.length >= 1 && operations.verifiedWith.length <= 2);
  });

  test('accepts every kind of key that the operator issues, in each encoding', () => {
    const specs = [
      ...([256, 384, 521] as const).map((size) => ({ algorithm: 'ECDSA', size }) as const),
      ...([2048, 4096] as const).map((size) => ({ algorithm: 'RSA', size }) as const),
      { algorithm: 'Ed25519' } as const,
    ];
    for (const spec of specs) {
      const key = privateKey(spec);
      const made = makeCa({ key, by: { ...ourSubject, key: ours.key }, extensions: [] });
      for (const encoding of ['PKCS8', spec.algorithm === 'RSA' ? 'PKCS1' : 'SEC1'] as const) {
        if (encoding === 'SEC1' && spec.algorithm === 'Ed25519') continue;
        const record = readLeaf(made.pem, encodePrivateKey(key, encoding), roots);
        assert.equal(record.publicKey, recoverLeaf('', encodePrivateKey(key, encoding), roots).publicKey);
      }
    }
  });
});
