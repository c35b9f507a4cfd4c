import { type Certificate, type Crl, caId, firstOfEach, type Issuer, isCrlOf, pathOf } from '../../pki/index.ts';
import { crlSigners } from './crl-signers.ts';
import type { Revocation, RevocationState } from './revocation-state.ts';

/**
 * What was published, and is not in the root Secret, or only an older list: somebody has lost or overwritten what was in
 * there while nobody looked. It is believed if the CA that it is of has signed it. An entry stays as long as that CA, since
 * nothing else is known of its certificate.
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

/** A state with the lists of another one that are later, or of other issuers. */
export function withLaterCrls(state: RevocationState, other: RevocationState | undefined): RevocationState {
  const known = distinct([...state.crls, ...(other?.crls ?? [])]);
  const isLast = (crl: Crl) => !known.some((one) => one.number > crl.number && isOfSameIssuer(one, crl));
  return { ...state, crls: known.filter(isLast) };
}

/** True for two lists that name the same issuer. */
export const isOfSameIssuer = (a: Crl, b: Crl): boolean =>
  a.issuer.equals(b.issuer) && a.authorityKeyId === b.authorityKeyId;

/** Each list once, the first of those that are the same. */
export const distinct = (crls: readonly Crl[]): Crl[] => firstOfEach(crls, ({ der }) => der.toString('latin1'));

/** Entries of a list of which nothing else is known: they stay as long as their issuer. */
export const entriesOf = (issuer: Certificate, { revoked }: Crl): Revocation[] =>
  revoked.map((entry) => ({ ...entry, issuer: caId(issuer), notAfter: issuer.notAfter }));
