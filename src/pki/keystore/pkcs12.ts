import type { KeyObject } from 'node:crypto';
import {
  type Asn1,
  bmpString,
  encode,
  explicit,
  implicit,
  octetString,
  oid,
  sequence,
  setOf,
  wholeNumber,
} from '../asn1/der.ts';
import { oids } from '../asn1/oid.ts';
import { PkiError } from '../pki-error.ts';
import { belongsTo, type Certificate } from '../x509/certificate.ts';
import { checkKeystorePassword } from './keystore-password.ts';
import { keystoreSeeds, publicSeeds } from './keystore-seeds.ts';
import { type Encrypted, type EncryptionSeeds, encryptWithPassword, encryptWithPasswordNow } from './pbes2.ts';
import { macData } from './pkcs12-mac.ts';

/** The alias of the single entry of a keystore. */
const keyAlias = 'certificate';

/**
 * A PKCS#12 store (RFC 7292) with one entry: a private key and its chain, the leaf first. Equal arguments give equal
 * octets; different arguments give different salts (see keystoreSeeds).
 * @throws PkiError InvalidRequest when the key is not the leaf's, or the password is refused (see keystorePasswordProblem)
 */
export async function encodeKeystore(key: KeyObject, chain: readonly Certificate[], password: string): Promise<Buffer> {
  checkKeystorePassword(password);
  const [leaf, ...intermediates] = chain;
  if (leaf === undefined || !belongsTo(key, leaf)) {
    throw new PkiError('InvalidRequest', 'a keystore needs a chain that begins with the certificate of its key');
  }
  // Readers match a key with its certificate by the localKeyId. Its value is arbitrary.
  const entry = [friendlyName(keyAlias), localKeyId(Buffer.from(leaf.fingerprint, 'hex'))];
  const pkcs8 = key.export({ type: 'pkcs8', format: 'der' });
  const certificates = [certificateBag(leaf, entry), ...intermediates.map((ca) => certificateBag(ca, []))];
  const seeds = keystoreSeeds(key, ['keystore', password, ...chain.map(({ der }) => der)]);
  const [keys, certs] = await Promise.all([
    shroudedKeyBag(pkcs8, entry, password, seeds.encryption('key')),
    encryptedContent(certificates, password, seeds.encryption('certificates')),
  ]);
  return pfx([data(encode(sequence(keys))), certs], password, seeds.salt('mac'));
}

/**
 * A PKCS#12 store of trusted roots, one entry each. Each entry has the attribute by which Java recognises a trusted root.
 * The store does not contain the key. It only derives the salts, because a reader of the store must not be able to predict
 * them (see keystoreSeeds).
 * @throws PkiError InvalidRequest without any root, or when the password is refused (see keystorePasswordProblem)
 */
export async function encodeTruststore(
  roots: readonly Certificate[],
  password: string,
  key: KeyObject,
): Promise<Buffer> {
  const entries = trustedEntries(roots, password);
  const seeds = keystoreSeeds(key, ['truststore', password, ...roots.map(({ der }) => der)]);
  const certs = await encryptedContent(entries, password, seeds.encryption('certificates'));
  return pfx([certs], password, seeds.salt('mac'));
}

/**
 * A truststore whose password is public, as encodeTruststore without a key. Takes about 3 ms on the event loop.
 * @throws PkiError as encodeTruststore
 */
export function encodePublicTruststore(roots: readonly Certificate[], password: string): Buffer {
  const entries = trustedEntries(roots, password);
  const seeds = publicSeeds(roots.map(({ der }) => der));
  const encrypted = encryptWithPasswordNow(encode(sequence(...entries)), password, seeds.encryption('certificates'));
  return pfx([contentInfo(encrypted)], password, seeds.salt('mac'));
}

function trustedEntries(roots: readonly Certificate[], password: string): Asn1[] {
  checkKeystorePassword(password);
  if (roots.length === 0) throw new PkiError('InvalidRequest', 'a truststore needs a root');
  return roots.map((root) =>
    certificateBag(root, [friendlyName(`root-${root.fingerprint.slice(0, 16)}`), trustedForAnyUsage()]),
  );
}

/** A PFX in password integrity mode. */
function pfx(contents: Asn1[], password: string, macSalt: Buffer): Buffer {
  const authenticated = encode(sequence(...contents));
  return encode(sequence(wholeNumber(3), data(authenticated), macData(authenticated, password, macSalt)));
}

/** RFC 5652 4, a ContentInfo of type data. */
const data = (content: Buffer): Asn1 => sequence(oid(oids.data), explicit(0, octetString(content)));

/** RFC 5652 8, a ContentInfo of type encrypted-data with bags. */
const encryptedContent = async (bags: Asn1[], password: string, seeds: EncryptionSeeds): Promise<Asn1> =>
  contentInfo(await encryptWithPassword(encode(sequence(...bags)), password, seeds));

function contentInfo({ algorithm, content }: Encrypted): Asn1 {
  const info = sequence(oid(oids.data), algorithm, implicit(0, content));
  return sequence(oid(oids.encryptedData), explicit(0, sequence(wholeNumber(0), info)));
}

/** RFC 7292 4.2.2. */
async function shroudedKeyBag(
  pkcs8: Buffer,
  attributes: Asn1[],
  password: string,
  seeds: EncryptionSeeds,
): Promise<Asn1> {
  const { algorithm, content } = await encryptWithPassword(pkcs8, password, seeds);
  return bag(oids.pkcs8ShroudedKeyBag, sequence(algorithm, octetString(content)), attributes);
}

/** RFC 7292 4.2.3. */
const certificateBag = ({ der }: Certificate, attributes: Asn1[]): Asn1 =>
  bag(oids.certBag, sequence(oid(oids.x509Certificate), explicit(0, octetString(der))), attributes);

const bag = (type: string, value: Asn1, attributes: Asn1[]): Asn1 =>
  sequence(oid(type), explicit(0, value), ...(attributes.length === 0 ? [] : [setOf(...attributes)]));

const attribute = (type: string, value: Asn1): Asn1 => sequence(oid(type), setOf(value));
const friendlyName = (name: string): Asn1 => attribute(oids.friendlyName, bmpString(name));
const localKeyId = (id: Buffer): Asn1 => attribute(oids.localKeyId, octetString(id));
/** Java ignores a certificate without a key unless it has this attribute. */
const trustedForAnyUsage = (): Asn1 => attribute(oids.trustedKeyUsage, oid(oids.anyExtendedKeyUsage));
