// Generated from crds/ by `npm run generate`. Do not edit.

/** The metadata of a Kubernetes object, as far as it is used here. */
export interface ObjectMeta {
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** Counts the changes of spec. */
  readonly generation: number;
  /** RFC 3339. */
  readonly creationTimestamp: string;
  /** RFC 3339; present when the object is being deleted. */
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The metadata of an object that lives in a namespace. */
export interface NamespacedObjectMeta extends ObjectMeta {
  readonly namespace: string;
}

/**
 * MtlsAuthority is a certificate authority for mutual TLS. Its private key is stored in one Secret in the operator's
 * namespace and nowhere else. Deleting the MtlsAuthority deletes no Secret and no key.
 */
export interface MtlsAuthority {
  readonly apiVersion: 'mtls-operator.io/v1alpha1';
  readonly kind: 'MtlsAuthority';
  readonly metadata: ObjectMeta;
  /** The root that signs, the names that namespaces may request, and where trusted roots are published. */
  readonly spec: MtlsAuthoritySpec;
  /** The observed state of the authority. Only the operator writes it. */
  readonly status?: MtlsAuthorityStatus;
}

/**
 * MtlsCertificate requests certificates for mutual TLS. For each role in spec (server, client, peer) the operator
 * writes one Secret of type kubernetes.io/tls with tls.crt, tls.key and ca.crt into the namespace of the
 * MtlsCertificate. The operator renews the certificate before it expires, and repairs the Secret when it is changed or
 * deleted. Deleting the MtlsCertificate deletes its Secrets, unless deletionPolicy is Retain.
 */
export interface MtlsCertificate {
  readonly apiVersion: 'mtls-operator.io/v1alpha1';
  readonly kind: 'MtlsCertificate';
  readonly metadata: NamespacedObjectMeta;
  /** The certificates that the operator issues. After a change the operator issues the affected certificates again. */
  readonly spec: MtlsCertificateSpec;
  /** The observed state of the certificates. Only the operator writes it. */
  readonly status?: MtlsCertificateStatus;
}

/** The root that signs, the names that namespaces may request, and where trusted roots are published. */
export interface MtlsAuthoritySpec {
  /**
   * The name of the Secret in the operator's namespace that holds the root certificate (tls.crt) and its private key
   * (tls.key). Its type is kubernetes.io/tls. The field cannot be changed, because another Secret would replace the
   * root without a rotation.
   */
  readonly secretName: string;
  /**
   * How the operator generates a root. The operator generates one when the Secret does not exist, and the next one
   * when it rotates the root. A change takes effect at the next rotation. Without this field the operator generates no
   * root: you create the Secret yourself.
   */
  readonly root?: RootSpec;
  /**
   * The trust domain of SPIFFE IDs. It consists of lower-case letters, digits, dots, dashes and underscores. Default
   * cluster.local. After a change the operator issues every certificate with a SPIFFE ID of a ServiceAccount again.
   */
  readonly trustDomain: string;
  /**
   * The DNS domain of the cluster, which ends the longest DNS name of a Service. Default cluster.local. It has at most
   * 121 characters, so that <service>.<namespace>.svc.<clusterDomain> stays within the 253 characters of a DNS name.
   */
  readonly clusterDomain: string;
  /**
   * Which namespaces may use the authority, and what their certificates may contain. Without a grant a namespace may
   * request the DNS names of its own Services and the SPIFFE IDs of its own ServiceAccounts. Every other name, every
   * subject attribute and every extended key usage beyond serverAuth and clientAuth needs a grant in allow. So does a
   * DNS name with one label (payments) for a client or a peer. A change also applies to existing certificates: the
   * operator does not renew a certificate that is no longer allowed, and reports Denied.
   */
  readonly issuance?: Issuance;
  /**
   * How the operator rotates the root: whether a person approves the switch, how long each phase waits, and how fast
   * certificates are issued again. Default:
   * {"approval":"Automatic","propagationDelay":"3m","clusterTrustBundleDelay":"7m","reissuesPerSecond":100}.
   */
  readonly rotation: Rotation;
  /**
   * Makes the authority the signer mtls-operator.io/<name of the authority> for PodCertificateRequests: a pod gets a
   * certificate through a projected volume with a podCertificate source, without a Secret. The certificate has the
   * SPIFFE ID of the pod's ServiceAccount, and the names that the userAnnotations of the source request. The operator
   * needs the flag --pod-certificates, and the cluster must serve certificates.k8s.io/v1 PodCertificateRequests.
   * Default none.
   */
  readonly podCertificates?: PodCertificates;
  /**
   * Where the operator publishes the trusted roots in addition to the Secrets, for programs that verify certificates
   * but have none of their own, and which roots of other CAs the programs trust too. Default nowhere and none.
   */
  readonly trustBundle?: TrustBundle;
}

/**
 * How the operator generates a root. The operator generates one when the Secret does not exist, and the next one when
 * it rotates the root. A change takes effect at the next rotation. Without this field the operator generates no root:
 * you create the Secret yourself.
 */
export interface RootSpec {
  /** The common name (CN) in the root's subject. Default "mTLS Root". */
  readonly commonName: string;
  /** The organizations (O) in the root's subject. Default none. */
  readonly organizations?: readonly string[];
  /** The algorithm and the size of the root's private key. Default: {"algorithm":"ECDSA"}. */
  readonly privateKey: RootPrivateKey;
  /**
   * How long a new root is valid, as a Go duration in h, m, s and ms, from 5m to 876000h. Default 87600h (10 years).
   * No certificate is valid for longer than its root.
   */
  readonly duration: string;
  /**
   * How long before the root expires the operator starts a rotation, as a Go duration in h, m, s and ms. It must be
   * shorter than duration. Default a tenth of the root's lifetime. A root that is too short-lived for this value is
   * rotated when a tenth of its lifetime has passed.
   */
  readonly renewBefore?: string;
}

/** The algorithm and the size of the root's private key. */
export interface RootPrivateKey {
  /** The algorithm. Default ECDSA. Some TLS libraries do not support Ed25519. */
  readonly algorithm: 'ECDSA' | 'RSA' | 'Ed25519';
  /** The size in bits. ECDSA: 256 (default), 384 or 521. RSA: 2048, 3072 (default), 4096 or 8192. Ed25519 has no size. */
  readonly size?: number;
}

/**
 * Which namespaces may use the authority, and what their certificates may contain. Without a grant a namespace may
 * request the DNS names of its own Services and the SPIFFE IDs of its own ServiceAccounts. Every other name, every
 * subject attribute and every extended key usage beyond serverAuth and clientAuth needs a grant in allow. So does a
 * DNS name with one label (payments) for a client or a peer. A change also applies to existing certificates: the
 * operator does not renew a certificate that is no longer allowed, and reports Denied.
 */
export interface Issuance {
  /**
   * The longest spec.duration that an MtlsCertificate may request, as a Go duration in h, m, s and ms; at least 5m.
   * The operator denies a longer one. Default no limit.
   */
  readonly maxDuration?: string;
  /**
   * Which namespaces may use the authority, selected by their labels. Default all namespaces; an empty selector ({})
   * also selects all.
   */
  readonly namespaceSelector?: LabelSelector;
  /**
   * Grants: names, subject attributes and usages that namespaces may request in addition to their own names. A request
   * is allowed if any grant allows it. The order of the grants has no effect.
   */
  readonly allow?: readonly Grant[];
}

export interface LabelSelector {
  /** Labels that the namespace must have, each with this value. */
  readonly matchLabels?: Readonly<Record<string, string>>;
  /** Further requirements on the namespace's labels. All of them must be met. */
  readonly matchExpressions?: readonly LabelRequirement[];
}

/** A requirement on one label of the namespace. */
export interface LabelRequirement {
  /** The key of the label. */
  readonly key: string;
  /**
   * How the label is compared. In: its value is in values. NotIn: its value is not in values, or the label is missing.
   * Exists: the label is set. DoesNotExist: the label is missing.
   */
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  /** The values for In and NotIn. Exists and DoesNotExist have none. */
  readonly values?: readonly string[];
}

/** A grant for the namespaces that a selector selects. */
export interface Grant {
  /**
   * Which namespaces get the grant, selected by their labels. It is required: an empty selector ({}) selects all
   * namespaces.
   */
  readonly namespaceSelector: LabelSelector;
  /**
   * DNS names, for instance www.example.com or *.shop.example.com. A `*` stands for exactly one label. A wildcard name
   * is granted only by a pattern with a `*` in the same position. Clients and peers get a DNS name with one label
   * (payments) only if it is written here literally; this includes the short name of a peer's Service.
   */
  readonly dnsNames?: readonly string[];
  /** IP addresses, as ranges in CIDR notation, for instance 10.0.0.0/8. */
  readonly ipRanges?: readonly string[];
  /**
   * URIs, for instance spiffe://example.org/edge/*. `*` stands for exactly one segment of the path; `**` at the end of
   * the path stands for one or more segments. Both match only letters, digits and -._~ in a segment. Scheme, host and
   * port have no wildcard. A URI with a query, a fragment or percent-encoding is granted only if it is written here
   * literally. A SPIFFE ID in the authority's own trust domain whose path begins with /ns/<namespace> belongs to that
   * namespace. Another namespace gets it only from a literal URI, or from a pattern that begins with ns and that
   * namespace in words.
   */
  readonly uris?: readonly string[];
  /**
   * E-mail addresses, for instance *@example.com. `*` before the @ stands for every mailbox of that domain, but not of
   * its subdomains.
   */
  readonly emailAddresses?: readonly string[];
  /**
   * Common names, for instance kafka-*. `*` stands for one or more letters, digits, dashes and underscores, so kafka-*
   * does not grant kafka-0.example.com. `*` never matches the beginning of a name that starts with system: in upper or
   * lower case, because Kubernetes reserves these names.
   */
  readonly commonNames?: readonly string[];
  /** Names of other types (otherName), for instance user principal names (1.3.6.1.4.1.311.20.2.3). */
  readonly otherNames?: readonly OtherNameGrant[];
  /**
   * Values of subject attributes other than the common name. Every such value needs a grant, because programs derive
   * rights from them: to Kubernetes, an organization is a group. `*` in a pattern stands for one or more letters,
   * digits, dashes and underscores. A pattern that consists of `*` alone stands for every value without =, \ and *.
   * `*` never matches the beginning of a value that starts with system: in upper or lower case; only a pattern that
   * starts with system: itself, such as system:masters or system:*, grants system:masters.
   */
  readonly subject?: SubjectGrant;
  /**
   * Extended key usages in addition to serverAuth and clientAuth. Grant them with care: a program that trusts the root
   * accepts code, mail or IPsec connections signed with a key of these namespaces.
   */
  readonly usages?: readonly ('codeSigning' | 'emailProtection' | 'ipsecIKE')[];
}

/** Names of one type. */
export interface OtherNameGrant {
  /**
   * The object identifier of the type in dotted form, for instance 1.3.6.1.4.1.311.20.2.3. No number in it has more
   * than nine digits.
   */
  readonly oid: string;
  /**
   * The names, for instance *@example.com. They are compared exactly, including upper and lower case. *@ before a
   * domain stands for every mailbox of that domain, but not of its subdomains. In a name without an @, `*` stands for
   * one or more letters, digits, dashes and underscores.
   */
  readonly utf8Values: readonly string[];
}

/**
 * Values of subject attributes other than the common name. Every such value needs a grant, because programs derive
 * rights from them: to Kubernetes, an organization is a group. `*` in a pattern stands for one or more letters,
 * digits, dashes and underscores. A pattern that consists of `*` alone stands for every value without =, \ and *. `*`
 * never matches the beginning of a value that starts with system: in upper or lower case; only a pattern that starts
 * with system: itself, such as system:masters or system:*, grants system:masters.
 */
export interface SubjectGrant {
  /** Organizations (O). */
  readonly organizations?: readonly string[];
  /** Organizational units (OU). */
  readonly organizationalUnits?: readonly string[];
  /** Countries (C), for instance DE. */
  readonly countries?: readonly string[];
  /** Localities (L). */
  readonly localities?: readonly string[];
  /** Provinces or states (ST). */
  readonly provinces?: readonly string[];
  /** Street addresses (STREET). */
  readonly streetAddresses?: readonly string[];
  /** Postal codes. */
  readonly postalCodes?: readonly string[];
  /** Serial numbers of the subject, for instance of a device. They are unrelated to the serial number of a certificate. */
  readonly serialNumbers?: readonly string[];
}

/**
 * How the operator rotates the root: whether a person approves the switch, how long each phase waits, and how fast
 * certificates are issued again.
 */
export interface Rotation {
  /**
   * Automatic (default), or Manual. With Manual, certificates switch to the new root only after a person sets the
   * annotation mtls-operator.io/approve-rotation to the value of status.rotation.id.
   */
  readonly approval: 'Automatic' | 'Manual';
  /**
   * How long pods need to load a changed Secret or bundle, as a Go duration from 0s to 720h: the delay of kubelet plus
   * the time that the program needs to reload. Default 3m. A rotation waits this long after the last write of each
   * Secret and each bundle.
   */
  readonly propagationDelay: string;
  /**
   * How long pods need to load a changed ClusterTrustBundle, as a Go duration from 0s to 720h. Default 7m, because
   * kubelet caches a ClusterTrustBundle for 5 minutes when a pod mounts it by name. The operator waits for the longer
   * of this delay and propagationDelay. Lower it only if all pods mount by signerName.
   */
  readonly clusterTrustBundleDelay: string;
  /**
   * How many certificates per second, on average, the operator issues again when they switch to a new root. Default
   * 100. The operator spreads the MtlsCertificates over time, so that pods do not reload all at once.
   */
  readonly reissuesPerSecond: number;
  /**
   * Whether a rotation also waits for pods. A pod that reads a Secret or a bundle by subPath, by an environment
   * variable, or through a copy that an init container made never sees a change. With true, the phases Distributing,
   * Draining and Retiring wait until such a pod has restarted after the change that it needs, and
   * status.rotation.blockers names it. Draining also ends earlier if every pod with a podCertificate has a certificate
   * of the new root. The operator needs the flag --pod-evidence. Default false.
   */
  readonly podEvidence?: boolean;
  /**
   * Whether the operator restarts the Deployments, StatefulSets and DaemonSets of the pods that a rotation waits for,
   * one after the other and at most once in each phase. It sets the annotation kubectl.kubernetes.io/restartedAt of
   * the pod template, as kubectl rollout restart does. It needs podEvidence, and the flag --restart-workloads. Default
   * false.
   */
  readonly restartWorkloads?: boolean;
}

/**
 * Makes the authority the signer mtls-operator.io/<name of the authority> for PodCertificateRequests: a pod gets a
 * certificate through a projected volume with a podCertificate source, without a Secret. The certificate has the
 * SPIFFE ID of the pod's ServiceAccount, and the names that the userAnnotations of the source request. The operator
 * needs the flag --pod-certificates, and the cluster must serve certificates.k8s.io/v1 PodCertificateRequests. Default
 * none.
 */
export interface PodCertificates {
  /**
   * The namespaces whose pods get certificates, selected by their labels. The namespace must also match
   * issuance.namespaceSelector. Default all namespaces; an empty selector ({}) also selects all.
   */
  readonly namespaceSelector?: LabelSelector;
  /**
   * The types of keys for which the authority issues certificates, as Kubernetes names them. The operator denies a
   * request with a key of another type. Default all of them.
   */
  readonly keyTypes: readonly ('ECDSAP256' | 'ECDSAP384' | 'ECDSAP521' | 'ED25519' | 'RSA3072' | 'RSA4096')[];
  /**
   * The longest lifetime of a pod's certificate, as a Go duration in h, m, s and ms, from 1h to 2184h (91 days).
   * Default 24h. A certificate gets the shortest of this, what the pod requests (24h by default), issuance.maxDuration
   * and the rest of the root's lifetime. Nothing can revoke the certificate of a pod, and a rotation of the root waits
   * until the last one has expired: a longer value makes both worse.
   */
  readonly maxDuration: string;
}

/**
 * Where the operator publishes the trusted roots in addition to the Secrets, for programs that verify certificates but
 * have none of their own, and which roots of other CAs the programs trust too. Default nowhere and none.
 */
export interface TrustBundle {
  /** Publishes a ConfigMap in every selected namespace, with the trusted roots as ca.crt and the CRLs as ca.crl. */
  readonly configMap?: TrustConfigMap;
  /**
   * Whether the operator also publishes the trusted roots as a ClusterTrustBundle. Default false. The
   * ClusterTrustBundle has the name mtls-operator.io:<name of the authority>:roots and the signer name
   * mtls-operator.io/<name of the authority>. The cluster must serve certificates.k8s.io/v1.
   */
  readonly clusterTrustBundle: boolean;
  /**
   * Roots of other CAs that peers must trust too, in the order in which they follow the authority's own roots in every
   * bundle: in the Secrets, the ConfigMaps and the ClusterTrustBundle. A CA that you add can issue a certificate for
   * any name, also for SPIFFE IDs of your trust domain. The operator leaves out a source or a certificate that it
   * cannot accept, and reports it in the condition AdditionalRootsAccepted. All sources together may add 64 roots and
   * 128 KiB.
   */
  readonly additional?: readonly AdditionalRoots[];
}

/** Publishes a ConfigMap in every selected namespace, with the trusted roots as ca.crt and the CRLs as ca.crl. */
export interface TrustConfigMap {
  /**
   * The name of the ConfigMaps. Default mtls-trust. The operator does not overwrite a ConfigMap of this name that it
   * did not create.
   */
  readonly name: string;
  /**
   * Which namespaces get the ConfigMap, selected by their labels. Default all namespaces; an empty selector ({}) also
   * selects all.
   */
  readonly namespaceSelector?: LabelSelector;
  /**
   * Labels that the operator sets on every published ConfigMap in addition to its own. A label that you remove here is
   * removed from the ConfigMaps. Labels set by other clients stay. A key with the prefix kubernetes.io, k8s.io or
   * mtls-operator.io, or with a subdomain of these, is reserved. Keys with the prefix app.kubernetes.io are allowed,
   * except app.kubernetes.io/managed-by.
   */
  readonly labels?: Readonly<Record<string, string>>;
  /** Annotations that the operator sets on every published ConfigMap. Otherwise the field works like labels. */
  readonly annotations?: Readonly<Record<string, string>>;
  /**
   * Adds the roots of ca.crt to every ConfigMap as a truststore in PKCS#12, for instance for Java. Java also opens it
   * as a JKS. A ConfigMap that would become too large is published without the truststore.
   */
  readonly truststore?: Truststore;
}

/**
 * Adds the roots of ca.crt to every ConfigMap as a truststore in PKCS#12, for instance for Java. Java also opens it as
 * a JKS. A ConfigMap that would become too large is published without the truststore.
 */
export interface Truststore {
  /**
   * The key in binaryData, which ends with .p12, .pfx or .jks. Default truststore.p12. After a change the operator
   * removes the earlier key.
   */
  readonly key: string;
  /**
   * The password of the truststore: 1 to 256 characters of printable ASCII. Default changeit. It is not a secret,
   * because everyone who reads the MtlsAuthority sees it: the truststore holds only public certificates.
   */
  readonly password: string;
}

/** One source of roots. Exactly one of the fields must be set. */
export interface AdditionalRoots {
  /** A key of a ConfigMap in the operator's namespace. */
  readonly configMap?: RootsKey;
  /**
   * A key of a Secret in the operator's namespace. The root Secret of the authority cannot be a source: roots in its
   * ca.crt are trusted without this field.
   */
  readonly secret?: RootsKey;
}

export interface RootsKey {
  /** The name of the object in the operator's namespace. */
  readonly name: string;
  /**
   * The key in the data of the object. Its value holds certificates as PEM: at most 128 of them and 256 KiB. Default
   * ca.crt.
   */
  readonly key: string;
}

/** The observed state of the authority. Only the operator writes it. */
export interface MtlsAuthorityStatus {
  /** The metadata.generation that the operator processed last; -1 before it processed the resource. */
  readonly observedGeneration?: number;
  /**
   * Ready is True when the root is valid and the authority signs with it, and Unknown before the operator has
   * processed the resource. Rotating is True during a root rotation; its message says what the rotation waits for.
   * TrustPublished is True when every bundle of spec.trustBundle is published. AdditionalRootsAccepted is False when a
   * certificate of spec.trustBundle.additional was left out. PodCertificatesServed is True when the operator answers
   * the requests of pods. IssuerKeyMissing and CrlNearlyFull are True when there is a problem. A condition that was
   * set once stays, as False with a reason. A condition that was never set is absent.
   */
  readonly conditions?: readonly Condition[];
  /** The root that signs now. */
  readonly activeRoot?: Root;
  /** The trusted roots, the active root first. The list has at most 64 entries; the field trustBundle has all roots. */
  readonly roots?: readonly Root[];
  /**
   * The certificates of pods. The operator writes this field at most once in 10 seconds, and a crash may lose the
   * changes of the last seconds. Absent until spec.podCertificates was set.
   */
  readonly podCertificates?: PodCertificatesStatus;
  /**
   * The certificates of the authority's own trusted roots, as PEM. The ca.crt of every Secret begins with this text.
   * The roots of spec.trustBundle.additional follow there.
   */
  readonly trustBundle?: string;
  /** The certificate revocation lists (CRLs) of the authority. Absent if no CA of the authority may sign CRLs. */
  readonly crl?: CrlStatus;
  /** How many MtlsCertificates use the authority. */
  readonly certificates?: number;
  /**
   * The last value of the annotation mtls-operator.io/rotate-root that the operator acted on. The operator acts when
   * the value changes. Setting the handled value again does nothing. Going back to an earlier value is a new request.
   */
  readonly lastHandledRotateRoot?: string;
  /** The root rotation in progress. Absent without a rotation. */
  readonly rotation?: RotationStatus;
}

/** One aspect of the state of the resource. */
export interface Condition {
  /** The name of the condition. */
  readonly type: string;
  /** Whether the condition is met. */
  readonly status: 'True' | 'False' | 'Unknown';
  /** The metadata.generation for which the condition was set. */
  readonly observedGeneration?: number;
  /** When status last changed. */
  readonly lastTransitionTime: string;
  /** The reason for the status, as one word that programs can compare. */
  readonly reason: string;
  /** The reason for the status in words, and what to do about it. */
  readonly message: string;
}

export interface Root {
  /** The SHA-256 of the certificate's DER, in lower-case hexadecimal. */
  readonly fingerprint: string;
  /** The subject as a string (RFC 4514). */
  readonly subject: string;
  /** When the root becomes valid. */
  readonly notBefore: string;
  /** When the root expires. */
  readonly notAfter: string;
}

/**
 * The certificates of pods. The operator writes this field at most once in 10 seconds, and a crash may lose the
 * changes of the last seconds. Absent until spec.podCertificates was set.
 */
export interface PodCertificatesStatus {
  /** How many certificates the authority has issued to pods. */
  readonly issued: number;
  /** Why requests wait, by reason. The operator retries each of them. Absent when no request waits. */
  readonly pending?: readonly PendingPodCertificates[];
  /**
   * The roots that have issued certificates to pods which may still be valid. A rotation trusts an old root at least
   * until its notAfter here.
   */
  readonly roots?: readonly PodCertificateRoot[];
}

/** The requests that wait for one reason. */
export interface PendingPodCertificates {
  /** The reason, as in the events of the pods. */
  readonly reason: string;
  /** How many requests wait for this reason. */
  readonly count: number;
  /** One of the pods, as namespace/name. */
  readonly example: string;
}

/** A root, and until when its certificates for pods may be valid. */
export interface PodCertificateRoot {
  /** The SHA-256 of the root's DER, in lower-case hexadecimal. */
  readonly fingerprint: string;
  /** No certificate that this root has issued to a pod is valid after this time. The operator rounds it up. */
  readonly notAfter: string;
}

/** The certificate revocation lists (CRLs) of the authority. Absent if no CA of the authority may sign CRLs. */
export interface CrlStatus {
  /** How many revoked certificates have not expired. */
  readonly revoked: number;
  /** When the first of the CRLs expires. The operator signs the next CRL 20 days before. */
  readonly nextUpdate: string;
}

/** The root rotation in progress. Absent without a rotation. */
export interface RotationStatus {
  /**
   * The identifier of the rotation. The annotations approve-rotation and abort-rotation have this value; the value of
   * skip-gate begins with it.
   */
  readonly id: string;
  /**
   * Distributing: bundles get the new root, the old root still signs. Switching: the operator issues every certificate
   * again with the new root. Draining: all certificates are issued by the new root, and pods load them. Retiring: the
   * operator removes the old root from the bundles.
   */
  readonly phase: 'Distributing' | 'Switching' | 'Draining' | 'Retiring';
  /** When the rotation started. */
  readonly startedAt: string;
  /** The fingerprint of the root that the rotation replaces. */
  readonly oldRoot?: string;
  /** The fingerprint of the root that will sign after the rotation. */
  readonly newRoot?: string;
  /** True while an aborted rotation returns to the old root. */
  readonly aborting?: boolean;
  /** The value of the annotation approve-rotation that allowed certificates to switch to the new root. */
  readonly approved?: string;
  /**
   * What the rotation does not wait for, because the annotation skip-gate named it. Each entry is a phase, or a phase,
   * a slash and a namespace.
   */
  readonly skipped?: readonly string[];
  /** The fields done and total in words, for instance "237 of 240". */
  readonly progress?: string;
  /** How many of the total already have the content that the phase needs, and have had it for the propagation delay. */
  readonly done?: number;
  /** How many Secrets and bundles the phase waits for. */
  readonly total?: number;
  /** What the phase waits for, in words. Of many similar blockers the list names a few and counts the rest. */
  readonly blockers?: readonly string[];
}

/** The certificates that the operator issues. After a change the operator issues the affected certificates again. */
export interface MtlsCertificateSpec {
  /** The authority that issues the certificates. Default: {"name":"default"}. */
  readonly authorityRef: AuthorityRef;
  /** Requests a certificate for a TLS server (extended key usage serverAuth). */
  readonly server?: ServerRole;
  /** Requests a certificate for a TLS client (extended key usage clientAuth). */
  readonly client?: ClientRole;
  /**
   * Requests one certificate for both sides of a connection (extended key usages serverAuth and clientAuth), for
   * programs that use the same certificate as server and as client, such as etcd members and Kafka brokers.
   */
  readonly peer?: PeerRole;
  /**
   * How long a certificate is valid, as a Go duration in h, m, s and ms, for instance 2160h or 1h30m; from 5m to
   * 876000h. Default 2160h (90 days). A certificate that would outlive its root gets a shorter lifetime.
   */
  readonly duration: string;
  /**
   * How long before its expiry the operator renews a certificate, as a Go duration shorter than duration, for instance
   * 360h. Default a third of the certificate's lifetime. The default also applies if the root limits the lifetime of
   * the certificate so that this value does not fit.
   */
  readonly renewBefore?: string;
  /**
   * When the operator renews a certificate, as a percentage of its lifetime that is left: at 25, a certificate of 90
   * days is renewed after about 67 days. It excludes renewBefore.
   */
  readonly renewBeforePercentage?: number;
  /**
   * The algorithm, size and encoding of the private keys, and whether renewal keeps the key. Default:
   * {"algorithm":"ECDSA","encoding":"PKCS8","rotationPolicy":"Always"}.
   */
  readonly privateKey: CertificatePrivateKey;
  /**
   * What happens to the Secrets when the MtlsCertificate is deleted. Delete (default): Kubernetes deletes them, too.
   * Retain: they stay, without an ownerReference, and the operator no longer renews them; an MtlsCertificate of the
   * same name that is created later adopts them. With either policy, the operator deletes a Secret when its role is
   * removed from spec or gets another secretName.
   */
  readonly deletionPolicy: 'Delete' | 'Retain';
  /**
   * Attributes of the certificates' subject other than the common name. Every value needs a grant (issuance.allow of
   * the authority, subject), because programs derive rights from these attributes.
   */
  readonly subject?: Subject;
  /**
   * Labels and annotations that the operator sets on the Secrets in addition to its own. An entry that you remove here
   * is removed from the Secrets. Labels and annotations set by other clients stay.
   */
  readonly secretTemplate?: SecretTemplate;
  /**
   * Further formats of the key, the certificate and the roots, as additional keys of the same Secrets. The operator
   * writes them together with tls.crt, tls.key and ca.crt. After a change the operator rewrites the Secrets and keeps
   * the certificates.
   */
  readonly outputs?: Outputs;
}

/** The authority that issues the certificates. */
export interface AuthorityRef {
  /** The name of an MtlsAuthority. Default "default". */
  readonly name: string;
}

/** Requests a certificate for a TLS server (extended key usage serverAuth). */
export interface ServerRole {
  /** The name of the Secret that the operator writes. Default <name of the MtlsCertificate>-server-tls. */
  readonly secretName?: string;
  /**
   * The name of a Service in this namespace; the Service does not have to exist. It adds the DNS names <service>,
   * <service>.<namespace>, <service>.<namespace>.svc and <service>.<namespace>.svc.<clusterDomain of the authority>.
   */
  readonly service?: string;
  /**
   * The common name (CN) of the subject. Default none. TLS libraries verify the subject alternative names instead, but
   * some programs, such as PostgreSQL, read the user name of a client from the common name. Without a grant
   * (issuance.allow of the authority) it must be a DNS name or a SPIFFE ID that the namespace may request anyway.
   */
  readonly commonName?: string;
  /**
   * DNS names, for instance payments.example.com. The first label may be a wildcard (*.example.com). Upper case and a
   * trailing dot are accepted; the certificate has the name in lower case and without the dot.
   */
  readonly dnsNames?: readonly string[];
  /** IPv4 and IPv6 addresses, for instance 10.0.0.1 or fd00::1. Each needs a grant. */
  readonly ipAddresses?: readonly string[];
  /**
   * Absolute URIs, for instance a SPIFFE ID (spiffe://<trust domain>/<path>). A certificate with a SPIFFE ID cannot
   * have another URI.
   */
  readonly uris?: readonly string[];
  /** E-mail addresses (rfc822Name) in ASCII. Each needs a grant. */
  readonly emailAddresses?: readonly string[];
  /** Names of other types (otherName), for instance a user principal name (1.3.6.1.4.1.311.20.2.3). Each needs a grant. */
  readonly otherNames?: readonly OtherName[];
  /**
   * Usages in addition to those of the role. Key usages: contentCommitment, dataEncipherment (RSA keys only) and
   * keyAgreement (ECDSA keys only). Extended key usages: codeSigning, emailProtection and ipsecIKE; each needs a
   * grant.
   */
  readonly usages?: readonly ('contentCommitment' | 'dataEncipherment' | 'keyAgreement' | 'codeSigning' | 'emailProtection' | 'ipsecIKE')[];
}

/** A name whose type is an object identifier. */
export interface OtherName {
  /**
   * The object identifier of the type in dotted form, for instance 1.3.6.1.4.1.311.20.2.3. No number in it has more
   * than nine digits.
   */
  readonly oid: string;
  /**
   * The name. The certificate has exactly this text, as a UTF8String. It has 1 to 1024 characters, without control
   * characters and without a space at either end.
   */
  readonly utf8Value: string;
}

/** Requests a certificate for a TLS client (extended key usage clientAuth). */
export interface ClientRole {
  /** The name of the Secret that the operator writes. Default <name of the MtlsCertificate>-client-tls. */
  readonly secretName?: string;
  /**
   * The name of a ServiceAccount in this namespace; the ServiceAccount does not have to exist. It adds the SPIFFE ID
   * spiffe://<trustDomain of the authority>/ns/<namespace>/sa/<serviceAccount>, and excludes uris.
   */
  readonly serviceAccount?: string;
  /**
   * The common name (CN) of the subject. Default none. TLS libraries verify the subject alternative names instead, but
   * some programs, such as PostgreSQL, read the user name of a client from the common name. Without a grant
   * (issuance.allow of the authority) it must be a DNS name or a SPIFFE ID that the namespace may request anyway.
   */
  readonly commonName?: string;
  /**
   * DNS names, for instance payments.example.com. The first label may be a wildcard (*.example.com). Upper case and a
   * trailing dot are accepted; the certificate has the name in lower case and without the dot.
   */
  readonly dnsNames?: readonly string[];
  /** IPv4 and IPv6 addresses, for instance 10.0.0.1 or fd00::1. Each needs a grant. */
  readonly ipAddresses?: readonly string[];
  /**
   * Absolute URIs, for instance a SPIFFE ID (spiffe://<trust domain>/<path>). A certificate with a SPIFFE ID cannot
   * have another URI.
   */
  readonly uris?: readonly string[];
  /** E-mail addresses (rfc822Name) in ASCII. Each needs a grant. */
  readonly emailAddresses?: readonly string[];
  /** Names of other types (otherName), for instance a user principal name (1.3.6.1.4.1.311.20.2.3). Each needs a grant. */
  readonly otherNames?: readonly OtherName[];
  /**
   * Usages in addition to those of the role. Key usages: contentCommitment, dataEncipherment (RSA keys only) and
   * keyAgreement (ECDSA keys only). Extended key usages: codeSigning, emailProtection and ipsecIKE; each needs a
   * grant.
   */
  readonly usages?: readonly ('contentCommitment' | 'dataEncipherment' | 'keyAgreement' | 'codeSigning' | 'emailProtection' | 'ipsecIKE')[];
}

/**
 * Requests one certificate for both sides of a connection (extended key usages serverAuth and clientAuth), for
 * programs that use the same certificate as server and as client, such as etcd members and Kafka brokers.
 */
export interface PeerRole {
  /** The name of the Secret that the operator writes. Default <name of the MtlsCertificate>-peer-tls. */
  readonly secretName?: string;
  /**
   * The name of a Service in this namespace; the Service does not have to exist. It adds the DNS names
   * <service>.<namespace>, <service>.<namespace>.svc and <service>.<namespace>.svc.<clusterDomain of the authority>.
   * It adds <service> alone only if the authority grants it (issuance.allow, dnsNames), because programs read the
   * short name of a client as a user name.
   */
  readonly service?: string;
  /**
   * The name of a ServiceAccount in this namespace; the ServiceAccount does not have to exist. It adds the SPIFFE ID
   * spiffe://<trustDomain of the authority>/ns/<namespace>/sa/<serviceAccount>, and excludes uris.
   */
  readonly serviceAccount?: string;
  /**
   * The common name (CN) of the subject. Default none. TLS libraries verify the subject alternative names instead, but
   * some programs, such as PostgreSQL, read the user name of a client from the common name. Without a grant
   * (issuance.allow of the authority) it must be a DNS name or a SPIFFE ID that the namespace may request anyway.
   */
  readonly commonName?: string;
  /**
   * DNS names, for instance payments.example.com. The first label may be a wildcard (*.example.com). Upper case and a
   * trailing dot are accepted; the certificate has the name in lower case and without the dot.
   */
  readonly dnsNames?: readonly string[];
  /** IPv4 and IPv6 addresses, for instance 10.0.0.1 or fd00::1. Each needs a grant. */
  readonly ipAddresses?: readonly string[];
  /**
   * Absolute URIs, for instance a SPIFFE ID (spiffe://<trust domain>/<path>). A certificate with a SPIFFE ID cannot
   * have another URI.
   */
  readonly uris?: readonly string[];
  /** E-mail addresses (rfc822Name) in ASCII. Each needs a grant. */
  readonly emailAddresses?: readonly string[];
  /** Names of other types (otherName), for instance a user principal name (1.3.6.1.4.1.311.20.2.3). Each needs a grant. */
  readonly otherNames?: readonly OtherName[];
  /**
   * Usages in addition to those of the role. Key usages: contentCommitment, dataEncipherment (RSA keys only) and
   * keyAgreement (ECDSA keys only). Extended key usages: codeSigning, emailProtection and ipsecIKE; each needs a
   * grant.
   */
  readonly usages?: readonly ('contentCommitment' | 'dataEncipherment' | 'keyAgreement' | 'codeSigning' | 'emailProtection' | 'ipsecIKE')[];
}

/** The algorithm, size and encoding of the private keys, and whether renewal keeps the key. */
export interface CertificatePrivateKey {
  /** The algorithm. Default ECDSA. Some TLS libraries do not support Ed25519. */
  readonly algorithm: 'ECDSA' | 'RSA' | 'Ed25519';
  /** The size in bits. ECDSA: 256 (default), 384 or 521. RSA: 2048 (default), 3072, 4096 or 8192. Ed25519 has no size. */
  readonly size?: number;
  /**
   * The PEM encoding of tls.key. PKCS8 (default): PRIVATE KEY. PKCS1: RSA PRIVATE KEY, for RSA keys only. SEC1: EC
   * PRIVATE KEY, for ECDSA keys only.
   */
  readonly encoding: 'PKCS8' | 'PKCS1' | 'SEC1';
  /**
   * Always (default): every new certificate gets a new key. Never: a renewal keeps the key if its algorithm and size
   * still match spec. The annotations rotate and revoke make a new key with either policy.
   */
  readonly rotationPolicy: 'Always' | 'Never';
}

/**
 * Attributes of the certificates' subject other than the common name. Every value needs a grant (issuance.allow of the
 * authority, subject), because programs derive rights from these attributes.
 */
export interface Subject {
  /** Organizations (O). */
  readonly organizations?: readonly string[];
  /** Organizational units (OU). */
  readonly organizationalUnits?: readonly string[];
  /** Countries (C), as ISO 3166 codes of two capital letters, for instance DE. */
  readonly countries?: readonly string[];
  /** Localities (L), for instance cities. */
  readonly localities?: readonly string[];
  /** Provinces or states (ST). */
  readonly provinces?: readonly string[];
  /** Street addresses (STREET). */
  readonly streetAddresses?: readonly string[];
  /** Postal codes. */
  readonly postalCodes?: readonly string[];
  /** A serial number of the subject, for instance of a device. It is unrelated to the serial number of the certificate. */
  readonly serialNumber?: string;
}

/**
 * Labels and annotations that the operator sets on the Secrets in addition to its own. An entry that you remove here
 * is removed from the Secrets. Labels and annotations set by other clients stay.
 */
export interface SecretTemplate {
  /**
   * Labels. A key with the prefix kubernetes.io, k8s.io or mtls-operator.io, or with a subdomain of these, is
   * reserved. Keys with the prefix app.kubernetes.io are allowed, except app.kubernetes.io/managed-by.
   */
  readonly labels?: Readonly<Record<string, string>>;
  /**
   * Annotations. A key with the prefix kubernetes.io, k8s.io or mtls-operator.io, or with a subdomain of these, is
   * reserved. Keys with the prefix app.kubernetes.io are allowed, except app.kubernetes.io/managed-by.
   */
  readonly annotations?: Readonly<Record<string, string>>;
}

/**
 * Further formats of the key, the certificate and the roots, as additional keys of the same Secrets. The operator
 * writes them together with tls.crt, tls.key and ca.crt. After a change the operator rewrites the Secrets and keeps
 * the certificates.
 */
export interface Outputs {
  /** Adds tls-combined.pem: the content of tls.key, followed by the content of tls.crt. Default false. */
  readonly combinedPEM?: boolean;
  /** Adds key.der: the private key of tls.key in the same encoding, as DER instead of PEM. Default false. */
  readonly der?: boolean;
  /**
   * Adds ca.crl: the CRLs of the authority as PEM, one for each CA that issues certificates. Default false. The
   * operator writes it again after each revocation, and every ten days.
   */
  readonly crl?: boolean;
  /**
   * Adds keystore.p12 (the private key with its certificate chain, alias certificate) and truststore.p12 (the roots of
   * ca.crt), for instance for Java. Both have the same password.
   */
  readonly pkcs12?: Pkcs12Output;
}

/**
 * Adds keystore.p12 (the private key with its certificate chain, alias certificate) and truststore.p12 (the roots of
 * ca.crt), for instance for Java. Both have the same password.
 */
export interface Pkcs12Output {
  /**
   * The Secret with the password, in the namespace of the MtlsCertificate. After a change of the password the operator
   * writes the keystores again. While the password is missing, the operator issues no certificate.
   */
  readonly passwordSecretRef: PasswordSecretRef;
}

/**
 * The Secret with the password, in the namespace of the MtlsCertificate. After a change of the password the operator
 * writes the keystores again. While the password is missing, the operator issues no certificate.
 */
export interface PasswordSecretRef {
  /** The name of a Secret. Its type can be any type except kubernetes.io/tls. */
  readonly name: string;
  /**
   * The key in the data of the Secret that holds the password. Default password. The password has 1 to 256 characters
   * of printable ASCII, without a line break at the end.
   */
  readonly key: string;
}

/** The observed state of the certificates. Only the operator writes it. */
export interface MtlsCertificateStatus {
  /** The metadata.generation that the operator processed last; -1 before it processed the resource. */
  readonly observedGeneration?: number;
  /**
   * Ready is True when every Secret holds a valid certificate that matches spec, and Unknown before the operator has
   * processed the resource. Issuing is True while the next certificate cannot be issued, although the present one may
   * still be valid. Issuing is absent until that happens for the first time; afterwards it stays, as False with a
   * reason.
   */
  readonly conditions?: readonly Condition[];
  /**
   * The last value of the annotation mtls-operator.io/rotate that the operator acted on. The operator acts when the
   * value changes. Setting the handled value again does nothing. Going back to an earlier value is a new request.
   */
  readonly lastHandledRotate?: string;
  /**
   * The last value of the annotation mtls-operator.io/revoke that the operator acted on. The operator acts when the
   * value changes. Setting the handled value again does nothing. Going back to an earlier value is a new request.
   */
  readonly lastHandledRevoke?: string;
  /**
   * The last value of the annotation mtls-operator.io/retry that the operator acted on. The operator acts when the
   * value changes. Setting the handled value again does nothing. Going back to an earlier value is a new request.
   */
  readonly lastHandledRetry?: string;
  /** The latest lastFailureTime in failures. Absent if no role fails. */
  readonly lastFailureTime?: string;
  /** The largest number of attempts in failures. Absent if no role fails. */
  readonly failedIssuanceAttempts?: number;
  /** The earliest nextRetryTime in failures. Absent if no role fails. */
  readonly nextRetryTime?: string;
  /**
   * The roles whose last attempt to write their Secret failed. Each role is retried on its own schedule, and leaves
   * the list when an attempt succeeds.
   */
  readonly failures?: readonly RoleFailure[];
  /** The earliest notAfter in secrets. */
  readonly notAfter?: string;
  /** The earliest renewalTime in secrets. */
  readonly renewalTime?: string;
  /** The Secrets that the operator has written, one for each role. */
  readonly secrets?: readonly IssuedSecret[];
}

/** The failed attempts of one role. */
export interface RoleFailure {
  /** The role that failed. */
  readonly role: 'server' | 'client' | 'peer';
  /** How many attempts in a row have failed. */
  readonly attempts: number;
  /** When the last attempt failed. */
  readonly lastFailureTime: string;
  /**
   * When the operator tries again. It tries earlier after a change of spec, a new value of the annotation rotate,
   * revoke or retry, or a repair of the root.
   */
  readonly nextRetryTime: string;
  /** Why the last attempt failed. */
  readonly message: string;
}

/** A Secret and the certificate in it. */
export interface IssuedSecret {
  /** The role in spec that requests the Secret. */
  readonly role: 'server' | 'client' | 'peer';
  /** The name of the Secret. */
  readonly secretName: string;
  /** The serial number of the certificate, in lower-case hexadecimal. */
  readonly serialNumber: string;
  /** The SHA-256 of the certificate's DER, in lower-case hexadecimal. */
  readonly fingerprint: string;
  /**
   * The fingerprint of the root that the certificate chains to. It is the fingerprint in activeRoot or roots of the
   * MtlsAuthority.
   */
  readonly rootFingerprint: string;
  /**
   * The earlier name of rootFingerprint. The operator reads it in the status that an earlier version wrote, and no
   * longer writes it.
   */
  readonly authorityFingerprint?: string;
  /**
   * The identity of the CA that signed the certificate: the SHA-256 of its subject and public key, in lower-case
   * hexadecimal. A CA that is renewed with the same key keeps its identity.
   */
  readonly issuerId?: string;
  /**
   * The SHA-256 of the certificate's SubjectPublicKeyInfo, in lower-case hexadecimal. The operator keeps the private
   * key of a damaged Secret only if the key matches this fingerprint.
   */
  readonly publicKeyFingerprint?: string;
  /** When the certificate becomes valid, a few minutes before it was issued. */
  readonly notBefore: string;
  /** When the certificate expires. */
  readonly notAfter: string;
  /** When the operator renews the certificate. */
  readonly renewalTime: string;
  /** How many certificates the operator has written for the role. The first one is 1. */
  readonly revision: number;
  /**
   * The value of the annotation mtls-operator.io/rotate that this Secret already has a new certificate for. Present
   * only until every Secret of the resource has one; after that, see lastHandledRotate.
   */
  readonly handledRotate?: string;
  /**
   * The value of the annotation mtls-operator.io/revoke that this Secret already has a new certificate for. Present
   * only until every Secret of the resource has one; after that, see lastHandledRevoke.
   */
  readonly handledRevoke?: string;
  /**
   * How often the operator has repaired the Secret because another client keeps changing it. Present once the operator
   * delays its repairs, and until the Secret has been left unchanged for an hour.
   */
  readonly repairs?: SecretRepairs;
  /**
   * Earlier certificates of the Secret that had not expired when they were replaced, at most the last 256. The
   * annotation revoke revokes these as well. When the list is full, the message of Ready says so.
   */
  readonly replaced?: readonly ReplacedCertificate[];
}

/**
 * How often the operator has repaired the Secret because another client keeps changing it. Present once the operator
 * delays its repairs, and until the Secret has been left unchanged for an hour.
 */
export interface SecretRepairs {
  /** How many repairs in a row. The delay before the next repair grows with this number. */
  readonly count: number;
  /** When the operator last repaired the Secret. */
  readonly lastTime: string;
  /**
   * The field manager that changes the Secret, and the fields that it changes, from metadata.managedFields of the
   * Secret.
   */
  readonly changedBy?: string;
}

/** A certificate that is no longer in the Secret. */
export interface ReplacedCertificate {
  /** The serial number of the certificate, in lower-case hexadecimal. */
  readonly serialNumber: string;
  /** The fingerprint of the root that the certificate chains to. */
  readonly rootFingerprint: string;
  /** The earlier name of rootFingerprint, as in secrets. */
  readonly authorityFingerprint?: string;
  /** The identity of the CA that signed the certificate, as in secrets. */
  readonly issuerId?: string;
  /** When the certificate expires. */
  readonly notAfter: string;
}
