export { type IssuedLeaf, issueLeaf, type LeafIssuer } from './issue/issue-leaf.ts';
export {
  backdateMs,
  type IssueContext,
  prepareLeaf,
  prepareRoot,
  type RootProfile,
  type Validity,
} from './issue/prepare-certificate.ts';
export { prepareCrl } from './issue/prepare-crl.ts';
export { type Issuer, type IssuerInspection, inspectIssuer, type RootProblem } from './issuer/issuer.ts';
export {
  type OfferedRoot,
  type OfferedRootProblem,
  offeredRootsLimits,
  readOfferedRoots,
} from './issuer/offered-roots.ts';
export { parsePublicKey, publicKeyInRequest } from './keys/certification-request.ts';
export { generatePrivateKey } from './keys/generate-key.ts';
export {
  describeKey,
  describeKeySpec,
  encodePrivateKey,
  type KeyEncoding,
  type KeySpec,
  parsePrivateKey,
  privateKeyDer,
  publicKeyDer,
} from './keys/key.ts';
export { parseValidKey } from './keys/key-pair-check.ts';
export { KeySigner, type Signer } from './keys/signer.ts';
export { keystorePasswordProblem } from './keystore/keystore-password.ts';
export { encodeKeystore, encodePublicTruststore, encodeTruststore } from './keystore/pkcs12.ts';
export {
  type LeafChain,
  type LeafRecord,
  leafRecord,
  proveKeyAhead,
  readLeaf,
  readLeafChain,
  resolveLeaf,
  verifyLeafAhead,
} from './leaf/leaf-record.ts';
export { chainWithin, publicKeyDigest, type RecoverableLeaf, recoverLeaf } from './leaf/recoverable-leaf.ts';
export { PkiError, type PkiErrorCode } from './pki-error.ts';
export { anchorId, caId, uniqueAnchors } from './x509/ca-identity.ts';
export {
  type Certificate,
  isSignedBy,
  parseCertificate,
  parseCertificates,
  sha256Hex,
  subjectText,
} from './x509/certificate.ts';
export { commonValidity, pathOf } from './x509/certification-path.ts';
export {
  type Crl,
  type CrlContent,
  encodeCrls,
  isCrlOf,
  maySignCrls,
  namesIssuer,
  parseCrls,
  type RevokedCertificate,
} from './x509/crl.ts';
export {
  encodeIpAddress,
  encodeSubject,
  isObjectIdentifier,
  type OtherName,
  type Subject,
  type SubjectAltNames,
} from './x509/distinguished-name.ts';
export { firstOfEach } from './x509/first-of-each.ts';
export {
  type ExtendedUsage,
  encodedLeafProfile,
  isExtendedUsage,
  type LeafProfile,
  type LeafUsage,
  maxCommonNameLength,
  profileDigest,
  type Role,
  usageFits,
} from './x509/leaf-profile.ts';
export { namesOutsideConstraints, namesOutsidePath } from './x509/name-constraints.ts';
export { Prepared } from './x509/prepared.ts';
export { type CertificateNames, certificateNames } from './x509/subject-alt-names.ts';
export { encodeCertificates, ownRoots, parseTrustAnchors, type TrustBundle, trustBundle } from './x509/trust-bundle.ts';
