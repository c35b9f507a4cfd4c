import {
  type Certificate,
  type Crl,
  caId,
  encodeCrls,
  type Issuer,
  isCrlOf,
  pathOf,
  sha256Hex,
  subjectText,
} from '../../pki/index.ts';
import { type CrlEntries, countEntries } from './crl-shares.ts';
import { crlSigners } from './crl-signers.ts';
import type { CrlContext, RevocationState } from './revocation-state.ts';

/** The CRLs of an authority, as they are published. */
export interface CrlBundle {
  readonly pem: string;
  /** SHA-256 of the PEM, lower-case hex. */
  readonly digest: string;
  /** Serial numbers of the revoked leaves. */
  readonly revoked: ReadonlySet<string>;
  /** The number of entries, at most maxRevocations. */
  readonly entries: CrlEntries;
  /** The identities of the CAs whose leaves can be revoked, see caId: the root Secret holds their keys. */
  readonly issuers: readonly string[];
  /** When the first CRL that the operator renews expires. */
  readonly nextUpdate: Date;
  /** CAs with leaves in use whose CRLs cannot be renewed, because their keys are gone. */
  readonly unrenewable: readonly UnrenewableCrl[];
}

/** The last CRL of a CA whose key is gone. */
export interface UnrenewableCrl {
  /** The identity of the CA, see caId. */
  readonly issuer: string;
  /** Its subject, for messages. */
  readonly subject: string;
  readonly nextUpdate: Date;
}

/** The CRLs of a root Secret as they are published. Undefined when no signer has issued one. */
export function crlBundle(
  { crls, revocations, issuers: remembered = [] }: RevocationState,
  signers: readonly Issuer[],
  { isInUse = () => true }: Pick<CrlContext, 'isInUse'> = {},
): CrlBundle | undefined {
  const issuers = crlSigners(signers).map(({ certificate }) => certificate);
  const listsOf = (ca: Certificate) => crls.filter((crl) => isCrlOf(crl, ca));
  const own = issuers.flatMap(listsOf);
  const [first, ...more] = own;
  if (first === undefined) return undefined;
  const pem = encodeCrls(crls);
  const onPath = new Set(signers.flatMap((signer) => [signer.certificate, ...pathOf(signer)]).map(caId));
  const unrenewable = remembered.filter((ca) => !onPath.has(caId(ca)) && listsOf(ca).length > 0 && isInUse(caId(ca)));
  return {
    pem,
    digest: sha256Hex(pem),
    revoked: new Set(crls.flatMap(({ revoked }) => revoked.map(({ serialNumber }) => serialNumber))),
    entries: countEntries(revocations),
    issuers: [...new Set(issuers.map(caId))],
    nextUpdate: more.reduce((least, { nextUpdate }) => (nextUpdate < least ? nextUpdate : least), first.nextUpdate),
    unrenewable: unrenewable.map((ca) => ({
      issuer: caId(ca),
      subject: subjectText(ca),
      nextUpdate: lastUpdate(listsOf(ca)),
    })),
  };
}

const lastUpdate = (crls: readonly Crl[]): Date =>
  new Date(Math.max(...crls.map(({ nextUpdate }) => nextUpdate.getTime())));
