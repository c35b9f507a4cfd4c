/**
 * The reasons of conditions and events. docs/reference/conditions.md and events.md are generated from the comments in this
 * file: the meaning comes first, and `@action` says what a person does about it.
 */

/** Reasons of the condition Ready of an MtlsCertificate. */
export type CertificateReason =
  /** Every Secret holds a valid certificate for the spec. `Ready` is True. */
  | 'Issued'
  /**
   * Status Unknown: the operator has not seen the resource yet. Status False: a key is being generated (large RSA keys take
   * seconds), the root is being created, or a step waits for the CRL.
   * @action Wait. If Unknown stays, no operator is running or it cannot reach the API server.
   */
  | 'Pending'
  /**
   * There is no MtlsAuthority of that name. The Secrets stay as they are.
   * @action Create the MtlsAuthority, or correct `spec.authorityRef.name`.
   */
  | 'AuthorityNotFound'
  /**
   * The authority cannot sign; the message has its reason. Certificates that were issued before keep working.
   * @action Fix the authority: see its condition `Ready`.
   */
  | 'AuthorityNotReady'
  /**
   * The namespace may not have a requested name, usage or subject value, or `spec.duration` is longer than the authority
   * allows.
   * @action Request a name from the message, or have an administrator grant this one (`issuance.allow` of the authority).
   */
  | 'Denied'
  /**
   * The root that you brought has name constraints, and at least one TLS library reads them as excluding a requested name.
   * @action Use another authority, or remove the name. A common name counts as a host name.
   */
  | 'NameConstrained'
  /**
   * The spec holds a value that the current schema refuses and an earlier schema accepted, or a combination of values that no
   * certificate can have.
   * @action Correct the field that the message names.
   */
  | 'InvalidSpec'
  /**
   * The Secret exists and belongs to another owner, or another resource has claimed its name. The operator does not change it.
   * @action Delete the Secret, hand it over with the command in the message, or set another `secretName`.
   */
  | 'SecretConflict'
  /**
   * The resource is being deleted, a finalizer keeps it, and one of its Secrets is gone. The operator does not create it again.
   * @action Remove the finalizer when its owner is done.
   */
  | 'Deleting'
  /**
   * Another client keeps changing or deleting the Secret. The message names its field manager and the fields.
   * @action Stop that client, or set another `secretName`.
   */
  | 'SecretContested'
  /**
   * Another client has set `immutable: true` on the Secret, and a finalizer keeps the operator from replacing the Secret.
   * @action Run the command in the message.
   */
  | 'SecretImmutable'
  /**
   * `outputs.crl` or the annotation `revoke` needs a CRL, and the root or intermediate that you brought may not sign one: its
   * key usage lacks `cRLSign`.
   * @action Rotate instead of revoking, or bring a CA with `cRLSign`.
   */
  | 'CrlUnavailable'
  /**
   * The annotation `revoke` is set, and the namespace has used up its share of the CRL. The certificates stay in place and
   * keep working.
   * @action Rotate the root to empty the CRL, or wait until revoked certificates of the namespace expire.
   */
  | 'CrlShareExhausted'
  /**
   * `outputs.pkcs12` names a Secret that does not exist. The operator issues nothing until it does.
   * @action Create the Secret with the password.
   */
  | 'KeystorePasswordNotFound'
  /**
   * The password Secret lacks the key, or its value is empty, ends with a line break, or is not printable ASCII.
   * @action Correct the password Secret.
   */
  | 'KeystorePasswordInvalid'
  /**
   * The API server refused the Secret (a quota, an admission policy, RBAC), or the check before signing found a bug of the
   * operator. `status.failures` has the cause for each role and the time of the next attempt.
   * @action Remove the cause, and retry at once with the annotation `retry`. Report a bug of the operator.
   */
  | 'IssuanceFailed'
  /**
   * The operator runs with `--watch-namespaces`, and may not read the Secrets or the labels of the namespace. The Secrets stay as
   * they are.
   * @action Grant the right in the message.
   */
  | 'NamespaceUnreadable'
  /**
   * The certificate has expired: its renewal fails, or its root has expired.
   * @action Read the condition `Issuing`, and `Ready` of the authority.
   */
  | 'Expired';

/** Reasons of the condition Issuing of an MtlsCertificate while it is False. While it is True, it has a reason of Ready. */
export type IssuingReason =
  /** No certificate waits to be issued. */
  | 'Issued'
  /**
   * No certificate can be issued now.
   * @action Read the condition `Ready`.
   */
  | 'Blocked';

/** Reasons of the condition Ready of an MtlsAuthority, besides those about its root. */
export type AuthorityReason =
  /** The authority signs. `Ready` is True. */
  | 'Ready'
  /**
   * The root is being created.
   * @action Wait.
   */
  | 'Pending'
  /**
   * The spec holds an invalid value, for example a duration or the key size in `spec.root`.
   * @action Correct the field that the message names.
   */
  | 'InvalidSpec'
  /**
   * The root Secret does not exist, and there is no `spec.root` to create a root from.
   * @action Create the Secret with `tls.crt` and `tls.key`.
   */
  | 'RootMissing'
  /**
   * Another root overwrote the signing root, and the operator has just noticed.
   * @action Wait: `RootDistributing` follows.
   */
  | 'RootReplaced'
  /**
   * Another root overwrote the signing root, or the root Secret was lost. The new root signs as soon as every pod has
   * had time to load it.
   * @action Wait, or run the command in the message to skip the wait. Put the old root back to end the rotation.
   */
  | 'RootDistributing';

/** Reasons of the condition Rotating of an MtlsAuthority. A reason that begins with Next is a reason of Ready for next.crt. */
export type RotatingReason =
  /** Status True. Bundles get the new root, and the old root signs. */
  | 'Distributing'
  /** Status True. The new root signs, and the certificates are issued again. */
  | 'Switching'
  /** Status True. Every certificate is issued by the new root, and pods load them. */
  | 'Draining'
  /** Status True. Bundles lose the old root. */
  | 'Retiring'
  /** Status False. The last rotation is complete: the new root signs. */
  | 'RotationCompleted'
  /** Status False. The last rotation was aborted: the previous root signs. */
  | 'RotationAborted'
  /** Status False. No rotation is in progress. */
  | 'NoRotation'
  /**
   * Status False. A rotation was requested, and there is no `spec.root` to create a root from.
   * @action Put the next root into the root Secret as `next.crt` and `next.key`.
   */
  | 'NextRootMissing'
  /**
   * Status False. A rotation is due, and `spec.root` holds an invalid duration or key size.
   * @action Correct `spec.root`.
   */
  | 'InvalidSpec';

/** Reasons of the condition TrustPublished of an MtlsAuthority. */
export type TrustReason =
  /** Every ConfigMap and ClusterTrustBundle of `spec.trustBundle` holds the current roots. `TrustPublished` is True. */
  | 'Published'
  /**
   * As `Published`, in the namespaces of `--watch-namespaces`. Other namespaces get no roots, even if `spec.trustBundle` selects
   * them. `TrustPublished` is True.
   * @action Nothing, or add a namespace to `watchNamespaces`.
   */
  | 'PublishedInWatchedNamespaces'
  /**
   * Some objects are not written yet.
   * @action Wait.
   */
  | 'Pending'
  /** `spec.trustBundle` was removed. */
  | 'NotRequested'
  /**
   * The root cannot sign. The published objects stay as they are.
   * @action Fix the root: see the condition `Ready`.
   */
  | 'AuthorityNotReady'
  /**
   * In the namespaces that the message lists, the ConfigMap belongs to another owner. Or an object with the annotation
   * `inject-ca-from` also has an annotation of another injector. The operator does not change it.
   * @action Delete or rename that ConfigMap, or change `configMap.name`. Remove one of the two annotations.
   */
  | 'TrustConflict'
  /**
   * Another client keeps changing the object. The operator repairs it three times at once, then after 30 seconds, doubling to
   * 20 minutes.
   * @action Stop the client that the message names.
   */
  | 'TrustContested'
  /**
   * The API server refuses the write for the reason in the message, such as a quota or an admission policy; or a finalizer
   * keeps an immutable object that was deleted.
   * @action Remove the cause.
   */
  | 'PublishingFailed'
  /**
   * The ConfigMaps are published without the truststore, or without the truststore and the CRLs, because they would become too
   * large with them. `ca.crt` is complete.
   * @action Publish fewer roots, or remove `configMap.truststore` and mount `ca.crt`.
   */
  | 'BundleTooLarge'
  /**
   * The cluster does not serve ClusterTrustBundles of certificates.k8s.io/v1 (Kubernetes 1.37).
   * @action Set `clusterTrustBundle: false`, or upgrade the cluster.
   */
  | 'ClusterTrustBundleNotServed'
  /**
   * The operator runs with `--watch-namespaces`. It has no rights outside these namespaces, so it publishes no ClusterTrustBundle.
   * @action Set `clusterTrustBundle: false`, or run the operator without `--watch-namespaces`.
   */
  | 'ClusterTrustBundleNotWatched'
  /**
   * The operator runs with `--watch-namespaces`, and may not read the ConfigMaps or the labels of a namespace that the message lists.
   * @action Grant the right in the message.
   */
  | 'NamespaceUnreadable'
  /**
   * The operator runs with `--inject-ca`, and may not read objects of a kind that the message lists. Other kinds are injected.
   * @action Set `injectCA.enabled` of the chart, or grant the right in the message.
   */
  | 'InjectionForbidden'
  /**
   * An object with the annotation `inject-ca-from` has no place for roots: a CustomResourceDefinition without a conversion webhook,
   * an APIService with `insecureSkipTLSVerify` or without a Service, or a configuration without webhooks.
   * @action Change the object, or remove its annotation.
   */
  | 'InjectionImpossible';

/** Reasons of the events of an object with the annotation `mtls-operator.io/inject-ca-from`. Each is a Warning. */
export type InjectionEvent =
  /**
   * The MtlsAuthority that the annotation names does not exist. The `caBundle` stays as it is.
   * @action Create the authority, or correct the annotation.
   */
  | 'AuthorityNotFound'
  /**
   * The root of the authority cannot sign. The `caBundle` stays as it is.
   * @action Fix the root: see the condition `Ready` of the authority.
   */
  | 'AuthorityNotReady'
  /**
   * Another annotation gives the `caBundle` to another program. The operator does not change it.
   * @action Remove one of the two annotations.
   */
  | 'InjectionConflict'
  /**
   * The object has no place for roots.
   * @action Change the object, or remove its annotation.
   */
  | 'InjectionImpossible';

/** Reasons of the condition AdditionalRootsAccepted of an MtlsAuthority. If several apply, the first of this list is the reason. */
export type AdditionalRootsReason =
  /**
   * Every certificate that the operator uses of the sources of `spec.trustBundle.additional` is in the bundle.
   * `AdditionalRootsAccepted` is True. A changed source may have to wait before the operator uses the change.
   */
  | 'Accepted'
  /** `spec.trustBundle.additional` was removed. */
  | 'NotRequested'
  /**
   * A ConfigMap or Secret does not exist in the operator's namespace, or lacks the key. Its roots are left out.
   * @action Create it, or remove the source from `spec.trustBundle.additional`.
   */
  | 'SourceMissing'
  /**
   * The operator may not read a source. The roots that it read from the source earlier stay, until the operator restarts.
   * @action Grant the operator the verb get on the object.
   */
  | 'SourceUnreadable'
  /**
   * A source holds more than 256 KiB or 128 certificates, or holds no PEM, or is an object that the operator publishes. It is left out.
   * @action Write only the roots into it, as PEM. Copy roots that another authority publishes into a ConfigMap of your own.
   */
  | 'SourceInvalid'
  /**
   * A certificate of a source cannot be a root: it is a leaf, an intermediate, damaged or weak, or it is not a certificate. The
   * message names it. It is left out, and the other certificates of the source are published.
   * @action Replace it by the root of that CA.
   */
  | 'RootRefused'
  /**
   * A root of a source has expired. It left the bundle when it expired.
   * @action Replace it by the next root of that CA, or remove it.
   */
  | 'RootExpired'
  /**
   * A root of a source is not valid yet. It joins the bundle when it becomes valid.
   * @action Wait, or check the clock.
   */
  | 'RootNotYetValid'
  /**
   * All sources together hold more than 64 roots or 128 KiB of PEM. The sources that did not fit are left out.
   * @action Remove roots that your programs do not need.
   */
  | 'BundleFull';

/** Reasons of the condition IssuerKeyMissing of an MtlsAuthority, which reports trouble while it is True. */
export type IssuerKeyReason =
  /**
   * Status True. A CA whose certificates are in use was overwritten, and its key is gone. Its CRL cannot be renewed and its
   * certificates cannot be revoked. The operator issues them again before the CRL ends.
   * @action Nothing, or put the certificate and the key of that CA into `previous.crt` and `previous.key`.
   */
  | 'CrlCannotBeRenewed'
  /** Status False. The operator has the key of every CA whose certificates are in use. */
  | 'KeysPresent';

/** Reasons of the condition CrlNearlyFull of an MtlsAuthority, which reports trouble while it is True. */
export type CrlNearlyFullReason =
  /**
   * Status True. At least 80 % of the entries are in use. The message names the namespaces with the most entries.
   * @action Rotate the root, and lower `issuance.maxDuration`.
   */
  | 'EntriesAboveThreshold'
  /** Status False. Less than 80 % of the entries are in use. */
  | 'EntriesBelowThreshold';

/** Reasons of the Normal events of an MtlsCertificate. */
export type CertificateEvent =
  /** The first certificate of a Secret was issued, or the Secret did not exist. */
  | 'Issued'
  /** A certificate was renewed. */
  | 'Renewed'
  /** A certificate and its key were replaced because of the annotation `rotate`. */
  | 'Rotated'
  /**
   * A certificate was revoked and replaced because of the annotation `revoke`. The note has the serial number of the new
   * certificate. The event `CertificatesRevoked` of the MtlsAuthority has the revoked serial numbers.
   */
  | 'Revoked'
  /** A certificate was issued again because the spec or the root changed. */
  | 'Reissued'
  /** A Secret that another client had damaged was restored. */
  | 'Repaired'
  /** The operator took over a Secret that its labels and annotation hand over to the resource. */
  | 'SecretAdopted'
  /** The operator deleted a Secret of its own. The note says why. */
  | 'SecretDeleted';

/** Reasons of the events of an MtlsAuthority. A reason with `@action` is a Warning. */
export type AuthorityEvent =
  /** The operator created a root and wrote it into the root Secret. */
  | 'RootCreated'
  /** The root was renewed with the same key, or another root overwrote the signing root. The earlier root stays trusted. */
  | 'RootReplaced'
  /** `next.crt` has the same root as the signing intermediate, so the new intermediate signs at once. */
  | 'IssuerReplaced'
  /** The last certificate of a replaced intermediate is gone, and its key is destroyed. */
  | 'IssuerRetired'
  /** A rotation of the root has started. */
  | 'RotationStarted'
  /** The annotation `approve-rotation` has approved the switch. */
  | 'RotationApproved'
  /** The annotation `skip-gate` has skipped a phase, or a namespace in a phase. */
  | 'RotationGateSkipped'
  /**
   * The operator restarted a Deployment, StatefulSet or DaemonSet, because its pods do not load the changed roots or certificates
   * otherwise (`spec.rotation.restartWorkloads`). The event is on the workload and on the MtlsAuthority.
   */
  | 'WorkloadRestarted'
  /** The rotation has reached the phase Switching. */
  | 'RotationSwitching'
  /** The rotation has reached the phase Draining. */
  | 'RotationDraining'
  /** The rotation has reached the phase Retiring. */
  | 'RotationRetiring'
  /** The rotation is complete, and the key of the old root is destroyed. */
  | 'RotationCompleted'
  /** The annotation `abort-rotation` has turned the rotation around: the old root signs again. */
  | 'RotationAborting'
  /** The rotation was aborted, and the key of the other root is destroyed. */
  | 'RotationAborted'
  /** The next root was removed from the root Secret, or can no longer be used. The rotation is over. */
  | 'RotationWithdrawn'
  /**
   * The annotation `abort-rotation` came too late, or the key of the old root is gone.
   * @action Let the rotation finish, or put the old root back into `tls.crt` and `tls.key`.
   */
  | 'AbortRefused'
  /**
   * The value of `approve-rotation`, `skip-gate` or `abort-rotation` does nothing. The event is Normal when the value names
   * another rotation.
   * @action Use the value that the note shows.
   */
  | 'AnnotationIgnored'
  /** `next.crt` and `next.key` wait for the end of the rotation in progress. */
  | 'NextRootWaits'
  /** Certificates were added to the CRL. The note has their serial numbers. */
  | 'CertificatesRevoked'
  /**
   * Revoked certificates are on no CRL because the operator lacks the key of their issuer.
   * @action Rotate the root: peers refuse these certificates when their root is no longer trusted.
   */
  | 'CertificatesNotListed';

/** Reasons of the condition PodCertificatesServed of an MtlsAuthority. */
export type PodCertificatesReason =
  /** The operator answers the requests of pods. The condition is True. */
  | 'Serving'
  /** `spec.podCertificates` is not set. Nothing answers requests for the signer of the authority. */
  | 'NotRequested'
  /**
   * The operator runs without `--pod-certificates`.
   * @action Set `podCertificates.enabled` in the chart, or add the flag and its rights.
   */
  | 'NotEnabled'
  /**
   * The API server does not serve certificates.k8s.io/v1 PodCertificateRequests.
   * @action Use Kubernetes 1.37 or later, or enable the API.
   */
  | 'NotServed'
  /**
   * The API server forbids the operator to watch PodCertificateRequests. With `--watch-namespaces`, the message names the namespaces.
   * @action Set `podCertificates.enabled` in the chart, or grant the rights that its Roles have.
   */
  | 'Forbidden'
  /** The first list of the requests is not complete yet. */
  | 'Pending'
  /**
   * The authority cannot sign. Requests wait.
   * @action Fix the authority: see its condition `Ready`.
   */
  | 'AuthorityNotReady';

/**
 * Why a PodCertificateRequest is denied or waits. A denial is final for the pod, because kubelet does not ask again. So the
 * operator denies only what the author of the pod has to change. A reason that an administrator has to remove denies the request of
 * a new pod. For a pod that already runs, the request waits.
 */
export type PodCertificateReason =
  /**
   * Denied. The pod of the request does not exist, or has another UID, ServiceAccount or node. kubelet makes no such request.
   * @action Do not create PodCertificateRequests by hand.
   */
  | 'PodMismatch'
  /** Denied. The pod has ended. */
  | 'PodFinished'
  /**
   * Denied. The pod has no podCertificate volume with this signer and these userAnnotations.
   * @action Do not create PodCertificateRequests by hand.
   */
  | 'VolumeMismatch'
  /**
   * Denied. `userAnnotations` of the volume has a key that the operator does not know, or a value that is not valid.
   * @action Correct the volume, and create the pod again.
   */
  | 'InvalidUnverifiedUserAnnotations'
  /**
   * The authority does not issue certificates for keys of this type.
   * @action Add the type to `podCertificates.keyTypes` of the authority, or set another `keyType` in the volume. After a denial, create the pod again.
   */
  | 'UnsupportedKeyType'
  /**
   * The namespace may not use the authority, or may not have its certificates in pods.
   * @action Change the labels of the namespace or the selectors of the authority. After a denial, create the pod again.
   */
  | 'NamespaceNotSelected'
  /**
   * The pod may not have a requested name.
   * @action Request a name from the message, or have an administrator grant this one (`issuance.allow` of the authority). After a denial, create the pod again.
   */
  | 'NamesDenied'
  /**
   * Waits. A Service in `mtls-operator.io/services` does not exist.
   * @action Create the Service. Or correct the volume, which takes a new pod.
   */
  | 'ServiceNotFound'
  /**
   * Waits. A Service in `mtls-operator.io/services` does not select the pod.
   * @action Correct the labels of the pod or the selector of the Service. Or correct the volume, which takes a new pod.
   */
  | 'ServiceDoesNotSelectPod'
  /**
   * Waits. The authority cannot sign. The message has its reason.
   * @action Fix the authority: see its condition `Ready`.
   */
  | 'AuthorityNotReady'
  /**
   * Waits. Kubernetes demands a lifetime of at least an hour, and the root or a CA above it expires earlier.
   * @action Rotate the root.
   */
  | 'RootExpiresSoon'
  /**
   * Waits. Kubernetes demands a lifetime of at least an hour, and `issuance.maxDuration` of the authority is shorter.
   * @action Raise `issuance.maxDuration`, or use another authority.
   */
  | 'LifetimeTooShort'
  /**
   * Waits. The name constraints of the root exclude a name.
   * @action Use another authority, or remove the name.
   */
  | 'NameConstrained'
  /**
   * Waits. The operator may not read the labels of the namespace, the pod or a Service.
   * @action Grant the operator the rights that the chart gives with `podCertificates.enabled`.
   */
  | 'Forbidden'
  /** Waits. The operator has not read the root or the namespace yet. It passes by itself. */
  | 'Pending'
  /**
   * Waits. The certificate could not be signed, or the API server refused it. The message has the error.
   * @action If the error names a time, compare the clocks of the operator and the API server. They may differ by two minutes.
   */
  | 'IssuanceFailed';

/** Reasons of the events of pods. Both are Warnings. The note begins with the reason. */
export type PodEvent =
  /**
   * The request for a certificate of the pod was denied. kubelet does not ask again.
   * @action Correct what the note names, and create the pod again.
   */
  | 'PodCertificateDenied'
  /**
   * The request for a certificate of the pod waits. The operator retries it.
   * @action Correct what the note names.
   */
  | 'PodCertificatePending';
