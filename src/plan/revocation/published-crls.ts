import { type Certificate, type Crl, caId, firstOfEach, type Issuer, isCrlOf, pathOf } from '../../pki/index.ts';
import { crlSigners } from './crl-signers.ts';
import type { Revocation, RevocationState } from './revocation-state.ts';

/**
 * The published CRLs that are newer than the root Secret's, or missing there: another client lost or overwrote the
 * content of the Secret while no operator ran. A published CRL counts only if a known CA signed it. Its entries stay as
 * long as that CA, because nothing else is known about their certificates.
 */
export function publishedState(
  published: readonly Crl[],
  { crls, issuers = [] }: RevocationState,
  signers: readonly Issuer[],
  trusted: readonly Certificate[],
): RevocationState {
  const ahead = published.filter((crl) => !crls.some((own) => isOfSameIssuer(own, crl) && own.number >= crl.number));
  const issued = (certificate: Certificate) => ahead.filter((crl) => isCrlOf(crl, certificate));
  const cas = [...trusted, ...signers.flatMap(pathOf), ...issuers];
  return {
    crls: distinct(cas.flatMap(issued)),
    revocations: crlSigners(signers).flatMap(({ certificate }) =>
      issued(certificate).flatMap((crl) => entriesOf(certificate, crl)),
    ),
  };
}

/** Adds the CRLs of another state that are newer or have other issuers. */
export function withLaterCrls(state: RevocationState, other: RevocationState | undefined): RevocationState {
  const known = distinct([...state.crls, ...(other?.crls ?? [])]);
  const isLast = (crl: Crl) => !known.some((one) => one.number > crl.number && isOfSameIssuer(one, crl));
  return { ...state, crls: known.filter(isLast) };
}

/** True for two CRLs that name the same issuer. */
export const isOfSameIssuer = (a: Crl, b: Crl): boolean =>
  a.issuer.equals(b.issuer) && a.authorityKeyId === b.authorityKeyId;

/** Removes duplicates and keeps the first of them. */
export const distinct = (crls: readonly Crl[]): Crl[] => firstOfEach(crls, ({ der }) => der.toString('latin1'));

/** The entries of a CRL. The expiry of their certificates is unknown, so they stay as long as their issuer. */
export const entriesOf = (issuer: Certificate, { revoked }: Crl): Revocation[] =>
  revoked.map((entry) => ({ ...entry, issuer: caId(issuer), notAfter: issuer.notAfter }));
