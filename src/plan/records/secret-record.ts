import type { LeafRecord, RecoverableLeaf } from '../../pki/index.ts';
import type { ContentWrite } from './field-manager.ts';

/** The parts of a Secret that plans need. A record holds no key material. */
export interface SecretRecord {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** Its controller by ownerReference: an MtlsCertificate, another kind of object, or none. */
  readonly controller: 'certificate' | 'other' | 'none';
  /** UID of the controlling MtlsCertificate, or without a controller the value of the annotation certificate-uid. */
  readonly owner?: string;
  /** Name of the MtlsCertificate that the Secret names as its owner, see ownerOf. */
  readonly ownerName?: string;
  /** The Secret is being deleted, and a finalizer holds it. */
  readonly deleting?: true;
  /** False for an immutable Secret and for another type: the operator cannot write its data. */
  readonly writable: boolean;
  readonly immutable?: true;
  readonly labels: Readonly<Record<string, string>>;
  /** Only the operator's own annotations and those from secretTemplate. Annotations of other clients are not kept. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly content: SecretContent;
  /** Another client has changed the Secret since the operator wrote it, or since it was first read. */
  readonly modifiedByOthers?: true;
  /**
   * When its bundle or the root of its leaf last changed, in milliseconds of this process's monotonic clock. Minus
   * infinity when they have not changed since the first read.
   */
  readonly changedAtMs: number;
  /** The write of that change. Later if the operator has restarted since. Absent when managedFields do not show it. */
  readonly written?: ContentWrite;
}

/**
 * A Secret that no existing resource can own, or that was read before its resource was known. The cache does not read
 * its content, which any client may have written to keep the operator busy.
 */
export interface UnexaminedSecret
  extends Pick<
    SecretRecord,
    'namespace' | 'name' | 'uid' | 'resourceVersion' | 'controller' | 'owner' | 'ownerName' | 'deleting' | 'changedAtMs'
  > {
  readonly unexamined: true;
}

/** A Secret in the cache. */
export type CachedSecret = SecretRecord | UnexaminedSecret;

export const isExamined = (secret: CachedSecret): secret is SecretRecord => !('unexamined' in secret);

/** The metadata of a Secret that belongs to no resource or to another one. */
export type ForeignSecret = Pick<
  SecretRecord,
  'namespace' | 'name' | 'controller' | 'owner' | 'ownerName' | 'labels' | 'annotations'
>;

/** The object that has the name of a role's Secret: a Secret that the resource can own, a foreign Secret, or none. */
export interface FoundSecret {
  readonly secret?: SecretRecord;
  readonly foreign?: ForeignSecret;
}

/**
 * The key pair in a Secret, or what is wrong with it and which parts can still be used; and the digest of its bundle.
 * `bundle` is absent when another client has changed an output: pods may mount that output instead of ca.crt.
 */
export type SecretContent = ({ readonly leaf: LeafRecord } | ({ readonly problem: string } & RecoverableLeaf)) & {
  readonly bundle?: string;
  /** Digest of the data from which the key pair was read, so that the same data are not read twice. */
  readonly digest?: string;
};
