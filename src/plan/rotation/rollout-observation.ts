import type { LeafRecord } from '../../pki/index.ts';
import type { CertificateRecord } from '../records/certificate-record.ts';
import type { ContentWrite } from '../records/field-manager.ts';
import { type CachedSecret, isExamined } from '../records/secret-record.ts';
import { namespacedRightHint } from '../text/missing-right.ts';
import type { ObservedPods } from './observed-pods.ts';

/** A Secret of an authority's certificate, as a rotation counts it. */
export interface IssuedSecret {
  readonly namespace: string;
  /** `namespace/name`. */
  readonly displayName: string;
  /** SHA-256 of its ca.crt. Absent when the Secret is missing. */
  readonly bundle?: string;
  /**
   * Its leaf if that is valid, otherwise the last known one. `root` (see anchorId) and `issuer` (see caId) are absent
   * when no known root issued the leaf.
   */
  readonly leaf?: { readonly root?: string; readonly issuer?: string; readonly notAfter: Date };
  /** Its leaf may be a live one of any root: the operator has not read the Secret, or may not read the namespace. */
  readonly mayHoldAnyLeaf?: true;
  /** When bundle or leaf last changed, in milliseconds of the clock of RolloutObservation. */
  readonly changedAtMs: number;
  /** The write of that change, or a later one. */
  readonly written?: ContentWrite;
  /** How often the object changed since the phase started. Absent when the number is not worth reporting. */
  readonly changeCount?: number;
  /** Why the object may never meet the gate, for messages. */
  readonly detail?: string;
}

/** A published bundle. */
export interface Publication {
  /** Empty for a cluster-scoped object. */
  readonly namespace: string;
  /** For messages: `ConfigMap shop/mtls-trust`. */
  readonly displayName: string;
  /** SHA-256 of the published bundle. Absent while the object holds none. */
  readonly bundle?: string;
  /** When the bundle last changed, in milliseconds of the clock of RolloutObservation. */
  readonly changedAtMs: number;
  /** See IssuedSecret. */
  readonly written?: ContentWrite;
  /** Set for a ClusterTrustBundle. kubelet caches its content when a pod mounts it by name. */
  readonly isClusterTrustBundle?: true;
  /** See IssuedSecret. */
  readonly changeCount?: number;
  readonly detail?: string;
}

/**
 * All Secrets and publications of an authority. Times are milliseconds of a monotonic clock: a change of the system
 * time must not change how long ago an object was written. The clock starts with the process. Earlier writes count as
 * written when the process started.
 */
export interface RolloutObservation {
  readonly secrets: readonly IssuedSecret[];
  readonly publications: readonly Publication[];
  /** Present when spec.rotation.podEvidence is true. */
  readonly pods?: ObservedPods;
  /** How many Secrets and pods the observation read, including those of other authorities. */
  readonly examinedSecrets: number;
  readonly monotonicMs: number;
}

/**
 * The Secret of a certificate, as a rotation counts it. A Secret that has not been read yet may hold any leaf, so it
 * blocks every phase.
 */
export function issuedSecret(secret: CachedSecret): IssuedSecret {
  const { namespace, name, changedAtMs } = secret;
  const common = { namespace, displayName: `${namespace}/${name}`, changedAtMs };
  if (!isExamined(secret)) return { ...common, ...anyLeaf, detail: 'the operator has not read it yet' };
  const { content, written } = secret;
  return {
    ...common,
    ...(written === undefined ? {} : { written }),
    ...(content.bundle === undefined ? {} : { bundle: content.bundle }),
    ...('leaf' in content ? { leaf: leafOf(content.leaf) } : {}),
    ...(secret.deleting === true ? { detail: heldByFinalizer } : {}),
  };
}

/**
 * A namespace whose objects the operator may not read, as a rotation counts it. It may hold any leaf and any bundle, so it
 * blocks every phase.
 * @param kinds what the operator may not read, by plural
 */
export const unreadableNamespace = (
  namespace: string,
  kinds: readonly string[],
  monotonicMs: number,
): IssuedSecret => ({
  namespace,
  displayName: `namespace ${namespace}`,
  ...anyLeaf,
  changedAtMs: monotonicMs,
  detail: `the operator may not read its ${kinds.join(', ')}; ${namespacedRightHint(namespace)}`,
});

/** ECMA-262 21.4.1.1. */
const endOfTime = new Date(8.64e15);

const anyLeaf = { leaf: { notAfter: endOfTime }, mayHoldAnyLeaf: true } as const;

/** The detail of a deleted object that a finalizer holds, in the messages of a rotation. */
export const heldByFinalizer = 'being deleted, but a finalizer holds it';

/** Copies only the fields that a rotation needs, to save memory: there are as many leaves as Secrets. */
const leafOf = ({ root, issuer, notAfter }: LeafRecord): NonNullable<IssuedSecret['leaf']> =>
  root === undefined || issuer === undefined ? { notAfter } : { root, issuer, notAfter };

/**
 * The Secrets of a resource that were issued and are missing now. Pods that mount them still have the old content, and
 * load the new content when the Secret is back. A Secret that was never issued has no reader. The Secrets of a resource
 * that is being deleted do not come back.
 * @param rootOf the anchor identity of a root, by the fingerprint that status has for it
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
