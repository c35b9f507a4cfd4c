import { generateKeyPairSync } from 'node:crypto';

import * as asn1 from '../../../src/pki/asn1/der.ts';
import { oids } from '../../../src/pki/asn1/oid.ts';
import { encodePem } from '../../../src/pki/asn1/pem.ts';
import { openssl, opensslRoot, scratchFile } from '../openssl.ts';
import type { BadRoot, RootFiles } from './corpus.ts';
import { rootFiles } from './corpus.ts';
import { extendedKeyUsage, extension, isCa } from './extensions.ts';
import { ecKey, inDays, type MadeCa, makeCa, raw, rsaKey, signatures } from './make.ts';

/** The files of a valid root with a changed certificate PEM. */
const changed = (change: (pem: string, root: MadeCa) => string): RootFiles => {
  const root = makeCa();
  return { 'tls.crt': change(root.pem, root), 'tls.key': root.keyPem };
};

/** The DER of a valid root, changed and encoded as PEM again. */
const reencoded = (change: (der: Buffer) => Buffer): RootFiles =>
  changed((_, { der }) => encodePem('CERTIFICATE', change(der)));

/** The files of a root that openssl creates with these options. */
const fromOpenssl = (options: Parameters<typeof opensslRoot>[0]): RootFiles => {
  const { crt, key } = opensslRoot(options);
  return { 'tls.crt': crt, 'tls.key': key };
};

/** Certificates that cannot be parsed. */
const unreadable: readonly BadRoot[] = [
  { title: 'tls.crt is empty', make: () => changed(() => '') },
  { title: 'tls.crt holds only line ends', make: () => changed(() => '\n\n\r\n') },
  { title: 'tls.crt is text', make: () => changed(() => 'see the vault\n') },
  { title: 'tls.crt is cut off', make: () => changed((pem) => pem.slice(0, 200)) },
  { title: 'tls.crt lacks a letter', make: () => changed((pem) => pem.slice(0, 100) + pem.slice(101)) },
  { title: 'tls.crt is DER', make: () => changed((_, { der }) => der.toString('latin1')) },
  { title: 'tls.crt is base64 without its lines', make: () => changed((_, { der }) => der.toString('base64')) },
  { title: 'tls.crt is base64 of PEM', make: () => changed((pem) => Buffer.from(pem).toString('base64')) },
  { title: 'tls.crt is UTF-16', make: () => changed((pem) => Buffer.from(pem, 'utf16le').toString('latin1')) },
  { title: 'tls.crt contains a NUL', make: () => changed((pem) => `${pem.slice(0, 100)}\0${pem.slice(100)}`) },
  { title: 'tls.crt is the key', make: () => changed((_, { keyPem }) => keyPem) },
  { title: 'tls.crt is a public key', make: () => changed((_, { keyPem }) => openssl(['pkey', '-pubout'], keyPem)) },
  { title: 'tls.crt also contains the key', make: () => changed((pem, { keyPem }) => pem + keyPem) },
  {
    title: 'tls.crt is a certificate signing request',
    make: () =>
      changed((_, { keyPem }) => openssl(['req', '-new', '-key', scratchFile(keyPem), '-subj', '/CN=Request'])),
  },
  {
    title: 'tls.crt is PKCS #7',
    make: () => changed((pem) => openssl(['crl2pkcs7', '-nocrl', '-certfile', scratchFile(pem)])),
  },
  {
    title: 'tls.crt is an OpenSSL TRUSTED CERTIFICATE',
    make: () => changed((pem) => openssl(['x509', '-trustout', '-addtrust', 'serverAuth'], pem)),
  },
  {
    title: 'tls.crt is PEM of arbitrary octets',
    make: () => changed(() => encodePem('CERTIFICATE', Buffer.of(0, 1, 2))),
  },
  {
    title: 'the certificate is followed by further octets',
    make: () => reencoded((der) => Buffer.concat([der, Buffer.of(0)])),
  },
  { title: 'the certificate is cut off', make: () => reencoded((der) => der.subarray(0, -20)) },
  {
    title: 'the certificate has an indefinite length',
    make: () => reencoded((der) => Buffer.concat([Buffer.of(0x30, 0x80), der.subarray(4), Buffer.of(0, 0)])),
  },
  { title: 'tls.crt holds 101 certificates', make: () => changed((pem) => pem.repeat(101)) },
  {
    title: 'tls.crt holds nine different certificates',
    make: () =>
      changed(
        (pem) =>
          pem +
          Array.from({ length: 8 }, () => makeCa())
            .map((other) => other.pem)
            .join(''),
      ),
  },
  { title: 'tls.crt is 900 kB of text', make: () => changed(() => 'x'.repeat(900_000)) },
  { title: 'tls.crt is 10 MB of PEM', isTooLargeToStore: true, make: () => changed((pem) => pem.repeat(16_000)) },
  { title: 'version 1', make: () => rootFiles({ version: 0, extensions: [] }) },
  { title: 'version 2', make: () => rootFiles({ version: 1 }) },
  { title: 'version 4', make: () => rootFiles({ version: 3 }) },
  { title: 'an extension twice', make: () => rootFiles({ more: [isCa()] }) },
  {
    title: 'a negative path length',
    make: () =>
      rootFiles({
        constraints: extension(oids.basicConstraints, asn1.sequence(asn1.boolean(true), raw(2, Buffer.of(0xff)))),
      }),
  },
  {
    title: 'a path length of five octets',
    make: () =>
      rootFiles({
        constraints: extension(
          oids.basicConstraints,
          asn1.sequence(asn1.boolean(true), asn1.integer(Buffer.of(1, 0, 0, 0, 0))),
        ),
      }),
  },
  {
    title: 'basic constraints that are not a sequence',
    make: () => rootFiles({ constraints: extension(oids.basicConstraints, asn1.nullValue()) }),
  },
  {
    title: 'a time without seconds',
    make: () => rootFiles({ validity: asn1.sequence(raw(0x17, '2601010000Z'), raw(0x17, '4901010000Z')) }),
  },
  {
    title: 'a time with a zone',
    make: () => rootFiles({ validity: asn1.sequence(raw(0x17, '260101000000+0100'), raw(0x17, '490101000000Z')) }),
  },
  {
    title: 'the 30th of February',
    make: () => rootFiles({ validity: asn1.sequence(raw(0x17, '250230000000Z'), raw(0x17, '490101000000Z')) }),
  },
  { title: 'an empty subject', make: () => rootFiles({ subject: asn1.sequence() }) },
  {
    title: 'name constraints of arbitrary octets',
    make: () => rootFiles({ more: [extension(oids.nameConstraints, Buffer.from('30060404deadbeef', 'hex'), true)] }),
  },
  {
    title: 'name constraints that are cut off',
    make: () => rootFiles({ more: [extension(oids.nameConstraints, Buffer.from('3010a00e', 'hex'), true)] }),
  },
  {
    title: 'an authority key identifier that names another key',
    make: () =>
      fromOpenssl({
        extensions: [
          'basicConstraints = critical, CA:TRUE',
          'subjectKeyIdentifier = hash',
          'authorityKeyIdentifier = DER:30:06:80:04:01:02:03:04',
        ],
      }),
  },
].map((root) => ({ ...root, reason: 'RootMalformed' }) as const);

const noCa: readonly BadRoot[] = [
  {
    title: 'no basic constraints',
    make: () => fromOpenssl({ extensions: ['keyUsage = critical, keyCertSign', 'subjectKeyIdentifier = hash'] }),
  },
  { title: 'CA:FALSE', make: () => fromOpenssl({ extensions: ['basicConstraints = critical, CA:FALSE'] }) },
  {
    title: 'empty basic constraints',
    make: () => rootFiles({ constraints: extension(oids.basicConstraints, asn1.sequence(), true) }),
  },
  {
    title: 'a path length without CA:TRUE',
    make: () => rootFiles({ constraints: extension(oids.basicConstraints, asn1.sequence(asn1.integer(Buffer.of(0)))) }),
  },
  {
    title: 'a leaf',
    make: () =>
      fromOpenssl({
        extensions: [
          'keyUsage = critical, digitalSignature',
          'extendedKeyUsage = serverAuth',
          'subjectAltName = DNS:db',
        ],
      }),
  },
].map((root) => ({ ...root, reason: 'RootNotCA' }) as const);

const usages: readonly BadRoot[] = [
  { title: 'key usage without keyCertSign: cRLSign only', make: () => rootFiles({ usage: [6] }) },
  { title: 'key usage without keyCertSign: for handshakes only', make: () => rootFiles({ usage: [0, 2] }) },
  {
    title: 'an empty key usage',
    make: () => rootFiles({ extensions: [isCa(), extension(oids.keyUsage, asn1.bitString(Buffer.alloc(0)))] }),
  },
].map((root) => ({ ...root, reason: 'RootKeyUsage' }) as const);

const extendedUsages: readonly BadRoot[] = [
  { title: 'for clients only', usages: [oids.clientAuth] },
  { title: 'for servers only', usages: [oids.serverAuth] },
  { title: 'for servers and e-mail', usages: [oids.serverAuth, '1.3.6.1.5.5.7.3.4'] },
  { title: 'for code signing', usages: ['1.3.6.1.5.5.7.3.3'] },
  { title: 'an empty list', usages: [] },
  { title: 'anyExtendedKeyUsage, which OpenSSL does not accept', usages: ['2.5.29.37.0'] },
].map(({ title, usages: only }) => ({
  title,
  reason: 'RootExtendedKeyUsage',
  make: () => rootFiles({ more: [extendedKeyUsage(...only)] }),
}));

const critical: readonly BadRoot[] = [
  { title: 'an unknown critical extension', lines: ['1.2.3.4 = critical, ASN1:NULL'] },
  { title: 'a critical policy', lines: ['certificatePolicies = critical, 1.2.3.4'] },
  { title: 'policy constraints', lines: ['policyConstraints = critical, requireExplicitPolicy:0'] },
  { title: 'policy constraints that are not critical', lines: ['policyConstraints = requireExplicitPolicy:0'] },
  { title: 'inhibitAnyPolicy', lines: ['inhibitAnyPolicy = critical, 0'] },
  { title: 'critical policy mappings', lines: ['policyMappings = critical, 1.2.3:1.2.4'] },
].map(({ title, lines }) => ({
  title,
  reason: 'RootUnknownCriticalExtension',
  make: () => fromOpenssl({ extensions: ['basicConstraints = critical, CA:TRUE', ...lines] }),
}));

const weakSignatures: readonly BadRoot[] = [
  { title: 'SHA-1 with ECDSA', make: () => rootFiles({ signature: signatures.ecdsaSha1 }) },
  { title: 'SHA-1 with RSA', make: () => fromOpenssl({ keyPem: rsaPem(), digest: ['-sha1'] }) },
  { title: 'MD5 with RSA', make: () => fromOpenssl({ keyPem: rsaPem(), digest: ['-md5'] }) },
  { title: 'SHA-224', make: () => rootFiles({ signature: signatures.ecdsaSha224 }) },
  { title: 'SHA-3, which few programs can verify', make: () => rootFiles({ signature: signatures.ecdsaSha3 }) },
  {
    title: 'RSA-PSS, which few programs can verify',
    make: () => fromOpenssl({ keyPem: rsaPem(), more: ['-sigopt', 'rsa_padding_mode:pss'] }),
  },
  { title: 'DSA', make: () => fromOpenssl({ keyPem: openssl(['dsaparam', '-genkey', '-noout', '1024']) }) },
  { title: 'Ed448', make: () => fromOpenssl({ key: ['-algorithm', 'ED448'], digest: [] }) },
].map((root) => ({ ...root, reason: 'RootWeakSignature' }) as const);

const rsaPem = (): string => rsaKey(2048).export({ type: 'pkcs8', format: 'pem' });

/** A public key with this modulus and exponent. No private key exists for it. */
const rsaSpki = (modulus: Buffer, exponent: Buffer): Buffer =>
  asn1.encode(
    asn1.sequence(
      asn1.sequence(asn1.oid('1.2.840.113549.1.1.1'), asn1.nullValue()),
      asn1.bitString(asn1.encode(asn1.sequence(asn1.integer(modulus), asn1.integer(exponent)))),
    ),
  );

/** A public key on the curve with this name. */
const ecSpki = (curve: Parameters<typeof asn1.sequence>[0], point: Buffer): Buffer =>
  asn1.encode(asn1.sequence(asn1.sequence(asn1.oid('1.2.840.10045.2.1'), curve), asn1.bitString(point)));

const prime256v1 = '1.2.840.10045.3.1.7';
const oddModulus = (bytes: number): Buffer =>
  Buffer.concat([Buffer.of(0xc5), Buffer.alloc(bytes - 2, 0x3d), Buffer.of(1)]);
const p256Point = (): Buffer => Buffer.from(ecKey().export({ format: 'jwk' }).x ?? '', 'base64url');

const weakKeys: readonly BadRoot[] = [
  { title: 'RSA of 1024 bits', make: () => rootFiles({ key: rsaKey(1024) }) },
  { title: 'RSA of 2047 bits', make: () => rootFiles({ key: rsaKey(2047) }) },
  { title: 'RSA of 16384 bits', make: () => rootFiles({ spki: rsaSpki(oddModulus(2048), Buffer.of(1, 0, 1)) }) },
  { title: 'RSA with the exponent 1', make: () => rootFiles({ spki: rsaSpki(oddModulus(256), Buffer.of(1)) }) },
  { title: 'RSA with the exponent 3', make: () => rootFiles({ key: rsaKey(2048, 3) }) },
  {
    title: 'RSA with an exponent of 33 bits',
    make: () => rootFiles({ spki: rsaSpki(oddModulus(256), Buffer.of(1, 0, 0, 0, 1)) }),
  },
  { title: 'P-192', make: () => rootFiles({ key: ecKey('prime192v1') }) },
  { title: 'P-224', make: () => rootFiles({ key: ecKey('secp224r1') }) },
  { title: 'secp256k1', make: () => rootFiles({ key: ecKey('secp256k1') }) },
  { title: 'brainpoolP256r1', make: () => rootFiles({ key: ecKey('brainpoolP256r1') }) },
  {
    title: 'an unknown curve',
    make: () => rootFiles({ spki: ecSpki(asn1.oid('1.2.3.4'), Buffer.concat([Buffer.of(4), Buffer.alloc(64, 1)])) }),
  },
  {
    title: 'a point that is not on its curve',
    make: () =>
      rootFiles({
        spki: ecSpki(asn1.oid(prime256v1), Buffer.concat([Buffer.of(4), p256Point(), Buffer.alloc(32, 1)])),
      }),
  },
  {
    title: 'a curve with explicit parameters',
    make: () =>
      fromOpenssl({
        keyPem: openssl(['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-param_enc', 'explicit']),
      }),
  },
  {
    title: 'an X25519 key, which cannot sign',
    make: () => rootFiles({ spki: generateKeyPairSync('x25519').publicKey.export({ type: 'spki', format: 'der' }) }),
  },
].map((root) => ({ ...root, reason: 'RootWeakKey' }) as const);

const times: readonly BadRoot[] = [
  {
    title: 'expired yesterday',
    reason: 'RootExpired',
    make: () => rootFiles({ notBefore: inDays(-3650), notAfter: inDays(-1) }),
  },
  {
    title: 'expired in 1950',
    reason: 'RootExpired',
    make: () => rootFiles({ validity: asn1.sequence(raw(0x17, '500101000000Z'), raw(0x17, '500201000000Z')) }),
  },
  {
    title: 'ends before it begins',
    reason: 'RootExpired',
    make: () => rootFiles({ notBefore: inDays(-1), notAfter: inDays(-2) }),
  },
  { title: 'begins tomorrow', reason: 'RootNotYetValid', make: () => rootFiles({ notBefore: inDays(1) }) },
  {
    title: 'begins in 2050',
    reason: 'RootNotYetValid',
    make: () => rootFiles({ notBefore: new Date('2050-01-01'), notAfter: new Date('2060-01-01') }),
  },
];

const selfSignatures: readonly BadRoot[] = [
  {
    title: 'a bit of the signature is wrong',
    make: () => reencoded((der) => Buffer.concat([der.subarray(0, -1), Buffer.of((der.at(-1) ?? 0) ^ 1)])),
  },
  {
    title: 'a letter of the name is changed',
    make: () => {
      const root = makeCa({ name: 'Honest Root' });
      const der = Buffer.from(root.der.toString('latin1').replaceAll('Honest', 'Honeyt'), 'latin1');
      return { 'tls.crt': encodePem('CERTIFICATE', der), 'tls.key': root.keyPem };
    },
  },
  {
    title: 'two different signature algorithms',
    make: () => rootFiles({ claimed: signatures.ecdsaSha384 }),
  },
].map((root) => ({ ...root, reason: 'RootIssuerMismatch' }) as const);

/** Roots with a bad certificate. The key is valid. */
export const badCertificates: readonly BadRoot[] = [
  ...unreadable,
  ...noCa,
  ...usages,
  ...extendedUsages,
  ...critical,
  ...weakSignatures,
  ...weakKeys,
  ...times,
  ...selfSignatures,
];
