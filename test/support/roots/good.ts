import { generateKeyPairSync } from 'node:crypto';

import * as asn1 from '../../../src/pki/asn1/der.ts';
import { oids } from '../../../src/pki/asn1/oid.ts';
import { openssl, opensslRoot } from '../openssl.ts';
import { filesOf, type GoodRoot, type RootFiles, rootFiles } from './corpus.ts';
import { extendedKeyUsage, extension, isCa, keyUsage, permitting } from './extensions.ts';
import { ecKey, type MadeCa, makeCa, named, raw, rsaKey, signatures } from './make.ts';

const ed25519 = () => generateKeyPairSync('ed25519').privateKey;

/** The files of a root with its key in another format. */
const withKey = (root: MadeCa, form: (keyPem: string) => string): RootFiles => ({
  'tls.crt': root.pem,
  'tls.key': form(root.keyPem),
});

const kinds: readonly GoodRoot[] = [
  { title: 'P-256', make: () => rootFiles() },
  { title: 'P-256 and SHA-512', make: () => rootFiles({ signature: signatures.ecdsaSha512 }) },
  { title: 'P-384 and SHA-384', make: () => rootFiles({ key: ecKey('P-384'), signature: signatures.ecdsaSha384 }) },
  { title: 'P-521 and SHA-512', make: () => rootFiles({ key: ecKey('P-521'), signature: signatures.ecdsaSha512 }) },
  { title: 'RSA of 2048 bits', make: () => rootFiles({ key: rsaKey(2048) }) },
  {
    title: 'RSA of 3072 bits and SHA-384',
    make: () => rootFiles({ key: rsaKey(3072), signature: signatures.rsaSha384 }),
  },
  {
    title: 'RSA of 4096 bits and SHA-512',
    make: () => rootFiles({ key: rsaKey(4096), signature: signatures.rsaSha512 }),
  },
  { title: 'Ed25519', make: () => rootFiles({ key: ed25519() }) },
  { title: 'a SEC1 key', make: () => withKey(makeCa(), (key) => openssl(['ec'], key)) },
  {
    title: 'a SEC1 key after its curve parameters',
    make: () => withKey(makeCa(), (key) => openssl(['ecparam', '-name', 'prime256v1']) + openssl(['ec'], key)),
  },
  { title: 'a SEC1 key on P-521', make: () => withKey(makeCa({ key: ecKey('P-521') }), (key) => openssl(['ec'], key)) },
  {
    title: 'a PKCS #1 key',
    make: () => withKey(makeCa({ key: rsaKey(2048) }), (key) => openssl(['rsa', '-traditional'], key)),
  },
  {
    title: 'the default of openssl req',
    make: () => {
      const { crt, key } = opensslRoot({
        extensions: [
          'basicConstraints = critical, CA:TRUE',
          'keyUsage = critical, keyCertSign, cRLSign',
          'subjectKeyIdentifier = hash',
          'authorityKeyIdentifier = keyid:always, issuer:always',
        ],
      });
      return { 'tls.crt': crt, 'tls.key': key };
    },
  },
];

const forms: readonly GoodRoot[] = [
  {
    title: 'text around the PEM',
    make: () => {
      const root = makeCa();
      return { 'tls.crt': `${openssl(['x509', '-text'], root.pem)}\nend\n`, 'tls.key': `the key\n${root.keyPem}` };
    },
  },
  {
    title: 'Windows line endings',
    make: () => {
      const { 'tls.crt': crt, 'tls.key': key } = rootFiles();
      return { 'tls.crt': crt.replaceAll('\n', '\r\n'), 'tls.key': key.replaceAll('\n', '\r\n') };
    },
  },
  { title: 'no newline at the end', make: () => ({ ...trimmed(rootFiles()) }) },
  {
    title: 'the root twice, and in ca.crt',
    make: () => {
      const root = makeCa();
      return filesOf(root, [root], [root]);
    },
  },
  { title: 'another root in ca.crt', make: () => filesOf(makeCa(), [], [makeCa()]) },
];

const trimmed = ({ 'tls.crt': crt, 'tls.key': key }: RootFiles): RootFiles => ({
  'tls.crt': crt.trim(),
  'tls.key': key.trim(),
});

const contents: readonly GoodRoot[] = [
  { title: 'a name in UTF-8', make: () => rootFiles({ subject: named(asn1.utf8String('Wurzel für Ämter 根')) }) },
  {
    title: 'a name in UTF-16',
    make: () => rootFiles({ subject: named(raw(0x1e, Buffer.from('\u0416ax', 'utf16le').swap16())) }),
  },
  {
    title: 'a name with two attributes in one RDN',
    make: () =>
      rootFiles({
        subject: asn1.sequence(
          asn1.setOf(
            asn1.sequence(asn1.oid(oids.commonName), asn1.printableString('a')),
            asn1.sequence(asn1.oid(oids.organization), asn1.printableString('b')),
          ),
        ),
      }),
  },
  { title: 'notAfter long after 2049', make: () => rootFiles({ notAfter: new Date('2075-01-01') }) },
  {
    title: 'no expiry, in the notation of RFC 5280',
    make: () => rootFiles({ notAfter: new Date('9999-12-31T23:59:59Z') }),
  },
  { title: 'notBefore in 1950', make: () => rootFiles({ notBefore: new Date('1950-01-01') }) },
  { title: 'a path length of zero', make: () => rootFiles({ constraints: isCa(0) }) },
  { title: 'a path length of 127', make: () => rootFiles({ constraints: isCa(127) }) },
  {
    title: 'extended key usage for servers and clients',
    make: () => rootFiles({ more: [extendedKeyUsage(oids.serverAuth, oids.clientAuth)] }),
  },
  { title: 'every key usage', make: () => rootFiles({ usage: [0, 1, 2, 3, 4, 5, 6] }) },
  { title: 'an unknown extension', make: () => rootFiles({ more: [extension('1.2.3.4', Buffer.of(5, 0))] }) },
  {
    title: 'a policy',
    make: () =>
      rootFiles({ more: [extension(oids.certificatePolicies, asn1.sequence(asn1.sequence(asn1.oid('1.2.3.4'))))] }),
  },
  { title: 'no key usage', isStrict: false, make: () => rootFiles({ extensions: [isCa()] }) },
  { title: 'no key identifier', isStrict: false, make: () => rootFiles({ extensions: [isCa(), keyUsage([5])] }) },
  {
    title: 'basic constraints that are not critical',
    isStrict: false,
    make: () => rootFiles({ constraints: isCa(undefined, false) }),
  },
  { title: 'a key identifier of two octets', make: () => rootFiles({ keyId: Buffer.of(1, 2) }) },
  {
    title: 'name constraints that permit the requested names',
    make: () => rootFiles({ more: [permitting(asn1.implicit(2, Buffer.from('svc.cluster.local')))] }),
  },
];

/** A root, an intermediate, and the issuing CA below it. */
function threeCas(options: Parameters<typeof makeCa>[0] = {}) {
  const root = makeCa(options);
  const between = makeCa({ by: root });
  return { root, between, signer: makeCa({ by: between }) };
}

const chains: readonly GoodRoot[] = [
  {
    title: 'an intermediate followed by its root',
    intermediates: 1,
    make: () => {
      const root = makeCa();
      return filesOf(makeCa({ by: root }), [root]);
    },
  },
  {
    title: 'an intermediate with its root in ca.crt',
    intermediates: 1,
    make: () => {
      const root = makeCa();
      return filesOf(makeCa({ by: root }), [], [root]);
    },
  },
  {
    title: 'an intermediate with its root in ca.crt among others',
    intermediates: 1,
    make: () => {
      const root = makeCa();
      return filesOf(makeCa({ by: root }), [], [makeCa(), root, makeCa({ by: root })]);
    },
  },
  {
    title: 'two intermediates followed by their root',
    intermediates: 2,
    make: () => {
      const { root, between, signer } = threeCas();
      return filesOf(signer, [between, root]);
    },
  },
  {
    title: 'two intermediates with their root in ca.crt',
    intermediates: 2,
    make: () => {
      const { root, between, signer } = threeCas();
      return filesOf(signer, [between], [root]);
    },
  },
  {
    title: 'the issuing CA followed by its chain in any order',
    intermediates: 2,
    make: () => {
      const { root, between, signer } = threeCas();
      return filesOf(signer, [root, between, signer, root], [root]);
    },
  },
  {
    title: 'seven intermediates',
    intermediates: 7,
    make: () => {
      const cas = [makeCa()];
      for (let i = 0; i < 7; i += 1) cas.unshift(makeCa(cas[0] === undefined ? {} : { by: cas[0] }));
      const [signer = makeCa(), ...chain] = cas;
      return filesOf(signer, chain);
    },
  },
  {
    title: 'path lengths that are exactly sufficient',
    intermediates: 2,
    make: () => {
      const root = makeCa({ constraints: isCa(2) });
      const between = makeCa({ by: root, constraints: isCa(1) });
      return filesOf(makeCa({ by: between, constraints: isCa(0) }), [between], [root]);
    },
  },
  {
    title: 'three different keys',
    intermediates: 2,
    make: () => {
      const root = makeCa({ key: rsaKey(4096) });
      const between = makeCa({ key: ecKey('P-384'), by: root });
      return filesOf(makeCa({ key: rsaKey(2048), by: between, signature: signatures.ecdsaSha384 }), [between], [root]);
    },
  },
  {
    title: 'an intermediate with extended key usage for servers and clients',
    intermediates: 1,
    make: () => {
      const root = makeCa();
      return filesOf(makeCa({ by: root, more: [extendedKeyUsage(oids.serverAuth, oids.clientAuth)] }), [root]);
    },
  },
  {
    title: 'a root that another root cross-signed, and both in ca.crt',
    intermediates: 1,
    make: () => {
      const [old, root] = [makeCa({ name: 'Old' }), makeCa({ name: 'New' })];
      return filesOf(makeCa({ by: root }), [], [root, old]);
    },
  },
  {
    title: 'a cross-signed root between intermediate and old root',
    intermediates: 2,
    make: () => {
      const [old, root] = [makeCa({ name: 'Old' }), makeCa({ name: 'New' })];
      const cross = makeCa({ name: 'New', key: root.key, keyId: root.keyId, by: old });
      return filesOf(makeCa({ by: root }), [cross], [root, old]);
    },
  },
  {
    title: 'a root renewed with the same key, and its expired predecessor',
    intermediates: 1,
    make: () => {
      const root = makeCa({ name: 'Renewed' });
      const former = makeCa({
        name: 'Renewed',
        key: root.key,
        keyId: root.keyId,
        notAfter: new Date(Date.now() - 1000),
      });
      return filesOf(makeCa({ by: root }), [], [former, root]);
    },
  },
  {
    title: 'a root signed by an older root of the same name',
    intermediates: 2,
    make: () => {
      const old = makeCa({ name: 'Root', constraints: isCa(1) });
      const renewed = makeCa({ name: 'Root', by: old });
      return filesOf(makeCa({ by: renewed }), [renewed], [old]);
    },
  },
  {
    title: 'a root whose name constraints permit intermediate and leaf',
    intermediates: 1,
    make: () => {
      const permitted = [
        asn1.implicit(2, Buffer.from('svc.cluster.local')),
        asn1.explicit(4, named(asn1.utf8String('Issuing CA'))),
      ];
      const root = makeCa({ more: [permitting(...permitted)] });
      return filesOf(makeCa({ name: 'Issuing CA', by: root }), [root]);
    },
  },
];

/** Roots that may sign. */
export const goodRoots: readonly GoodRoot[] = [...kinds, ...forms, ...contents, ...chains];
