import type { LeafRecord, RecoverableLeaf } from '../../pki/index.ts';

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
  readonly modifiedByOthers?: true;
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
export interface UnexaminedSecret
  extends Pick<
    SecretRecord,
    'namespace' | 'name' | 'uid' | 'resourceVersion' | 'controller' | 'owner' | 'ownerName' | 'deleting' | 'changedAtMs'
  > {
  readonly unexamined: true;
}

/** What the cache has of a Secret. */
export type CachedSecret = SecretRecord | UnexaminedSecret;

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
export type SecretContent = ({ readonly leaf: LeafRecord } | ({ readonly problem: string } & RecoverableLeaf)) & {
  readonly bundle?: string;
  /** What tells the data apart that the key pair was read from: the same data are not read twice. */
  readonly digest?: string;
};
