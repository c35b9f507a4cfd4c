/** Names of the API that people and programs outside of the operator rely on. */
export const group = 'mtls-operator.io';
export const version = 'v1alpha1';
export const apiVersion = `${group}/${version}`;

/** The value of managed-by, the field manager, the reporting controller, and the name of the Lease. */
export const managerName = 'mtls-operator';

/** The authority that a certificate uses when it names none. */
export const defaultAuthorityName = 'default';

export const labels = {
  managedBy: 'app.kubernetes.io/managed-by',
  certificate: `${group}/certificate`,
  role: `${group}/role`,
  /** On what is published for an authority: its name. */
  authority: `${group}/authority`,
} as const;

export const annotations = {
  /** On an MtlsCertificate: the token of a wanted rotation. On a Secret: the token that its content was issued for, see mayFulfilRequest. */
  rotate: `${group}/rotate`,
  /** The same for a wanted revocation of what is in the Secrets, which is then issued anew. */
  revoke: `${group}/revoke`,
  /** On an MtlsCertificate: the token of a request to try at once what failed or waits. It makes no new key by itself. */
  retry: `${group}/retry`,
  /** On an MtlsAuthority: the token of a wanted rotation of the root. */
  rotateRoot: `${group}/rotate-root`,
  /** On an MtlsAuthority: the id of the rotation whose certificates may switch to the new root. */
  approveRotation: `${group}/approve-rotation`,
  /** On an MtlsAuthority: what a phase of a rotation does not wait for, as `<id>/<phase>` or `<id>/<phase>/<namespace>`. */
  skipGate: `${group}/skip-gate`,
  /** On an MtlsAuthority: the id of the rotation that is to go back to the old root. */
  abortRotation: `${group}/abort-rotation`,
  /** On a root Secret: the state of the rotation under way, as JSON, written together with the keys it is about. */
  rotation: `${group}/rotation`,
  /** On a root Secret: the id of the rotation that ended last. */
  endedRotation: `${group}/ended-rotation`,
  /** On a Secret: its own name. A copy under another name carries the name of the original, and is never deleted. */
  secretName: `${group}/secret-name`,
  /** On a Secret that is kept when its resource is deleted, and has no ownerReference therefore: the UID of the resource. */
  certificateUid: `${group}/certificate-uid`,
  /** On a Secret: how many times its content has been issued. */
  revision: `${group}/revision`,
  /** On a Secret: which keys of its metadata come from secretTemplate, so that they can be taken off again. */
  template: `${group}/template`,
  /** On a Secret: what of its data are further outputs, and what they were made from, as JSON. */
  outputs: `${group}/outputs`,
} as const;

/** Keys of the data of a written Secret, and of a root Secret. */
export const secretKeys = { certificate: 'tls.crt', privateKey: 'tls.key', bundle: 'ca.crt' } as const;

/** The key that holds CRLs: of a root Secret, of a written Secret that asks for them, and of a published ConfigMap. */
export const crlKey = 'ca.crl';

/** Further keys of the data of a written Secret, which spec.outputs asks for. */
export const outputKeys = {
  combinedPem: 'tls-combined.pem',
  der: 'key.der',
  keystore: 'keystore.p12',
  truststore: 'truststore.p12',
  crl: crlKey,
} as const;

/** The key of a root Secret that remembers until when the entries of its CRLs have to be there. */
export const revocationsKey = 'revoked.json';

/** Further keys of a root Secret during a rotation: the root that comes, and the one that goes. */
export const rotationKeys = {
  next: { certificate: 'next.crt', privateKey: 'next.key' },
  previous: { certificate: 'previous.crt', privateKey: 'previous.key' },
} as const;

/** The type of every Secret that the operator writes. */
export const secretType = 'kubernetes.io/tls';

/** Reasons of the condition Ready of an MtlsCertificate. */
export type CertificateReason =
  | 'Issued'
  | 'Pending'
  | 'AuthorityNotFound'
  | 'AuthorityNotReady'
  | 'Denied'
  | 'NameConstrained'
  | 'InvalidSpec'
  | 'SecretConflict'
  | 'Deleting'
  | 'SecretContested'
  | 'SecretImmutable'
  | 'CrlUnavailable'
  | 'CrlShareExhausted'
  | 'KeystorePasswordNotFound'
  | 'KeystorePasswordInvalid'
  | 'IssuanceFailed'
  | 'Expired';
