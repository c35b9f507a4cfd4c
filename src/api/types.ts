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
 * MtlsAuthority is an organisation's root for mutual TLS. Its key is in a Secret in the operator's namespace and
 * nowhere else. Deleting the resource deletes no key.
 */
export interface MtlsAuthority {
  readonly apiVersion: 'mtls-operator.io/v1alpha1';
  readonly kind: 'MtlsAuthority';
  readonly metadata: ObjectMeta;
  /** Which root signs, and which names it signs for. */
  readonly spec: MtlsAuthoritySpec;
  /** What is. Written by the operator only. */
  readonly status?: MtlsAuthorityStatus;
}

/**
 * MtlsCertificate asks for certificates for mutual TLS. For each role in spec (server, client, peer) the operator
 * writes one Secret of type kubernetes.io/tls with tls.crt, tls.key and ca.crt into the namespace of the resource,
 * renews it before it expires, and repairs it when it is changed or deleted. Deleting the resource removes its
 * Secrets, unless deletionPolicy is Retain.
 */
export interface MtlsCertificate {
  readonly apiVersion: 'mtls-operator.io/v1alpha1';
  readonly kind: 'MtlsCertificate';
  readonly metadata: NamespacedObjectMeta;
  /** What is asked for. A change re-issues the certificates that it concerns. */
  readonly spec: MtlsCertificateSpec;
  /** What is. Written by the operator only. */
  readonly status?: MtlsCertificateStatus;
}

/** Which root signs, and which names it signs for. */
export interface MtlsAuthoritySpec {
  /**
   * The Secret of type kubernetes.io/tls with the root (tls.crt, tls.key), in the operator's namespace. It cannot be
   * changed, since that would replace the root unannounced.
   */
  readonly secretName: string;
  /**
   * The root that the operator makes when the Secret is absent, and when it rotates the root. A change here takes
   * effect with the next rotation. Without it, you bring the Secret yourself.
   */
  readonly root?: RootSpec;
  /**
   * The trust domain of SPIFFE IDs: lower-case letters, digits, dots, dashes and underscores. A change re-issues the
   * certificates with a SPIFFE ID. Default: "cluster.local".
   */
  readonly trustDomain: string;
  /**
   * The DNS domain of the cluster, for the names of Services. It takes at most 121 characters, so that the longest
   * name of a Service is still a DNS name. Default: "cluster.local".
   */
  readonly clusterDomain: string;
  /**
   * What may be asked for. The names of its own Services and ServiceAccounts a namespace has always; nothing else
   * without a grant, no subject attribute and, for clients and peers, no name of one label. A change is applied to the
   * certificates that exist: what is no longer allowed is not renewed and says so.
   */
  readonly issuance?: Issuance;
  /**
   * How the root is rotated. Default:
   * {"approval":"Automatic","propagationDelay":"3m","clusterTrustBundleDelay":"7m","reissuesPerSecond":100}.
   */
  readonly rotation: Rotation;
  /**
   * Who gets the trusted roots beside the Secrets, for programs that verify others and have no certificate of their
   * own. Nobody without it.
   */
  readonly trustBundle?: TrustBundle;
}

/**
 * The root that the operator makes when the Secret is absent, and when it rotates the root. A change here takes effect
 * with the next rotation. Without it, you bring the Secret yourself.
 */
export interface RootSpec {
  /** The common name of the root's subject. Default: "mTLS Root". */
  readonly commonName: string;
  /** The organizations (O) in the root's subject. */
  readonly organizations?: readonly string[];
  /** The private key of the root. Default: {"algorithm":"ECDSA"}. */
  readonly privateKey: RootPrivateKey;
  /**
   * How long the root is valid, as a Go duration in h, m, s and ms; from 5m to 876000h. No certificate outlives it.
   * Default: "87600h".
   */
  readonly duration: string;
  /**
   * How long before the root expires a rotation starts by itself. Default a tenth of the root's lifetime. Only a root
   * that the operator can make is replaced by itself; one that you bring is not.
   */
  readonly renewBefore?: string;
}

/** The private key of the root. */
export interface RootPrivateKey {
  /** The algorithm. Not every TLS stack takes Ed25519. Default: "ECDSA". */
  readonly algorithm: 'ECDSA' | 'RSA' | 'Ed25519';
  /**
   * The size in bits: 256, 384 or 521 for ECDSA (default 256); 2048, 3072, 4096 or 8192 for RSA (default 3072); none
   * for Ed25519.
   */
  readonly size?: number;
}

/**
 * What may be asked for. The names of its own Services and ServiceAccounts a namespace has always; nothing else
 * without a grant, no subject attribute and, for clients and peers, no name of one label. A change is applied to the
 * certificates that exist: what is no longer allowed is not renewed and says so.
 */
export interface Issuance {
  /**
   * The longest spec.duration of a certificate, as a Go duration in h, m, s and ms; at least 5m. What asks for more is
   * refused. No limit without it.
   */
  readonly maxDuration?: string;
  /** Which namespaces may use the authority, by their labels. Empty or absent, all of them. */
  readonly namespaceSelector?: LabelSelector;
  /**
   * Names, subject attributes and usages that namespaces may have beside their own names. Every entry adds to the
   * others.
   */
  readonly allow?: readonly Grant[];
}

export interface LabelSelector {
  /** Labels that a namespace has to have, with these values. */
  readonly matchLabels?: Readonly<Record<string, string>>;
  /** Further requirements, all of which have to hold. */
  readonly matchExpressions?: readonly LabelRequirement[];
}

/** What the label `key` has to be. */
export interface LabelRequirement {
  /** The key of a label. */
  readonly key: string;
  /** How the label is compared with the values. */
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  /** The values for In and NotIn. */
  readonly values?: readonly string[];
}

/** Names, subject attributes and usages for the namespaces that a selector selects. */
export interface Grant {
  /** Which namespaces get them, by their labels. It has to be given: an empty one ({}) selects all namespaces. */
  readonly namespaceSelector: LabelSelector;
  /**
   * DNS names. A label `*` stands for exactly one label; a name with a wildcard is granted only by a pattern with a
   * `*` at the same place. A name of one label (`payments`) is granted to clients and peers, and for the Service of a
   * peer, by being written out.
   */
  readonly dnsNames?: readonly string[];
  /** IP addresses, as ranges in CIDR notation. */
  readonly ipRanges?: readonly string[];
  /**
   * URIs. `*` stands for exactly one segment of the path, `**` at the end for one or more, both for letters, digits
   * and -._~ alone; scheme and authority are compared in full. A URI with a query, a fragment or anything encoded in
   * it is granted only by being written out. So is a SPIFFE ID below /ns/<namespace> in the authority's own trust
   * domain, but for that namespace itself: a pattern has to begin with ns and the namespace in words.
   */
  readonly uris?: readonly string[];
  /** E-mail addresses; `*` in front of the @ stands for every mailbox of that domain, not of domains below it. */
  readonly emailAddresses?: readonly string[];
  /**
   * Common names. `*` stands for one or more letters, digits, dashes and underscores, and for nothing else, so that
   * kafka-* grants no kafka-0.example.com. No `*` stands for the beginning of a name that begins with system: (in any
   * case).
   */
  readonly commonNames?: readonly string[];
  /** Names of other types (otherName), for instance user principal names (1.3.6.1.4.1.311.20.2.3). */
  readonly otherNames?: readonly OtherNameGrant[];
  /**
   * Values of subject attributes beside the common name. Without a grant a certificate has none, since programs read
   * rights from them: to Kubernetes an organization is a group. `*` in a pattern stands for one or more letters,
   * digits, dashes and underscores. A lone `*` stands for any value without =, \ and * in it. No `*` stands for the
   * beginning of a value that begins with system: (in any case), so that system:masters is granted by system:masters
   * or system:* alone.
   */
  readonly subject?: SubjectGrant;
  /**
   * Extended key usages beside those of the roles. Programs that verify such signatures and trust the root then take
   * the namespaces' word for code, mail or tunnels.
   */
  readonly usages?: readonly ('codeSigning' | 'emailProtection' | 'ipsecIKE')[];
}

/** Names of one type. */
export interface OtherNameGrant {
  /** The object identifier of the type of name, in dotted form; no arc has more than nine digits. */
  readonly oid: string;
  /**
   * The names, compared exactly as they are written, upper and lower case included. *@ in front of a domain stands for
   * every mailbox of that domain, not of domains below it; without an @, `*` stands for one or more letters, digits,
   * dashes and underscores.
   */
  readonly utf8Values: readonly string[];
}

/**
 * Values of subject attributes beside the common name. Without a grant a certificate has none, since programs read
 * rights from them: to Kubernetes an organization is a group. `*` in a pattern stands for one or more letters, digits,
 * dashes and underscores. A lone `*` stands for any value without =, \ and * in it. No `*` stands for the beginning of
 * a value that begins with system: (in any case), so that system:masters is granted by system:masters or system:*
 * alone.
 */
export interface SubjectGrant {
  /** Organizations (O). */
  readonly organizations?: readonly string[];
  /** Organizational units (OU). */
  readonly organizationalUnits?: readonly string[];
  /** Countries (C). */
  readonly countries?: readonly string[];
  /** Localities (L). */
  readonly localities?: readonly string[];
  /** Provinces or states (ST). */
  readonly provinces?: readonly string[];
  /** Street addresses (STREET). */
  readonly streetAddresses?: readonly string[];
  /** Postal codes. */
  readonly postalCodes?: readonly string[];
  /** Serial numbers of the subject. They are not the serial numbers of certificates. */
  readonly serialNumbers?: readonly string[];
}

/** How the root is rotated. */
export interface Rotation {
  /**
   * Automatic, or Manual: a rotation then waits for the annotation mtls-operator.io/approve-rotation, whose value is
   * status.rotation.id, before certificates switch to the new root. Default: "Automatic".
   */
  readonly approval: 'Automatic' | 'Manual';
  /**
   * How long after the last write of a Secret or bundle, each by itself, its content is taken to have reached every
   * pod that mounts it: kubelet's delay and the time that programs take to reload. From 0s to 720h. Default: "3m".
   */
  readonly propagationDelay: string;
  /**
   * How long after the last change of the ClusterTrustBundle its content is taken to have reached every pod; the
   * larger of it and propagationDelay counts. Kubelet caches for 5 minutes what a pod mounts by name. Lower it only
   * where all pods mount by signerName. From 0s to 720h. Default: "7m".
   */
  readonly clusterTrustBundleDelay: string;
  /**
   * How many certificates per second are re-issued, on average, when they switch to a new root. Each resource has a
   * moment of its own, so that pods do not reload all at once. Default: 100.
   */
  readonly reissuesPerSecond: number;
}

/**
 * Who gets the trusted roots beside the Secrets, for programs that verify others and have no certificate of their own.
 * Nobody without it.
 */
export interface TrustBundle {
  /** A ConfigMap in every selected namespace, with the roots under the key ca.crt and the CRLs under ca.crl. */
  readonly configMap?: TrustConfigMap;
  /**
   * Publish the roots as a ClusterTrustBundle as well (certificates.k8s.io/v1, where the cluster serves it), with the
   * signer name mtls-operator.io/<name of the authority> and the name mtls-operator.io:<name of the authority>:roots.
   * Default: false.
   */
  readonly clusterTrustBundle: boolean;
}

/** A ConfigMap in every selected namespace, with the roots under the key ca.crt and the CRLs under ca.crl. */
export interface TrustConfigMap {
  /** The name of the ConfigMaps. One that exists and is not the operator's own is left alone. Default: "mtls-trust". */
  readonly name: string;
  /** Which namespaces get the ConfigMap, by their labels. Empty or absent, all of them. */
  readonly namespaceSelector?: LabelSelector;
}

/** What is. Written by the operator only. */
export interface MtlsAuthorityStatus {
  /** The metadata.generation that this status answers; -1 before the operator has seen the resource. */
  readonly observedGeneration?: number;
  /**
   * Ready is True when the root is fit to sign and the authority does so, and Unknown before the operator has seen the
   * resource. Rotating is True while the root is rotated, and says what the rotation waits for. TrustPublished is True
   * when the bundles of spec.trustBundle are published. IssuerKeyMissing and CrlNearlyFull report trouble when they
   * are True. A type that has once been set stays, as False with the reason; a type that has never been set is absent.
   */
  readonly conditions?: readonly Condition[];
  /** The root that signs now. */
  readonly activeRoot?: Root;
  /** The roots that are trusted now, the active one first; of more than 64 roots the first 64. trustBundle has all. */
  readonly roots?: readonly Root[];
  /** The certificates of the roots that are trusted now, as PEM; the ca.crt of every Secret. */
  readonly trustBundle?: string;
  /** The CRLs of the authority; absent when none of what signs may sign CRLs. */
  readonly crl?: CrlStatus;
  /** How many MtlsCertificates use the authority. */
  readonly certificates?: number;
  /** The value of the annotation mtls-operator.io/rotate-root that was acted on last. */
  readonly lastHandledRotateRoot?: string;
  /** The rotation of the root that is under way; absent when there is none. */
  readonly rotation?: RotationStatus;
}

/** One aspect of the state of the resource. */
export interface Condition {
  /** The name of the aspect. */
  readonly type: string;
  /** Whether the condition holds. */
  readonly status: 'True' | 'False' | 'Unknown';
  /** The metadata.generation that the condition answers. */
  readonly observedGeneration?: number;
  /** When status last changed. */
  readonly lastTransitionTime: string;
  /** Why, as one word for programs. */
  readonly reason: string;
  /** Why, and what to do about it, for people. */
  readonly message: string;
}

export interface Root {
  /** The SHA-256 of the certificate's DER, in lower-case hexadecimal. */
  readonly fingerprint: string;
  /** The subject, as an RFC 4514 string. */
  readonly subject: string;
  /** When the root starts to be valid. */
  readonly notBefore: string;
  /** When the root expires. */
  readonly notAfter: string;
}

/** The CRLs of the authority; absent when none of what signs may sign CRLs. */
export interface CrlStatus {
  /** How many certificates are revoked and have not expired. */
  readonly revoked: number;
  /** When the first of the CRLs ends. The next one is there twenty days before. */
  readonly nextUpdate: string;
}

/** The rotation of the root that is under way; absent when there is none. */
export interface RotationStatus {
  /**
   * Names the rotation. It is the value of the annotations approve-rotation and abort-rotation, and the first part of
   * the value of skip-gate.
   */
  readonly id: string;
  /**
   * Distributing: bundles get the new root, the old one signs. Switching: certificates are re-issued by the new root.
   * Draining: all are, and pods get them. Retiring: bundles lose the old root.
   */
  readonly phase: 'Distributing' | 'Switching' | 'Draining' | 'Retiring';
  /** When the rotation began. */
  readonly startedAt: string;
  /** The fingerprint of the root that is replaced. */
  readonly oldRoot?: string;
  /** The fingerprint of the root that replaces it. */
  readonly newRoot?: string;
  /** True while an aborted rotation goes back to the root that it was to replace. */
  readonly aborting?: boolean;
  /** The value of the annotation approve-rotation that let certificates switch to the new root. */
  readonly approved?: string;
  /**
   * What the rotation does not wait for, as the annotation skip-gate has asked: the name of a phase, or the name of a
   * phase, a slash and a namespace.
   */
  readonly skipped?: readonly string[];
  /** The fields done and total in words, as "237 of 240". */
  readonly progress?: string;
  /**
   * How many of the Secrets and bundles that the phase waits for are as the phase needs them, and have been for their
   * delay.
   */
  readonly done?: number;
  /** How many Secrets and bundles the phase waits for. */
  readonly total?: number;
  /** What the phase waits for, in words. Of many alike, a handful and how many more there are. */
  readonly blockers?: readonly string[];
}

/** What is asked for. A change re-issues the certificates that it concerns. */
export interface MtlsCertificateSpec {
  /** The authority that signs the certificates. Default: {"name":"default"}. */
  readonly authorityRef: AuthorityRef;
  /** Asks for a certificate that a TLS server presents (extended key usage serverAuth). */
  readonly server?: ServerRole;
  /** Asks for a certificate that a TLS client presents (extended key usage clientAuth). */
  readonly client?: ClientRole;
  /**
   * Asks for one certificate for both ends of a connection (extended key usages serverAuth and clientAuth), for
   * programs that know only one certificate, such as etcd members and Kafka brokers.
   */
  readonly peer?: PeerRole;
  /**
   * How long a certificate is valid, as a Go duration in h, m, s and ms (for instance 2160h, 1h30m); from 5m to
   * 876000h. It is shortened where it would outlive the root. Default: "2160h".
   */
  readonly duration: string;
  /**
   * How long before its expiry a certificate is renewed, as a Go duration; shorter than duration. Without renewBefore
   * and renewBeforePercentage it is renewed when a third of its actual lifetime is left.
   */
  readonly renewBefore?: string;
  /**
   * The same as a percentage of the certificate's actual lifetime that is left when it is renewed, instead of
   * renewBefore.
   */
  readonly renewBeforePercentage?: number;
  /** The private keys of the certificates. Default: {"algorithm":"ECDSA","encoding":"PKCS8","rotationPolicy":"Always"}. */
  readonly privateKey: CertificatePrivateKey;
  /**
   * What happens to the Secrets when the resource is deleted. Delete removes them with it. Retain keeps them: they
   * have no ownerReference, are no longer renewed, and a resource of the same name that is created later adopts them.
   * With either, a Secret is deleted when its role is taken out of spec or gets another secretName. Default: "Delete".
   */
  readonly deletionPolicy: 'Delete' | 'Retain';
  /**
   * The subject of the certificates, besides the common name. The authority has to grant every value (issuance.allow,
   * subject), since programs read rights from it.
   */
  readonly subject?: Subject;
  /**
   * Metadata that the Secrets carry besides the operator's own. An entry that is taken out here is taken off the
   * Secrets; what others put on them stays.
   */
  readonly secretTemplate?: SecretTemplate;
  /**
   * Further forms of key, certificate and roots, as keys of the same Secrets. They are written together with tls.crt,
   * tls.key and ca.crt; a change here re-writes the Secrets and issues nothing.
   */
  readonly outputs?: Outputs;
}

/** The authority that signs the certificates. */
export interface AuthorityRef {
  /** The name of an MtlsAuthority. Default: "default". */
  readonly name: string;
}

/** Asks for a certificate that a TLS server presents (extended key usage serverAuth). */
export interface ServerRole {
  /** The Secret that is written. Default <name of the resource>-server-tls. */
  readonly secretName?: string;
  /**
   * A Service of this namespace, which need not exist. Adds the DNS names <service>, <service>.<namespace>,
   * <service>.<namespace>.svc and <service>.<namespace>.svc.<clusterDomain of the authority>.
   */
  readonly service?: string;
  /** The common name of the subject. It is for people to read: identity is in the subject alternative names. */
  readonly commonName?: string;
  /**
   * DNS names. The first label may be a wildcard (*.example.com). Upper case and a trailing dot are accepted; the
   * certificate carries the name in lower case and without the dot.
   */
  readonly dnsNames?: readonly string[];
  /** IPv4 and IPv6 addresses. */
  readonly ipAddresses?: readonly string[];
  /**
   * Absolute URIs, for instance a SPIFFE ID (spiffe://<trust domain>/<path>). A certificate with a SPIFFE ID has no
   * other URI.
   */
  readonly uris?: readonly string[];
  /** E-mail addresses (rfc822Name), in ASCII. */
  readonly emailAddresses?: readonly string[];
  /** Names of other types (otherName), for instance a user principal name (1.3.6.1.4.1.311.20.2.3). */
  readonly otherNames?: readonly OtherName[];
  /**
   * What the certificate may be used for beside what the role says: contentCommitment, dataEncipherment (RSA keys
   * only) and keyAgreement (ECDSA keys only) as key usages; codeSigning, emailProtection and ipsecIKE as extended key
   * usages, which the authority has to grant.
   */
  readonly usages?: readonly ('contentCommitment' | 'dataEncipherment' | 'keyAgreement' | 'codeSigning' | 'emailProtection' | 'ipsecIKE')[];
}

/** A name of a type that an object identifier stands for. */
export interface OtherName {
  /** The object identifier of the type of name, in dotted form; no arc has more than nine digits. */
  readonly oid: string;
  /**
   * The name itself, which is signed as it is written, as a UTF8String. At most 1024 characters, none of them a
   * control character, no space at either end.
   */
  readonly utf8Value: string;
}

/** Asks for a certificate that a TLS client presents (extended key usage clientAuth). */
export interface ClientRole {
  /** The Secret that is written. Default <name of the resource>-client-tls. */
  readonly secretName?: string;
  /**
   * A ServiceAccount of this namespace, which need not exist. Adds the SPIFFE ID spiffe://<trustDomain of the
   * authority>/ns/<namespace>/sa/<serviceAccount>, next to which there can be no uris.
   */
  readonly serviceAccount?: string;
  /** The common name of the subject. It is for people to read: identity is in the subject alternative names. */
  readonly commonName?: string;
  /**
   * DNS names. The first label may be a wildcard (*.example.com). Upper case and a trailing dot are accepted; the
   * certificate carries the name in lower case and without the dot.
   */
  readonly dnsNames?: readonly string[];
  /** IPv4 and IPv6 addresses. */
  readonly ipAddresses?: readonly string[];
  /**
   * Absolute URIs, for instance a SPIFFE ID (spiffe://<trust domain>/<path>). A certificate with a SPIFFE ID has no
   * other URI.
   */
  readonly uris?: readonly string[];
  /** E-mail addresses (rfc822Name), in ASCII. */
  readonly emailAddresses?: readonly string[];
  /** Names of other types (otherName), for instance a user principal name (1.3.6.1.4.1.311.20.2.3). */
  readonly otherNames?: readonly OtherName[];
  /**
   * What the certificate may be used for beside what the role says: contentCommitment, dataEncipherment (RSA keys
   * only) and keyAgreement (ECDSA keys only) as key usages; codeSigning, emailProtection and ipsecIKE as extended key
   * usages, which the authority has to grant.
   */
  readonly usages?: readonly ('contentCommitment' | 'dataEncipherment' | 'keyAgreement' | 'codeSigning' | 'emailProtection' | 'ipsecIKE')[];
}

/**
 * Asks for one certificate for both ends of a connection (extended key usages serverAuth and clientAuth), for programs
 * that know only one certificate, such as etcd members and Kafka brokers.
 */
export interface PeerRole {
  /** The Secret that is written. Default <name of the resource>-peer-tls. */
  readonly secretName?: string;
  /**
   * A Service of this namespace, which need not exist. Adds the DNS names <service>.<namespace>,
   * <service>.<namespace>.svc and <service>.<namespace>.svc.<clusterDomain of the authority>; and <service> alone,
   * which programs take for the name of a user, where the authority grants it (issuance.allow, dnsNames).
   */
  readonly service?: string;
  /**
   * A ServiceAccount of this namespace, which need not exist. Adds the SPIFFE ID spiffe://<trustDomain of the
   * authority>/ns/<namespace>/sa/<serviceAccount>, next to which there can be no uris.
   */
  readonly serviceAccount?: string;
  /** The common name of the subject. It is for people to read: identity is in the subject alternative names. */
  readonly commonName?: string;
  /**
   * DNS names. The first label may be a wildcard (*.example.com). Upper case and a trailing dot are accepted; the
   * certificate carries the name in lower case and without the dot.
   */
  readonly dnsNames?: readonly string[];
  /** IPv4 and IPv6 addresses. */
  readonly ipAddresses?: readonly string[];
  /**
   * Absolute URIs, for instance a SPIFFE ID (spiffe://<trust domain>/<path>). A certificate with a SPIFFE ID has no
   * other URI.
   */
  readonly uris?: readonly string[];
  /** E-mail addresses (rfc822Name), in ASCII. */
  readonly emailAddresses?: readonly string[];
  /** Names of other types (otherName), for instance a user principal name (1.3.6.1.4.1.311.20.2.3). */
  readonly otherNames?: readonly OtherName[];
  /**
   * What the certificate may be used for beside what the role says: contentCommitment, dataEncipherment (RSA keys
   * only) and keyAgreement (ECDSA keys only) as key usages; codeSigning, emailProtection and ipsecIKE as extended key
   * usages, which the authority has to grant.
   */
  readonly usages?: readonly ('contentCommitment' | 'dataEncipherment' | 'keyAgreement' | 'codeSigning' | 'emailProtection' | 'ipsecIKE')[];
}

/** The private keys of the certificates. */
export interface CertificatePrivateKey {
  /** The algorithm. Not every TLS stack takes Ed25519. Default: "ECDSA". */
  readonly algorithm: 'ECDSA' | 'RSA' | 'Ed25519';
  /**
   * The size in bits: 256, 384 or 521 for ECDSA (default 256); 2048, 3072, 4096 or 8192 for RSA (default 2048); none
   * for Ed25519.
   */
  readonly size?: number;
  /**
   * The PEM encoding of tls.key: PKCS8 (PRIVATE KEY), PKCS1 (RSA PRIVATE KEY, RSA only) or SEC1 (EC PRIVATE KEY, ECDSA
   * only). Default: "PKCS8".
   */
  readonly encoding: 'PKCS8' | 'PKCS1' | 'SEC1';
  /**
   * Always makes a new key for every certificate. Never keeps the key at renewal, as long as it fits spec; a rotation
   * by annotation makes a new key all the same. Default: "Always".
   */
  readonly rotationPolicy: 'Always' | 'Never';
}

/**
 * The subject of the certificates, besides the common name. The authority has to grant every value (issuance.allow,
 * subject), since programs read rights from it.
 */
export interface Subject {
  /** Organizations (O). */
  readonly organizations?: readonly string[];
  /** Organizational units (OU). */
  readonly organizationalUnits?: readonly string[];
  /** Countries (C), as ISO 3166 codes of two capital letters. */
  readonly countries?: readonly string[];
  /** Localities, for instance cities (L). */
  readonly localities?: readonly string[];
  /** Provinces or states (ST). */
  readonly provinces?: readonly string[];
  /** Street addresses (STREET). */
  readonly streetAddresses?: readonly string[];
  /** Postal codes. */
  readonly postalCodes?: readonly string[];
  /** A serial number of the subject, for instance of a device. It is not the serial number of the certificate. */
  readonly serialNumber?: string;
}

/**
 * Metadata that the Secrets carry besides the operator's own. An entry that is taken out here is taken off the
 * Secrets; what others put on them stays.
 */
export interface SecretTemplate {
  /**
   * Labels. Keys of kubernetes.io, k8s.io and mtls-operator.io are reserved; of app.kubernetes.io only
   * app.kubernetes.io/managed-by is.
   */
  readonly labels?: Readonly<Record<string, string>>;
  /**
   * Annotations. Keys of kubernetes.io, k8s.io and mtls-operator.io are reserved; of app.kubernetes.io only
   * app.kubernetes.io/managed-by is.
   */
  readonly annotations?: Readonly<Record<string, string>>;
}

/**
 * Further forms of key, certificate and roots, as keys of the same Secrets. They are written together with tls.crt,
 * tls.key and ca.crt; a change here re-writes the Secrets and issues nothing.
 */
export interface Outputs {
  /** Adds tls-combined.pem, which holds what is in tls.key and then what is in tls.crt. */
  readonly combinedPEM?: boolean;
  /** Adds key.der, which is the private key of tls.key, in the same encoding, without PEM around it. */
  readonly der?: boolean;
  /**
   * Adds ca.crl, which holds the CRLs of the authority in PEM, one for each CA that signs. It is written anew whenever
   * something is revoked, and every ten days.
   */
  readonly crl?: boolean;
  /**
   * Adds keystore.p12 (the private key and its chain, alias certificate) and truststore.p12 (the roots of ca.crt), for
   * Java and others; both are under the same password.
   */
  readonly pkcs12?: Pkcs12Output;
}

/**
 * Adds keystore.p12 (the private key and its chain, alias certificate) and truststore.p12 (the roots of ca.crt), for
 * Java and others; both are under the same password.
 */
export interface Pkcs12Output {
  /**
   * Where the password is, in the namespace of the resource. A changed password rewrites the keystores; while there is
   * none, nothing is issued.
   */
  readonly passwordSecretRef: PasswordSecretRef;
}

/**
 * Where the password is, in the namespace of the resource. A changed password rewrites the keystores; while there is
 * none, nothing is issued.
 */
export interface PasswordSecretRef {
  /** The name of a Secret of any type but kubernetes.io/tls. */
  readonly name: string;
  /**
   * The key of its data that holds the password: 1 to 256 characters of printable ASCII, without a line break at its
   * end. Default: "password".
   */
  readonly key: string;
}

/** What is. Written by the operator only. */
export interface MtlsCertificateStatus {
  /** The metadata.generation that this status answers; -1 before the operator has seen the resource. */
  readonly observedGeneration?: number;
  /**
   * Ready is True when every Secret holds a valid certificate for what spec asks for, and Unknown before the operator
   * has seen the resource. Issuing is True while the certificates in place do their work and the next ones cannot be
   * issued. It is absent until that has happened once, and then stays, as False with the reason.
   */
  readonly conditions?: readonly Condition[];
  /** The value of the annotation mtls-operator.io/rotate that was acted on last. */
  readonly lastHandledRotate?: string;
  /** The value of the annotation mtls-operator.io/revoke that was acted on last. */
  readonly lastHandledRevoke?: string;
  /** The value of the annotation mtls-operator.io/retry that was acted on last. */
  readonly lastHandledRetry?: string;
  /** The latest lastFailureTime in failures. Absent when no role fails. */
  readonly lastFailureTime?: string;
  /** The largest number of attempts in failures. Absent when no role fails. */
  readonly failedIssuanceAttempts?: number;
  /** The earliest nextRetryTime in failures. Absent when no role fails. */
  readonly nextRetryTime?: string;
  /**
   * The roles whose last attempts to write their Secret failed. Each role waits for itself; a role that has succeeded
   * since is not listed.
   */
  readonly failures?: readonly RoleFailure[];
  /** The earliest notAfter in secrets. */
  readonly notAfter?: string;
  /** The earliest renewalTime in secrets. */
  readonly renewalTime?: string;
  /** The Secrets that are written, one for each role. */
  readonly secrets?: readonly IssuedSecret[];
}

/** The failed attempts of one role. */
export interface RoleFailure {
  /** The role in spec that asks for the Secret. */
  readonly role: 'server' | 'client' | 'peer';
  /** How many attempts in a row have failed. */
  readonly attempts: number;
  /** When the last attempt failed. */
  readonly lastFailureTime: string;
  /**
   * When the operator tries again by itself. A changed spec, a new value of the annotations rotate, revoke or retry,
   * and a repaired root are tried at once.
   */
  readonly nextRetryTime: string;
  /** Why the last attempt failed. */
  readonly message: string;
}

/** One Secret, and the certificate in it. */
export interface IssuedSecret {
  /** The role in spec that asks for the Secret. */
  readonly role: 'server' | 'client' | 'peer';
  /** The name of the Secret. */
  readonly secretName: string;
  /** The serial number of the certificate, in lower-case hexadecimal. */
  readonly serialNumber: string;
  /** The SHA-256 of the certificate's DER, in lower-case hexadecimal. */
  readonly fingerprint: string;
  /** The fingerprint of the root that the certificate chains to, as in activeRoot and roots of the MtlsAuthority. */
  readonly rootFingerprint: string;
  /**
   * The earlier name of rootFingerprint. The operator reads it in a status that an earlier version has written, and no
   * longer writes it.
   */
  readonly authorityFingerprint?: string;
  /**
   * The identity of the CA that signed the certificate: the SHA-256 of its subject and public key, in lower-case
   * hexadecimal. A CA that is renewed with the same key keeps it.
   */
  readonly issuerId?: string;
  /**
   * The SHA-256 of the certificate's SubjectPublicKeyInfo, in lower-case hexadecimal. A Secret that was damaged keeps
   * its private key only if it is the one of this certificate.
   */
  readonly publicKeyFingerprint?: string;
  /** When the certificate starts to be valid, a little before it was made. */
  readonly notBefore: string;
  /** When the certificate expires. */
  readonly notAfter: string;
  /** When the certificate is renewed. */
  readonly renewalTime: string;
  /** How many certificates have been written for the role; the first is 1. */
  readonly revision: number;
  /**
   * The value of the annotation mtls-operator.io/rotate that the certificate of this Secret answers, while another
   * Secret of the resource does not answer it yet. Then lastHandledRotate has it.
   */
  readonly handledRotate?: string;
  /**
   * The value of the annotation mtls-operator.io/revoke that the certificate of this Secret answers, while another
   * Secret of the resource does not answer it yet. Then lastHandledRevoke has it.
   */
  readonly handledRevoke?: string;
  /**
   * How often the operator has undone what another writer did to the Secret. There once the repairs that are made at
   * once are used up, until nobody has changed the Secret for an hour.
   */
  readonly repairs?: SecretRepairs;
  /**
   * The certificates that were in the Secret before and had not expired when they were replaced, the last 256 of them.
   * The annotation revoke is about these, too. When the list is full, the message of Ready says so.
   */
  readonly replaced?: readonly ReplacedCertificate[];
}

/**
 * How often the operator has undone what another writer did to the Secret. There once the repairs that are made at
 * once are used up, until nobody has changed the Secret for an hour.
 */
export interface SecretRepairs {
  /** How many times in a row. Pauses grow with it. */
  readonly count: number;
  /** When the Secret was repaired last. */
  readonly lastTime: string;
  /** The field manager that changes the Secret, and the fields, as metadata.managedFields of the Secret says. */
  readonly changedBy?: string;
}

/** A certificate that is in the Secret no longer. */
export interface ReplacedCertificate {
  /** Its serial number, in lower-case hexadecimal. */
  readonly serialNumber: string;
  /** The fingerprint of the root that it chains to. */
  readonly rootFingerprint: string;
  /** The earlier name of rootFingerprint, as in the entry of the Secret. */
  readonly authorityFingerprint?: string;
  /** The identity of the CA that signed it, as in the entry of the Secret. */
  readonly issuerId?: string;
  /** When it expires. */
  readonly notAfter: string;
}
