import { generateKeyPairSync } from 'node:crypto';

import * as asn1 from '../../../src/pki/asn1/der.ts';
import { encodePem } from '../../../src/pki/asn1/pem.ts';
import { openssl } from '../openssl.ts';
import type { BadRoot, RootFiles } from './corpus.ts';
import { ecKey, type MadeCa, makeCa, rsaKey } from './make.ts';

/** The files of a valid root with another tls.key. */
const withKey = (key: (root: MadeCa) => string, root = makeCa()): RootFiles => ({
  'tls.crt': root.pem,
  'tls.key': key(root),
});

const malformed: readonly BadRoot[] = [
  { title: 'there is no key', make: () => withKey(() => '') },
  { title: 'the key is text', make: () => withKey(() => 'see the vault\n') },
  { title: 'the key is garbage', make: () => withKey(() => encodePem('PRIVATE KEY', Buffer.of(0, 1, 2))) },
  { title: 'the key is cut off', make: () => withKey(({ keyPem }) => keyPem.slice(0, 90)) },
  {
    title: 'the key is DER',
    make: () => withKey(({ key }) => key.export({ type: 'pkcs8', format: 'der' }).toString('latin1')),
  },
  { title: 'tls.key holds two keys', make: () => withKey(({ keyPem }) => keyPem + makeCa().keyPem) },
  { title: 'the key is the certificate', make: () => withKey(({ pem }) => pem) },
  { title: 'tls.key is the public key', make: () => withKey(({ keyPem }) => openssl(['pkey', '-pubout'], keyPem)) },
  {
    title: 'the key has another PEM label',
    make: () => withKey(({ key }) => encodePem('PRIVATE KEY', key.export({ type: 'sec1', format: 'der' }))),
  },
  {
    title: 'the key is in the format of OpenSSH',
    make: () => withKey(({ keyPem }) => keyPem.replaceAll('PRIVATE KEY', 'OPENSSH PRIVATE KEY')),
  },
  { title: 'tls.key also contains the certificate', make: () => withKey(({ keyPem, pem }) => keyPem + pem) },
].map((root) => ({ ...root, reason: 'RootKeyMalformed' }) as const);

const encrypted: readonly BadRoot[] = [
  {
    title: 'the key is encrypted PKCS #8',
    make: () => withKey(({ keyPem }) => openssl(['pkcs8', '-topk8', '-passout', 'pass:x'], keyPem)),
  },
  {
    title: 'the key is encrypted in the traditional format',
    make: () => withKey(({ keyPem }) => openssl(['ec', '-aes256', '-passout', 'pass:x'], keyPem)),
  },
  {
    title: 'the RSA key is encrypted in the traditional format',
    make: () =>
      withKey(
        ({ keyPem }) => openssl(['rsa', '-traditional', '-aes128', '-passout', 'pass:x'], keyPem),
        makeCa({ key: rsaKey(2048) }),
      ),
  },
].map((root) => ({ ...root, reason: 'RootKeyEncrypted' }) as const);

/** A SEC1 key with the public part of another key: OpenSSL uses the public part in the file. */
function splitKey({ key }: MadeCa): string {
  const { d = '' } = ecKey().export({ format: 'jwk' });
  const parts = asn1.readAll(asn1.readOnly(key.export({ type: 'sec1', format: 'der' }), asn1.tags.sequence).content);
  const publicHalf = parts.find(({ tag }) => tag === 0xa1)?.der ?? Buffer.alloc(0);
  const mixed = asn1.sequence(
    asn1.integer(Uint8Array.of(1)),
    asn1.octetString(Buffer.from(d, 'base64url')),
    asn1.explicit(0, asn1.oid('1.2.840.10045.3.1.7')),
    asn1.encoded(publicHalf),
  );
  return encodePem('EC PRIVATE KEY', asn1.encode(mixed));
}

const mismatched: readonly BadRoot[] = [
  { title: 'the key belongs to another root', make: () => withKey(() => makeCa().keyPem) },
  {
    title: 'the key has another algorithm',
    make: () => withKey(() => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })),
  },
  {
    title: 'the key belongs to another root of the same name',
    make: () => withKey(() => makeCa({ name: 'Same' }).keyPem, makeCa({ name: 'Same' })),
  },
  {
    title: 'the key has an algorithm that is not allowed',
    make: () => withKey(() => ecKey('secp256k1').export({ type: 'pkcs8', format: 'pem' })),
  },
  { title: 'the key contains the public part of another key', make: () => withKey(splitKey) },
].map((root) => ({ ...root, reason: 'RootKeyMismatch' }) as const);

/** Valid certificates with bad keys. */
export const badKeys: readonly BadRoot[] = [...malformed, ...encrypted, ...mismatched];
