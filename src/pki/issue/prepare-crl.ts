import { type Asn1, encoded, explicit, implicit, integer, sequence, time } from '../asn1/der.ts';
import { oids } from '../asn1/oid.ts';
import type { Signer } from '../keys/signer.ts';
import { PkiError } from '../pki-error.ts';
import { issuerKeyIdentifier } from '../x509/ca-identity.ts';
import type { Certificate } from '../x509/certificate.ts';
import {
  type Crl,
  type CrlContent,
  isCrlOf,
  maxNumberOctets,
  maySignCrls,
  parseCrl,
  type RevokedCertificate,
} from '../x509/crl.ts';
import { Prepared } from '../x509/prepared.ts';
import { extension, wholeSeconds } from '../x509/tbs-fields.ts';

/**
 * Prepares a CRL of version 2. The signed CRL is read back and verified. Equal content gives equal octets: entries are
 * sorted by serial number, and a serial number that occurs twice keeps its earliest date.
 * @throws PkiError IssuerRefuses when the issuer may not sign CRLs, InvalidRequest
 */
export function prepareCrl(
  { certificate, signer }: { readonly certificate: Certificate; readonly signer: Signer },
  { number, thisUpdate, nextUpdate, revoked }: CrlContent,
): Prepared<Crl> {
  if (!maySignCrls(certificate)) throw new PkiError('IssuerRefuses', 'the key usage of the issuer excludes CRLs');
  if (!(thisUpdate < nextUpdate))
    throw new PkiError('InvalidRequest', 'nextUpdate of a CRL must be later than thisUpdate');
  const entries = sortedEntries(revoked).map(({ serial, revokedAt }) => sequence(serial, instant(revokedAt)));
  return new Prepared(
    (algorithm) =>
      sequence(
        integer(Uint8Array.of(1)),
        algorithm,
        encoded(certificate.subject),
        instant(thisUpdate),
        instant(nextUpdate),
        // RFC 5280 5.1.2.6: without revoked certificates, the list is absent, not empty.
        ...(entries.length === 0 ? [] : [sequence(...entries)]),
        explicit(
          0,
          sequence(
            extension(oids.authorityKeyIdentifier, false, sequence(implicit(0, issuerKeyIdentifier(certificate)))),
            extension(oids.cRLNumber, false, shortInteger(number.toString(16))),
          ),
        ),
      ),
    signer,
    (der) => {
      const crl = parseCrl(der);
      // With a wrong signature on a published CRL, verifiers would refuse every certificate of the issuer.
      if (!isCrlOf(crl, certificate))
        throw new PkiError('VerificationFailed', 'the signature of the new CRL does not verify');
      return crl;
    },
  );
}

function sortedEntries(revoked: readonly RevokedCertificate[]): Array<{ serial: Asn1; revokedAt: Date }> {
  const earliest = new Map<bigint, { serial: Asn1; revokedAt: Date }>();
  for (const { serialNumber, revokedAt } of revoked) {
    const serial = shortInteger(serialNumber);
    const value = BigInt(`0x${serialNumber}`);
    const known = earliest.get(value);
    if (known === undefined || revokedAt < known.revokedAt) earliest.set(value, { serial, revokedAt });
  }
  return [...earliest].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
}

/** An INTEGER from hex digits. @throws PkiError InvalidRequest for other characters or too many digits */
function shortInteger(hex: string): Asn1 {
  const magnitude = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  const isShort = magnitude.length < maxNumberOctets || (magnitude[0] ?? 0x80) < 0x80;
  if (!/^[0-9a-f]+$/.test(hex) || magnitude.length > maxNumberOctets || !isShort) {
    throw new PkiError('InvalidRequest', `a serial or CRL number has 1 to ${maxNumberOctets} octets`);
  }
  return integer(magnitude);
}

/** @throws PkiError InvalidRequest for a time that UTCTime and GeneralizedTime cannot express */
function instant(date: Date): Asn1 {
  const year = date.getUTCFullYear();
  if (!(year >= 1950 && year <= 9999)) throw new PkiError('InvalidRequest', 'a time of a CRL is out of range');
  return time(wholeSeconds(date.getTime()));
}
