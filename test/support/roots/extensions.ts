import * as asn1 from '../../../src/pki/asn1/der.ts';
import { oids } from '../../../src/pki/asn1/oid.ts';

/** An extension of a certificate. */
export const extension = (id: string, value: asn1.Asn1 | Buffer, critical = false): asn1.Asn1 =>
  asn1.sequence(
    asn1.oid(id),
    ...(critical ? [asn1.boolean(true)] : []),
    asn1.octetString(Buffer.isBuffer(value) ? value : asn1.encode(value)),
  );

/** basicConstraints with cA, and optionally a path length. */
export const isCa = (pathLength?: number, critical = true): asn1.Asn1 =>
  extension(
    oids.basicConstraints,
    asn1.sequence(asn1.boolean(true), ...(pathLength === undefined ? [] : [asn1.integer(Uint8Array.of(pathLength))])),
    critical,
  );
export const keyUsage = (bits: readonly number[]): asn1.Asn1 => extension(oids.keyUsage, asn1.namedBits(bits), true);
export const extendedKeyUsage = (...usages: readonly string[]): asn1.Asn1 =>
  extension(oids.extKeyUsage, asn1.sequence(...usages.map(asn1.oid)));
export const subjectKeyId = (id: Buffer): asn1.Asn1 => extension(oids.subjectKeyIdentifier, asn1.octetString(id));
export const authorityKeyId = (id: Buffer): asn1.Asn1 =>
  extension(oids.authorityKeyIdentifier, asn1.sequence(asn1.implicit(0, id)));
/** Name constraints with these `permitted` subtrees, as encoded GeneralNames. */
export const permitting = (...names: readonly asn1.Asn1[]): asn1.Asn1 =>
  extension(
    oids.nameConstraints,
    asn1.sequence(
      asn1.implicitConstructed(
        0,
        names.map((name) => asn1.sequence(name)),
      ),
    ),
    true,
  );
