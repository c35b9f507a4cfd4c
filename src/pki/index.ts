export { type CertificateNames, certificateNames } from './alternative-names.ts';
export { encodeCertificates, parseTrustAnchors, type TrustBundle, trustBundle } from './bundle.ts';
export { anchorId, caId, uniqueAnchors } from './ca-id.ts';
export {
  type Certificate,
  isSignedBy,
  parseCertificate,
  parseCertificates,
  sha256Hex,
  subjectText,
} from './certificate.ts';
export {
  type Crl,
  type CrlContent,
  encodeCrls,
  isCrlOf,
  issueCrl,
  maySignCrls,
  namesIssuer,
  parseCrls,
  type RevokedCertificate,
} from './crl.ts';
export { PkiError, type PkiErrorCode } from './error.ts';
export { backdateMs, type IssueContext, issueRoot, type PreparedLeaf, prepareLeaf, type RootProfile } from './issue.ts';
export {
  describeKey,
  describeKeySpec,
  encodePrivateKey,
  generatePrivateKey,
  type KeyEncoding,
  type KeySpec,
  parsePrivateKey,
  privateKeyDer,
  publicKeyDer,
} from './key.ts';
export { parseSoundKey } from './key-pair.ts';
export {
  type LeafChain,
  type LeafRecord,
  leafRecord,
  proveKeyAhead,
  readLeaf,
  readLeafChain,
  resolveLeaf,
  rootSet,
  verifyLeafAhead,
} from './leaf.ts';
export {
  encodeIpAddress,
  encodeSubject,
  isObjectIdentifier,
  type OtherName,
  type Subject,
  type SubjectAltNames,
} from './name.ts';
export { namesOutsideConstraints, namesOutsidePath } from './name-constraints.ts';
export { commonValidity, pathOf } from './path.ts';
export { encodeKeyStore, encodeTrustStore } from './pkcs12.ts';
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
} from './profile.ts';
export { inspectRoot, type RootInspection, type RootProblem, type SigningRoot } from './root.ts';
export { chainWithin, publicKeyDigest, type Remains, remainsOf } from './salvage.ts';
export { storePasswordProblem } from './store-password.ts';
