import type { LeafRecord } from '../../pki/index.ts';
import type { CertificateRecord } from '../records/certificate-record.ts';
import { type CachedSecret, isExamined } from '../records/secret-record.ts';

/** A Secret of an authority's certificate: what of it a rotation waits for. */
export interface IssuedSecret {
  readonly namespace: string;
  /** `namespace/name`. */
  readonly displayName: string;
  /** SHA-256 of its ca.crt; absent when the Secret ought to be there and is not. */
  readonly bundle?: string;
  /**
   * Its leaf, where that can be read, or the last one. `root` (see anchorId) and `issuer` (see caId) are absent when no
   * known root has signed it.
   */
  readonly leaf?: { readonly root?: string; readonly issuer?: string; readonly notAfter: Date };
  /** Since when bundle and leaf are as they are: milliseconds of the clock of RolloutObservation. */
  readonly changedAtMs: number;
  /** How often it has changed since the phase began; absent when that is no cause for a word. */
  readonly changeCount?: number;
  /** Why it may never be as a phase needs it, in a few words. */
  readonly detail?: string;
}

/** What is published for those who hold no certificate. */
export interface Publication {
  /** Empty for an object of the cluster. */
  readonly namespace: string;
  /** In words: `ConfigMap shop/mtls-trust`. */
  readonly displayName: string;
  /** SHA-256 of what is there; absent when it is not there yet. */
  readonly bundle?: string;
  /** Since when it is as it is: milliseconds of the clock of RolloutObservation. */
  readonly changedAtMs: number;
  /** A ClusterTrustBundle: kubelet caches the content of one that a pod mounts by name. */
  readonly isClusterTrustBundle?: true;
  /** As those of IssuedSecret. */
  readonly changeCount?: number;
  readonly detail?: string;
}

/**
 * Everything of an authority that is out there. Times are milliseconds of a clock that only goes forward, and that nobody
 * can set: how long ago something was written must not depend on the calendar. It starts again with each process; what
 * was written before counts as written when the process began.
 */
export interface RolloutObservation {
  readonly secrets: readonly IssuedSecret[];
  readonly publications: readonly Publication[];
  /** How many Secrets were gone through for it: those of every authority. */
  readonly examinedSecrets: number;
  readonly monotonicMs: number;
}

/** The Secret of a certificate, as a rotation counts it. A Secret that was not read yet may hold anything: no phase is done with it. */
export function issuedSecret(secret: CachedSecret): IssuedSecret {
  const { namespace, name, changedAtMs } = secret;
  const common = { namespace, displayName: `${namespace}/${name}`, changedAtMs };
  if (!isExamined(secret))
    return { ...common, leaf: { notAfter: endOfTime }, detail: 'the operator has not read it yet' };
  const { content } = secret;
  return {
    ...common,
    ...(content.bundle === undefined ? {} : { bundle: content.bundle }),
    ...('leaf' in content ? { leaf: leafOf(content.leaf) } : {}),
    ...(secret.deleting === true ? { detail: heldByFinalizer } : {}),
  };
}

/** ECMA-262 21.4.1.1. */
const endOfTime = new Date(8.64e15);

/** Why an object that was deleted is still there, in the messages of a rotation. */
export const heldByFinalizer = 'being deleted, but a finalizer holds it';

/** Only the fields that a rotation needs: there are as many leaves as Secrets. */
const leafOf = ({ root, issuer, notAfter }: LeafRecord): NonNullable<IssuedSecret['leaf']> =>
  root === undefined || issuer === undefined ? { notAfter } : { root, issuer, notAfter };

/**
 * The Secrets of a resource that have been issued once and are not there: whoever mounts them still has the old content,
 * and gets the new one when they are back. What has never been issued is in nobody's hands. The Secrets of a resource that is
 * being deleted do not come back.
 * @param rootOf the anchor identity of a root by the fingerprint that status has of it
 */
export const missingSecrets = (
  { namespace, deleting, status }: CertificateRecord,
  isThere: (secretName: string) => boolean,
  rootOf: (fingerprint: string) => string | undefined,
): IssuedSecret[] =>
  (deleting ? [] : (status.secrets ?? []))
    .filter(({ secretName }) => !isThere(secretName))
    .map(({ secretName, rootFingerprint, issuerId: issuer, notAfter: text }) => {
      const [root, notAfter] = [rootOf(rootFingerprint), new Date(text)];
      const known = { ...(root === undefined ? {} : { root }), ...(issuer === undefined ? {} : { issuer }) };
      return {
        namespace,
        displayName: `${namespace}/${secretName}`,
        leaf: { ...known, notAfter },
        changedAtMs: Number.POSITIVE_INFINITY,
        detail: 'deleted',
      };
    });
