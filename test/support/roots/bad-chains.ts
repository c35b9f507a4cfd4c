import * as asn1 from '../../../src/pki/asn1/der.ts';
import { oids } from '../../../src/pki/asn1/oid.ts';
import { type BadRoot, filesOf } from './corpus.ts';
import { authorityKeyId, extendedKeyUsage, extension, isCa, keyUsage, permitting, subjectKeyId } from './extensions.ts';
import { ecKey, inDays, type MadeCa, makeCa, named, rsaKey, signatures } from './make.ts';

/** An intermediate with these options, and its root in ca.crt. */
const under = (root: MadeCa, signer: Parameters<typeof makeCa>[0] = {}) =>
  filesOf(makeCa({ ...signer, by: root }), [], [root]);

/** A chain of three CAs. The options apply to the middle one. */
function around(middle: Parameters<typeof makeCa>[0]) {
  const root = makeCa();
  const between = makeCa({ ...middle, by: root });
  return filesOf(makeCa({ by: between }), [between], [root]);
}

const withoutRoot: readonly BadRoot[] = [
  { title: 'an intermediate without its root', make: () => filesOf(makeCa({ by: makeCa() })) },
  {
    title: 'an intermediate with an unrelated root',
    make: () => filesOf(makeCa({ by: makeCa() }), [], [makeCa()]),
  },
  {
    title: 'two intermediates without their root',
    make: () => {
      const upper = makeCa({ by: makeCa() });
      return filesOf(makeCa({ by: upper }), [upper]);
    },
  },
  {
    title: 'a gap between intermediate and root',
    make: () => {
      const root = makeCa();
      return filesOf(makeCa({ by: makeCa({ by: root }) }), [root]);
    },
  },
  {
    title: 'two intermediates that signed each other',
    make: () => {
      const first = makeCa({ name: 'First' });
      const second = makeCa({ name: 'Second', by: first });
      return filesOf(makeCa({ name: 'First', key: first.key, by: second }), [second]);
    },
  },
  {
    title: 'a loop of three intermediates',
    make: () => {
      const first = makeCa({ name: 'First' });
      const second = makeCa({ name: 'Second', by: first });
      const third = makeCa({ name: 'Third', by: second });
      return filesOf(makeCa({ name: 'First', key: first.key, by: third }), [third, second]);
    },
  },
  {
    title: 'an intermediate whose root in ca.crt is not a CA',
    make: () => under(makeCa({ constraints: extension(oids.basicConstraints, asn1.sequence()) })),
  },
  {
    title: 'an empty issuer',
    make: () => filesOf(makeCa({ by: { ...makeCa(), subject: Buffer.of(0x30, 0) } })),
  },
].map((root) => ({ ...root, reason: 'RootChainIncomplete' }) as const);

const otherIssuer: readonly BadRoot[] = [
  {
    title: 'an intermediate with another root of the same name',
    make: () => filesOf(makeCa({ by: makeCa({ name: 'Same' }) }), [], [makeCa({ name: 'Same' })]),
  },
  {
    title: 'issuer equal to the subject, but signed by another key',
    make: () => filesOf(makeCa({ name: 'Same', by: makeCa({ name: 'Same' }) })),
  },
  {
    title: 'issuer equal to the subject, but signed by another kind of key',
    make: () => filesOf(makeCa({ name: 'Same', by: makeCa({ name: 'Same', key: rsaKey(2048) }) })),
  },
  {
    title: 'an intermediate whose authority key identifier names another key',
    make: () => {
      const root = makeCa();
      const extensions = [isCa(), keyUsage([5]), subjectKeyId(Buffer.of(1)), authorityKeyId(Buffer.of(2))];
      return under(root, { extensions });
    },
  },
  {
    title: 'an intermediate whose authority key identifier has another serial number',
    make: () => {
      const named = extension(oids.authorityKeyIdentifier, asn1.sequence(asn1.implicit(2, Buffer.of(1))));
      return under(makeCa(), { extensions: [isCa(), keyUsage([5]), subjectKeyId(Buffer.of(1)), named] });
    },
  },
  {
    title: 'an intermediate whose signature does not match',
    make: () => {
      const { 'tls.crt': pem, ...files } = under(makeCa());
      const der = Buffer.from(pem.replaceAll(/-----.*-----|\s/g, ''), 'base64');
      der[der.length - 1] = (der.at(-1) ?? 0) ^ 1;
      return {
        ...files,
        'tls.crt': `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`,
      };
    },
  },
].map((root) => ({ ...root, reason: 'RootIssuerMismatch' }) as const);

const unrelated: readonly BadRoot[] = [
  { title: 'two roots', make: () => filesOf(makeCa(), [makeCa()]) },
  {
    title: 'a root and an intermediate below it',
    make: () => {
      const root = makeCa();
      return filesOf(root, [makeCa({ by: root })]);
    },
  },
  {
    title: 'an intermediate, its root and another root',
    make: () => {
      const root = makeCa();
      return filesOf(makeCa({ by: root }), [root, makeCa()]);
    },
  },
  {
    title: 'an intermediate, its sister and their root',
    make: () => {
      const root = makeCa();
      return filesOf(makeCa({ by: root }), [makeCa({ by: root }), root]);
    },
  },
].map((root) => ({ ...root, reason: 'RootUnrelatedCertificates' }) as const);

const pathLength: readonly BadRoot[] = [
  { title: 'a root whose path length is exceeded', make: () => under(makeCa({ constraints: isCa(0) })) },
  {
    title: 'a root at the top of three whose path length is exceeded',
    make: () => {
      const root = makeCa({ constraints: isCa(1) });
      const between = makeCa({ by: root });
      return filesOf(makeCa({ by: between }), [between, root]);
    },
  },
  { title: 'a CA in the middle whose path length is exceeded', make: () => around({ constraints: isCa(0) }) },
].map((root) => ({ ...root, reason: 'RootPathLength' }) as const);

const directory = (commonName: string) => asn1.explicit(4, named(asn1.utf8String(commonName)));

const badAbove: readonly BadRoot[] = [
  {
    title: 'an expired intermediate under a valid root',
    reason: 'RootExpired',
    make: () => under(makeCa(), { notAfter: inDays(-0.5) }),
  },
  {
    title: 'an expired root above a valid intermediate',
    reason: 'RootExpired',
    make: () => under(makeCa({ notAfter: inDays(-0.5) })),
  },
  { title: 'an expired CA in the middle', reason: 'RootExpired', make: () => around({ notAfter: inDays(-0.5) }) },
  {
    title: 'an intermediate that is valid from tomorrow',
    reason: 'RootNotYetValid',
    make: () => under(makeCa(), { notBefore: inDays(1) }),
  },
  {
    title: 'a root that is valid from tomorrow',
    reason: 'RootNotYetValid',
    make: () => under(makeCa({ notBefore: inDays(1) })),
  },
  {
    title: 'an intermediate for servers only',
    reason: 'RootExtendedKeyUsage',
    make: () => under(makeCa(), { more: [extendedKeyUsage(oids.serverAuth)] }),
  },
  {
    title: 'a CA in the middle for clients only',
    reason: 'RootExtendedKeyUsage',
    make: () => around({ more: [extendedKeyUsage(oids.clientAuth)] }),
  },
  {
    title: 'a certificate in the middle that is not a CA',
    reason: 'RootNotCA',
    make: () => around({ constraints: extension(oids.basicConstraints, asn1.sequence()) }),
  },
  { title: 'a CA in the middle without keyCertSign', reason: 'RootKeyUsage', make: () => around({ usage: [0] }) },
  {
    title: 'an unknown critical extension in the middle',
    reason: 'RootUnknownCriticalExtension',
    make: () => around({ more: [extension('1.2.3.4', Buffer.of(5, 0), true)] }),
  },
  {
    title: 'an intermediate signed with SHA-1',
    reason: 'RootWeakSignature',
    make: () => under(makeCa(), { signature: signatures.ecdsaSha1 }),
  },
  {
    title: 'a root self-signed with SHA-1',
    reason: 'RootWeakSignature',
    make: () => under(makeCa({ signature: signatures.ecdsaSha1 })),
  },
  { title: 'a root with RSA of 1024 bits', reason: 'RootWeakKey', make: () => under(makeCa({ key: rsaKey(1024) })) },
  { title: 'a root on P-224', reason: 'RootWeakKey', make: () => under(makeCa({ key: ecKey('secp224r1') })) },
  {
    title: 'a root whose name constraints exclude the intermediate',
    reason: 'RootNameConstrained',
    make: () => under(makeCa({ more: [permitting(directory('Another CA'))] })),
  },
  {
    title: 'the root before the intermediate that the key belongs to',
    reason: 'RootKeyMismatch',
    make: () => {
      const root = makeCa();
      const signer = makeCa({ by: root });
      return { ...filesOf(root, [signer]), 'tls.key': signer.keyPem };
    },
  },
  {
    title: 'an intermediate with the key of its root',
    reason: 'RootKeyMismatch',
    make: () => {
      const root = makeCa();
      return { ...filesOf(makeCa({ by: root }), [root]), 'tls.key': root.keyPem };
    },
  },
  {
    title: 'a ca.crt that cannot be read',
    reason: 'RootMalformed',
    make: () => {
      const { 'ca.crt': bundle = '', ...files } = under(makeCa());
      return { ...files, 'ca.crt': bundle.slice(0, 100) };
    },
  },
];

/** Intermediates with a bad or missing path to a root. */
export const badChains: readonly BadRoot[] = [...withoutRoot, ...otherIssuer, ...unrelated, ...pathLength, ...badAbove];
