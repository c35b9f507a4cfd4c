import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

import * as der from '../../../src/pki/asn1/der.ts';

/** The kinds of keys that kubelet generates, by Kubernetes' names. */
export type PodKeyType = 'RSA3072' | 'RSA4096' | 'ECDSAP256' | 'ECDSAP384' | 'ECDSAP521' | 'ED25519';

const ecdsaWithSha256 = '1.2.840.10045.4.3.2';
const rsaWithSha256 = '1.2.840.113549.1.1.11';
const ed25519 = '1.3.101.112';

export function generatePodKey(type: PodKeyType): KeyObject {
  switch (type) {
    case 'ED25519':
      return generateKeyPairSync('ed25519').privateKey;
    case 'RSA3072':
    case 'RSA4096':
      return generateKeyPairSync('rsa', { modulusLength: Number(type.slice(-4)) }).privateKey;
    case 'ECDSAP256':
    case 'ECDSAP384':
    case 'ECDSAP521':
      return generateKeyPairSync('ec', { namedCurve: `P-${type.slice(-3)}` }).privateKey;
  }
}

/**
 * The PKCS#10 request (RFC 2986) that kubelet makes: an empty subject, the public key, no attributes, and a signature. DER.
 * `subject` is the content of the subject's SEQUENCE. kubelet leaves it empty, a request made by hand does not.
 */
export function stubRequest(key: KeyObject, publicKey: Uint8Array, subject: readonly der.Asn1[] = []): Buffer {
  const information = der.sequence(
    der.wholeNumber(0),
    der.sequence(...subject),
    der.encoded(Buffer.from(publicKey)),
    der.implicitConstructed(0, []),
  );
  const signature = sign(key.asymmetricKeyType === 'ed25519' ? null : 'sha256', der.encode(information), key);
  return der.encode(der.sequence(information, algorithmOf(key), der.bitString(signature)));
}

function algorithmOf(key: KeyObject): der.Asn1 {
  switch (key.asymmetricKeyType) {
    case 'ed25519':
      return der.sequence(der.oid(ed25519));
    case 'rsa':
      return der.sequence(der.oid(rsaWithSha256), der.nullValue());
    default:
      return der.sequence(der.oid(ecdsaWithSha256));
  }
}
