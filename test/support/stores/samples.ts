import { createPublicKey, type KeyObject, randomBytes } from 'node:crypto';
import {
  type Certificate,
  describeKeySpec,
  encodeKeystore,
  encodePublicTruststore,
  encodeTruststore,
  type KeySpec,
} from '../../../src/pki/index.ts';
import { altNames } from '../fixtures/names.ts';
import { intermediate, privateKey, root } from '../fixtures/roots.ts';
import { hours } from '../fixtures/times.ts';
import { issueLeafNow } from '../sign.ts';

/** Every kind of key that a leaf can have; for RSA only the most common size. */
export const keyKinds: readonly KeySpec[] = [
  { algorithm: 'RSA', size: 2048 },
  { algorithm: 'ECDSA', size: 256 },
  { algorithm: 'ECDSA', size: 384 },
  { algorithm: 'ECDSA', size: 521 },
  { algorithm: 'Ed25519' },
];

/** A key and its certificate chain with this number of intermediates, valid now. */
export function keyAndChain(spec?: KeySpec, intermediates = 0): { key: KeyObject; chain: readonly Certificate[] } {
  const now = new Date();
  let signer = root({ at: now });
  for (let level = 1; level <= intermediates; level++) signer = intermediate(signer, { name: `CA ${level}`, at: now });
  const key = privateKey(spec);
  const names = altNames({ dnsNames: ['db.shop.svc'] });
  const profile = { role: 'peer', subject: {}, names, durationMs: hours(24) } as const;
  const leaf = issueLeafNow(profile, createPublicKey(key), signer, { now, serialSeed: randomBytes(20) });
  return { key, chain: [leaf, ...signer.intermediates] };
}

/** Roots that are valid now. */
export const someRoots = (count: number, key?: KeySpec): Certificate[] =>
  Array.from(
    { length: count },
    (_, index) => root({ name: `Root ${index}`, at: new Date(), ...(key === undefined ? {} : { key }) }).certificate,
  );

/** Every character that a password may have, in an order that looks neither like an option nor like a line. */
export const everyCharacter = String.fromCharCode(...Array.from({ length: 0x7f - 0x20 }, (_, index) => 0x20 + index));

/** Passwords that may be difficult: short, longer than a block of the hash, with every character, and the longest. */
const passwords = [
  'x',
  'changeit',
  'correct horse battery staple, twice and then once more, over a block',
  everyCharacter,
  'y'.repeat(256),
];
const passwordAt = (index: number): string => passwords[index % passwords.length] ?? '';

/** A store and its expected content. */
export interface StoreSample {
  readonly title: string;
  readonly kind: 'keystore' | 'truststore';
  /** The kind of the private key of a keystore, or of the roots of a truststore. */
  readonly keyKind: string;
  readonly password: string;
  readonly certificates: readonly Certificate[];
  readonly privateKey?: KeyObject;
  readonly aliases: readonly string[];
  readonly store: Buffer;
}

/** Keystores for every kind of key, with and without intermediates, and truststores of one and three roots. */
export async function storeSamples(): Promise<StoreSample[]> {
  const keyStores = keyKinds.flatMap((spec) => [0, 2].map((intermediates) => ({ spec, intermediates })));
  const trustStores = keyKinds.flatMap((spec) => [1, 3].map((count) => ({ spec, count })));
  return Promise.all([
    ...keyStores.map(async ({ spec, intermediates }, index) => {
      const { key, chain } = keyAndChain(spec, intermediates);
      const password = passwordAt(index);
      return {
        title: `a keystore of ${describeKeySpec(spec)} with ${intermediates} intermediates`,
        kind: 'keystore' as const,
        keyKind: describeKeySpec(spec),
        password,
        certificates: chain,
        privateKey: key,
        aliases: ['certificate'],
        store: await encodeKeystore(key, chain, password),
      };
    }),
    ...trustStores.map(async ({ spec, count }, index) => {
      const roots = someRoots(count, spec);
      const password = passwordAt(index + 1);
      return {
        title: `a truststore of ${count} roots of ${describeKeySpec(spec)}`,
        kind: 'truststore' as const,
        keyKind: describeKeySpec(spec),
        password,
        certificates: roots,
        aliases: roots.map(({ fingerprint }) => `root-${fingerprint.slice(0, 16)}`),
        store: await encodeTruststore(roots, password, privateKey()),
      };
    }),
    ...[1, 3].map(async (count) => {
      const roots = someRoots(count);
      return {
        title: `a truststore of ${count} roots with a public password`,
        kind: 'truststore' as const,
        keyKind: 'ECDSA 256',
        password: passwordAt(count),
        certificates: roots,
        aliases: roots.map(({ fingerprint }) => `root-${fingerprint.slice(0, 16)}`),
        store: encodePublicTruststore(roots, passwordAt(count)),
      };
    }),
  ]);
}
