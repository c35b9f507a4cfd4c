/** Names that users and other programs rely on. */
export const group = 'mtls-operator.io';
export const version = 'v1alpha1';
export const apiVersion = `${group}/${version}`;

/** The value of managed-by, the field manager, the reporting controller, and the name of the Lease. */
export const managerName = 'mtls-operator';

/** The authority of an MtlsCertificate without authorityRef. */
export const defaultAuthorityName = 'default';

export const labels = {
  /** On every object that the operator writes: `mtls-operator`. */
  managedBy: 'app.kubernetes.io/managed-by',
  /** On a Secret: the name of its MtlsCertificate. */
  certificate: `${group}/certificate`,
  /** On a Secret: the role that it is for, `server`, `client` or `peer`. */
  role: `${group}/role`,
  /**
   * On a ConfigMap or ClusterTrustBundle: the authority whose roots it publishes. A name of more than 63 characters is replaced
   * by its beginning and a digest.
   */
  authority: `${group}/authority`,
} as const;

export const annotations = {
  /**
   * On an MtlsCertificate: a new value requests a new key and certificate in every Secret of the resource. `status.lastHandledRotate` repeats the value.
   * On a Secret: the value that its content was issued for.
   */
  rotate: `${group}/rotate`,
  /**
   * On an MtlsCertificate: a new value requests that the certificates in the Secrets are revoked and issued again. `status.lastHandledRevoke` repeats the value.
   * On a Secret: the value that its content was issued for.
   */
  revoke: `${group}/revoke`,
  /** On an MtlsCertificate: a new value makes the operator retry failed and delayed work at once. It replaces no valid key. `status.lastHandledRetry` repeats the value. */
  retry: `${group}/retry`,
  /**
   * On an MtlsAuthority: a new value requests a rotation of the root. `status.lastHandledRotateRoot` repeats the value.
   * On a root Secret: the value that the operator acted on last.
   */
  rotateRoot: `${group}/rotate-root`,
  /** On an MtlsAuthority: the id of the rotation whose certificates may switch to the new root. */
  approveRotation: `${group}/approve-rotation`,
  /** On an MtlsAuthority: the phase of a rotation that must not wait any longer: `<id>/<phase>`, or `<id>/<phase>/<namespace>` for one namespace. */
  skipGate: `${group}/skip-gate`,
  /** On an MtlsAuthority: the id of the rotation that goes back to the old root. */
  abortRotation: `${group}/abort-rotation`,
  /**
   * On an object with roots: the name of the MtlsAuthority whose own roots the operator keeps in every `caBundle` of the object.
   * It needs `--inject-ca`.
   */
  injectCaFrom: `${group}/inject-ca-from`,
  /** On a root Secret: the state of the rotation in progress, as JSON, written together with the keys. */
  rotation: `${group}/rotation`,
  /** On a root Secret: until when pods may hold certificates that are in no Secret, by the CA that issued them, as JSON. */
  podCertificates: `${group}/pod-certificates`,
  /** On a root Secret: the id of the rotation that ended last. */
  endedRotation: `${group}/ended-rotation`,
  /** On a pod template: the phase of a rotation for which the operator restarted the workload, as `<authority>/<id>/<phase>`, with `/aborting` at the end in a rotation that goes back. */
  restartedFor: `${group}/restarted-for`,
  /** On a Secret: its own name. A copy under another name carries the name of the original, and the operator never deletes it. */
  secretName: `${group}/secret-name`,
  /** On a Secret: the UID of its resource, when `deletionPolicy: Retain` leaves it without an ownerReference. */
  certificateUid: `${group}/certificate-uid`,
  /** On a Secret: how many times its content has been issued. */
  revision: `${group}/revision`,
  /**
   * On a Secret: the keys of its metadata that come from `secretTemplate`, as JSON, so that the operator can remove them.
   * On a published ConfigMap: the same for `configMap.labels` and `configMap.annotations`.
   */
  template: `${group}/template`,
  /**
   * On a Secret: the keys of its data that `spec.outputs` requested, and the sources of their content, as JSON.
   * On a published ConfigMap: the key of the truststore, and a digest of truststore and roots, as JSON.
   */
  outputs: `${group}/outputs`,
} as const;

/** Keys of `userAnnotations` of a podCertificate source. Each value is a list with commas. */
export const podAnnotations = {
  /**
   * Names of Services that select the pod, with commas between them. The certificate has the DNS names `<service>.<namespace>`,
   * `<service>.<namespace>.svc` and `<service>.<namespace>.svc.<clusterDomain>` of each. It has the bare name `<service>` only
   * if a grant allows it.
   */
  services: `${group}/services`,
  /** DNS names, with commas between them. Each needs a grant, except the pod's hostname before a DNS name of a Service in the list of Services. */
  dnsNames: `${group}/dns-names`,
  /** IP addresses, with commas between them. Each needs a grant. */
  ipAddresses: `${group}/ip-addresses`,
} as const;

/** Annotations by which other programs are asked to fill the `caBundle` of an object. The operator leaves such an object alone. */
export const otherInjectors = [
  'cert-manager.io/inject-ca-from',
  'cert-manager.io/inject-ca-from-secret',
  'cert-manager.io/inject-apiserver-ca',
  'service.beta.openshift.io/inject-cabundle',
] as const;

/** Keys in the data of a Secret with a certificate, and of a root Secret. */
export const secretKeys = { certificate: 'tls.crt', privateKey: 'tls.key', bundle: 'ca.crt' } as const;

/** The key for CRLs in a root Secret, in a Secret of an MtlsCertificate with `spec.outputs.crl`, and in a published ConfigMap. */
export const crlKey = 'ca.crl';

/** The keys in the data of a Secret that `spec.outputs` adds. */
export const outputKeys = {
  combinedPem: 'tls-combined.pem',
  der: 'key.der',
  keystore: 'keystore.p12',
  truststore: 'truststore.p12',
  crl: crlKey,
} as const;

/** The key in a root Secret with the expiry of each revoked certificate. Until then the certificate stays on a CRL. */
export const revocationsKey = 'revoked.json';

/** Further keys of a root Secret during a rotation: the new root before it signs, and the old root after that. */
export const rotationKeys = {
  next: { certificate: 'next.crt', privateKey: 'next.key' },
  previous: { certificate: 'previous.crt', privateKey: 'previous.key' },
} as const;

/** The type of every Secret that the operator writes. */
export const secretType = 'kubernetes.io/tls';
