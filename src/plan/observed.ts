import type { MtlsCertificateSpec, MtlsCertificateStatus } from '../api/types.ts';
import type { Certificate, LeafRecord, Remains, Role, TrustBundle } from '../pki/index.ts';
import type { FailedAttempts } from './backoff.ts';
import type { Repairs } from './contention.ts';
import type { CrlEntries } from './crl-shares.ts';
import type { IssuancePolicy } from './grant.ts';
import type { StorePassword } from './outputs.ts';
import type { OwnedSecret } from './ownership.ts';
import type { Reissue } from './reissue.ts';

/** What is known of an MtlsCertificate: its resource without what no decision needs. */
export interface CertificateRecord {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation: number;
  readonly creationTimestamp: string;
  readonly deleting: boolean;
  /** The value of the annotation rotate; absent when there is no request. */
  readonly rotateToken?: string;
  /** The value of the annotation revoke; absent when there is no request. */
  readonly revokeToken?: string;
  /** The value of the annotation retry; absent when there is no request. */
  readonly retryToken?: string;
  /** Why spec cannot be read; then `spec` asks for nothing. */
  readonly specProblem?: string;
  readonly spec: MtlsCertificateSpec;
  readonly status: MtlsCertificateStatus;
}

/** What is known of a Namespace. */
export interface NamespaceRecord {
  readonly name: string;
  readonly resourceVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  /** It is being deleted: nothing can be created in it any more. */
  readonly terminating: boolean;
}

/** What is known of a Secret: enough to judge it, and no key material. */
export interface SecretRecord {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** What controls it by ownerReference: an MtlsCertificate, another kind of object, or nothing. */
  readonly controller: 'certificate' | 'other' | 'none';
  /** UID of the MtlsCertificate that controls it, or without a controller that of its annotation certificate-uid. */
  readonly owner?: string;
  /** Name of the MtlsCertificate that it belongs to by its own word, see ownerOf. */
  readonly ownerName?: string;
  /** It is being deleted, and held by a finalizer. */
  readonly deleting?: true;
  /** False for another type, or an immutable Secret: its data cannot be written. */
  readonly writable: boolean;
  readonly immutable?: true;
  readonly labels: Readonly<Record<string, string>>;
  /** The operator's own, and those that secretTemplate put there; the rest belongs to others. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly content: SecretContent;
  /** Another writer has changed the Secret since the operator wrote it, or since it was first read. */
  readonly touched?: true;
  /**
   * Since when its bundle, and the root of its leaf, are as they are: milliseconds of this process's monotonic clock;
   * minus infinity for what they have been from the beginning.
   */
  readonly changedAtMs: number;
}

/**
 * What is known of a Secret that no resource can own, or that was read before its resource was known: nothing of its content,
 * which somebody else may have written to keep the operator busy.
 */
export interface SecretMark
  extends Pick<
    SecretRecord,
    'namespace' | 'name' | 'uid' | 'resourceVersion' | 'controller' | 'owner' | 'ownerName' | 'deleting' | 'changedAtMs'
  > {
  readonly unexamined: true;
}

/** What the cache has of a Secret. */
export type CachedSecret = SecretRecord | SecretMark;

/** True for a Secret whose content was read. */
export const isExamined = (secret: CachedSecret): secret is SecretRecord => !('unexamined' in secret);

/** A Secret that belongs to no resource, or another one: what its metadata says. */
export type ForeignSecret = Pick<
  SecretRecord,
  'namespace' | 'name' | 'controller' | 'owner' | 'ownerName' | 'labels' | 'annotations'
>;

/** What there is under the name of a role's Secret: one that the resource can own, a foreign one, or nothing. */
export interface FoundSecret {
  readonly secret?: SecretRecord;
  readonly foreign?: ForeignSecret;
}

/**
 * The key pair in a Secret, or what is wrong with it and what can still be used of it; and the digest of its bundle. A Secret whose outputs are not those
 * that were written with the bundle has none: what of it somebody has mounted is anyone's guess.
 */
export type SecretContent = ({ readonly leaf: LeafRecord } | ({ readonly problem: string } & Remains)) & {
  readonly bundle?: string;
  /** What tells the data apart that the key pair was read from: the same data are not read twice. */
  readonly digest?: string;
};

/** How an authority stands with its root. */
export type RootView = UnknownRoot | BadRoot | ({ readonly state: 'ready' } & ReadyRoot);

/** It has not been looked at yet. */
interface UnknownRoot {
  readonly state: 'unknown';
}

/** It may not sign. */
interface BadRoot {
  readonly state: 'notReady';
  readonly reason: string;
  readonly message: string;
}

/** What signs: the CAs above its leaves, and all roots that are trusted. */
export interface ReadyRoot {
  /** The certificate of the key that signs: the active root itself, or an intermediate. */
  readonly root: Certificate;
  /** What leaves carry behind themselves, the issuer first; empty when the issuer is the root. */
  readonly intermediates: readonly Certificate[];
  /** The active root, self-signed. */
  readonly anchor: Certificate;
  readonly bundle: TrustBundle;
  /** Absent when none of what signs may sign CRLs. */
  readonly crl?: CrlBundle;
  /** Other bundles, as digests, that a Secret may keep until it is written for another reason. */
  readonly tolerated: readonly string[];
  /** How the certificates of other roots are brought to the one that signs. */
  readonly reissue?: Reissue;
  /** Why nothing is issued now, although bundles are kept. */
  readonly waits?: { readonly reason: string; readonly message: string };
}

/** The CRLs of an authority, in the one form in which they are published. */
export interface CrlBundle {
  readonly pem: string;
  /** SHA-256 of the PEM, lower-case hex. */
  readonly digest: string;
  /** Serial numbers of the leaves on them. */
  readonly revoked: ReadonlySet<string>;
  /** What is remembered of them, of which there may be maxRevocations. */
  readonly entries: CrlEntries;
  /** The identities of the CAs whose leaves can be put on them, see caId: their keys are there. */
  readonly issuers: readonly string[];
  /** When the first of the lists ends that the operator renews. */
  readonly nextUpdate: Date;
  /** CAs with leaves in use whose lists cannot be renewed, because their keys are gone. */
  readonly orphaned: readonly OrphanedCrl[];
}

/** The last list of a CA whose key is gone. */
export interface OrphanedCrl {
  /** The identity of the CA, see caId. */
  readonly issuer: string;
  /** Its name, for people. */
  readonly subject: string;
  readonly nextUpdate: Date;
}

/** What an authority says of the names it signs, whatever its root is like. */
export interface AuthorityRules {
  readonly trustDomain: string;
  readonly clusterDomain: string;
  readonly issuance: IssuancePolicy;
}

/** What certificates see of their authority. */
export type AuthorityView =
  | { readonly state: 'missing' }
  | UnknownRoot
  | (BadRoot & AuthorityRules)
  | ({ readonly state: 'ready' } & ReadyAuthority);

/** An authority that signs. */
export interface ReadyAuthority extends ReadyRoot, AuthorityRules {}

/** One role of a resource: its Secret as it is, who else lays claim to the Secret's name, and what was tried before. */
export interface ObservedRole extends FoundSecret {
  readonly role: Role;
  readonly secretName: string;
  /** The resource or Secret that has the name, in words; absent when it is this resource's to take. */
  readonly claimedBy?: string;
  /** The failed attempts at this very request of this role; absent when the last one succeeded, or none was made. */
  readonly failed?: FailedAttempts;
  /** What was repaired of its Secret of late; absent where nothing was, and where something else is asked for now. */
  readonly repairs?: Repairs;
}

/** All that a decision about an MtlsCertificate rests on. */
export interface ObservedCertificate {
  readonly certificate: CertificateRecord;
  /** The labels of its namespace; absent while the namespace has not been seen. */
  readonly namespaceLabels?: Readonly<Record<string, string>>;
  readonly authority: AuthorityView;
  readonly roles: readonly ObservedRole[];
  /** Absent when spec asks for no stores. */
  readonly storePassword?: StorePassword;
  /** Secrets that the resource owns and that no role of it wants any more. */
  readonly surplus: readonly OwnedSecret[];
}
