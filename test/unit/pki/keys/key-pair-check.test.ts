import assert from 'node:assert/strict';
import { createPublicKey, type KeyObject, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { type Element, readOnly, tags } from '../../../../src/pki/asn1/der.ts';
import { encodePem } from '../../../../src/pki/asn1/pem.ts';
import {
  type Certificate,
  encodeCertificates,
  encodePrivateKey,
  generatePrivateKey,
  type KeyEncoding,
  type KeySpec,
  parseValidKey,
  proveKeyAhead,
  readLeaf,
  readLeafChain,
} from '../../../../src/pki/index.ts';
import { parseKeyBlock } from '../../../../src/pki/keys/key.ts';
import { altNames } from '../../../support/fixtures/names.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { hours, now } from '../../../support/fixtures/times.ts';
import { openssl } from '../../../support/openssl.ts';
import { issueLeafNow } from '../../../support/sign.ts';
import { onlyPkiErrors, throwsCode } from '../expect.ts';

const signer = root();
const names = altNames({ dnsNames: ['a.b.svc'] });
const profile = { role: 'server', subject: { commonName: 'a' }, names, durationMs: hours(24) } as const;
const leafOf = (key: KeyObject): Certificate =>
  issueLeafNow(profile, createPublicKey(key), signer, { now, serialSeed: randomBytes(20) });

const labels = { PKCS8: 'PRIVATE KEY', PKCS1: 'RSA PRIVATE KEY', SEC1: 'EC PRIVATE KEY' } as const;
const kinds: [spec: KeySpec, encodings: KeyEncoding[]][] = [
  ...([256, 384, 521] as const).map((size): [KeySpec, KeyEncoding[]] => [
    { algorithm: 'ECDSA', size },
    ['PKCS8', 'SEC1'],
  ]),
  ...([2048, 3072, 4096] as const).map((size): [KeySpec, KeyEncoding[]] => [
    { algorithm: 'RSA', size },
    ['PKCS8', 'PKCS1'],
  ]),
  [{ algorithm: 'Ed25519' }, ['PKCS8']],
];

/** The structure of the key itself, without the PKCS#8 around it. */
const innermost = (der: Buffer, encoding: KeyEncoding): Buffer =>
  encoding === 'PKCS8' ? (readOnly(der, tags.sequence).children()[2]?.content ?? der) : der;

/** The private octets, as views of `der`: writing to them changes `der`. */
function privateParts(der: Buffer, encoding: KeyEncoding, { algorithm }: KeySpec): Buffer[] {
  const inner = innermost(der, encoding);
  // The seed is an OCTET STRING inside the OCTET STRING.
  if (algorithm === 'Ed25519') return [inner.subarray(2)];
  const fields: Element[] = readOnly(inner, tags.sequence).children();
  // SEC1: the number follows the version. PKCS#1: d, p, q and the derived numbers follow the modulus and the exponent.
  return (algorithm === 'ECDSA' ? fields.slice(1, 2) : fields.slice(3)).map(({ content }) => content);
}

/** Offsets of the first, the last and some octets between them. */
const offsetsIn = ({ length }: Buffer): number[] => [0, 1, Math.floor(length / 3), length - 2, length - 1];

describe('a private key with one changed bit does not match its certificate', () => {
  for (const [spec, encodings] of kinds) {
    for (const encoding of encodings) {
      test(`${Object.values(spec).join('-')} in ${encoding}`, async () => {
        const key = await generatePrivateKey(spec);
        const pem = encodePrivateKey(key, encoding);
        const crt = encodeCertificates([leafOf(key)]);
        const read = async (keyPem: string, isAhead: boolean) => {
          const chain = readLeafChain(crt);
          if (isAhead) await proveKeyAhead(chain, keyPem).catch(() => {});
          return readLeaf(chain, keyPem, [signer.certificate]);
        };
        for (const isAhead of [false, true]) assert.equal((await read(pem, isAhead)).keyEncoding, encoding);
        assert.ok(parseValidKey(pem).equals(key));
        assert.equal(openssl(['pkey', '-check', '-noout'], pem).trim(), 'Key is valid');

        const { der } = parseKeyBlock(pem);
        const parts = privateParts(der, encoding, spec);
        assert.equal(parts.length, spec.algorithm === 'RSA' ? 6 : 1);
        for (const part of parts) {
          for (const offset of offsetsIn(part)) {
            const before = part.readUInt8(offset);
            part.writeUInt8(before ^ 1, offset);
            const damaged = encodePem(labels[encoding], der);
            part.writeUInt8(before, offset);
            if (spec.algorithm !== 'Ed25519') throwsCode('MalformedKey', () => parseValidKey(damaged));
            for (const isAhead of [false, true]) {
              const accepted = await read(damaged, isAhead).then(
                () => true,
                (error: unknown) => {
                  onlyPkiErrors(() => {
                    throw error;
                  });
                  return false;
                },
              );
              assert.ok(!accepted, `octet ${offset} of a part of ${part.length}`);
            }
          }
        }
      });
    }
  }
});
