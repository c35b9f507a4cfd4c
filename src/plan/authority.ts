import type { MtlsAuthoritySpec, MtlsAuthorityStatus, Root, RootSpec } from '../api/types.ts';
import {
  type Certificate,
  commonValidity,
  type KeySpec,
  parseTrustAnchors,
  pathOf,
  type RootInspection,
  type RootProfile,
  type SigningRoot,
  subjectText,
  type TrustBundle,
  trustBundle,
} from '../pki/index.ts';
import { timestamp, type WantedCondition } from './certificate-status.ts';
import { parseDurationMs } from './duration.ts';
import { keySpecOf } from './key-spec.ts';

/** What is known of an MtlsAuthority. */
export interface AuthorityRecord {
  readonly namespace: '';
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation: number;
  readonly deleting: boolean;
  /** The value of the annotation rotate-root; absent when there is no request. */
  readonly rotateRootToken?: string;
  /** The values of the annotations approve-rotation and abort-rotation. */
  readonly approveToken?: string;
  readonly abortToken?: string;
  readonly spec: MtlsAuthoritySpec;
  readonly status: MtlsAuthorityStatus;
}

/** The root Secret as it was read, judged at the moment of reading. */
export interface RootSecret {
  readonly resourceVersion: string;
  readonly inspection: RootInspection;
  /** Roots in ca.crt beside the active one, or why it cannot be read. */
  readonly anchors: readonly Certificate[] | { readonly problem: string };
}

/** All that a decision about an MtlsAuthority rests on. */
export interface ObservedAuthority {
  readonly authority: AuthorityRecord;
  readonly secret?: RootSecret;
  /** How many MtlsCertificates refer to it. */
  readonly certificates: number;
}

/** What is to be done about the root Secret. */
export type AuthorityStep =
  | { readonly step: 'keep' }
  | {
      readonly step: 'create';
      readonly profile: RootProfile;
      readonly key: KeySpec;
      readonly remembered: readonly Certificate[];
    }
  /** The active root was replaced: its predecessor goes on being trusted, and into ca.crt before any peer loses it. */
  | { readonly step: 'remember'; readonly resourceVersion: string; readonly bundle: TrustBundle };

/** Whether the authority signs, and if not why. */
export type AuthorityVerdict =
  | { readonly state: 'ready'; readonly root: SigningRoot; readonly bundle: TrustBundle }
  | { readonly state: 'notReady'; readonly reason: string; readonly message: string };

/** Decides what is to be done about the root Secret, and what certificates may expect of the authority until it is. */
export function planAuthority({ authority, secret }: ObservedAuthority): {
  step: AuthorityStep;
  verdict: AuthorityVerdict;
} {
  const { spec } = authority;
  const notReady = (reason: string, message: string, step: AuthorityStep = { step: 'keep' }) => ({
    step,
    verdict: { state: 'notReady', reason, message } as const,
  });
  if (secret === undefined) {
    if (authority.deleting || spec.root === undefined) {
      return notReady('RootMissing', `Secret ${spec.secretName} with tls.crt and tls.key does not exist; create it`);
    }
    const wanted = rootRequest(spec.root);
    if (wanted === undefined) return notReady('InvalidSpec', 'spec.root: duration or key size is not valid');
    const step = { step: 'create', ...wanted, remembered: rememberedRoots(authority.status) } as const;
    return notReady('RootMissing', `Secret ${spec.secretName} is being created`, step);
  }
  const { inspection, anchors } = secret;
  // First, because an intermediate is not fit to sign without the root that may be in there.
  if ('problem' in anchors) return notReady('RootMalformed', `ca.crt of the root Secret: ${anchors.problem}`);
  if ('reason' in inspection) return notReady(inspection.reason, inspection.message);
  const { root } = inspection;
  const bundle = trustBundle(root.anchor, [...anchors, ...predecessors(authority.status, root.anchor)]);
  const isRemembered = bundle.roots.length <= 1 + others(anchors, root.anchor).length;
  return {
    step: isRemembered ? { step: 'keep' } : { step: 'remember', resourceVersion: secret.resourceVersion, bundle },
    verdict: { state: 'ready', root, bundle },
  };
}

/** A fresh start has no past; then the status is empty and nothing is remembered. */
function rememberedRoots(status: MtlsAuthorityStatus): Certificate[] {
  try {
    return parseTrustAnchors(status.trustBundle ?? '');
  } catch {
    return [];
  }
}

/**
 * The roots that were trusted when another root was active. Once status names the active root, ca.crt of the Secret
 * alone decides, so that a person can end trust by taking a root out of it.
 */
const predecessors = (status: MtlsAuthorityStatus, active: Certificate): Certificate[] =>
  status.activeRoot === undefined || status.activeRoot.fingerprint === active.fingerprint
    ? []
    : rememberedRoots(status);

const others = (anchors: readonly Certificate[], active: Certificate): string[] => [
  ...new Set(anchors.map(({ fingerprint }) => fingerprint).filter((fingerprint) => fingerprint !== active.fingerprint)),
];

function rootRequest({ commonName, organizations, privateKey, duration }: RootSpec) {
  const durationMs = parseDurationMs(duration);
  // Larger by default than a leaf's: it has to last for ten years (SP 800-57 part 1, 5.6.3).
  const key = keySpecOf(privateKey, 3072);
  if (durationMs === undefined || key === undefined) return undefined;
  const subject = { commonName, ...(organizations === undefined ? {} : { organizations }) };
  return { profile: { subject, durationMs }, key };
}

/** The status to be, but for the times of transitions. */
export type WantedAuthorityStatus = Omit<MtlsAuthorityStatus, 'conditions'> & {
  readonly conditions: readonly WantedCondition[];
};

const notYetValidPollMs = 60_000;

/** The status of an authority, and when its root changes by the clock alone. */
export function planAuthorityStatus(
  { authority, certificates }: ObservedAuthority,
  verdict: AuthorityVerdict,
  now: Date,
): { status: WantedAuthorityStatus; revisitAt?: Date } {
  const { activeRoot, roots, trustBundle: published } = authority.status;
  if (verdict.state === 'notReady') {
    const status = {
      observedGeneration: authority.generation,
      conditions: [readyCondition('False', verdict.reason, verdict.message)],
      // What is out there goes on being trusted while the root is bad, and has to be remembered should it be replaced.
      ...(activeRoot === undefined ? {} : { activeRoot }),
      ...(roots === undefined ? {} : { roots }),
      ...(published === undefined ? {} : { trustBundle: published }),
      certificates,
    };
    // A root that is not valid yet becomes so without anything being written.
    const waits = verdict.reason === 'RootNotYetValid';
    return waits ? { status, revisitAt: new Date(now.getTime() + notYetValidPollMs) } : { status };
  }
  const { anchor: active } = verdict.root;
  const { notAfter } = commonValidity(pathOf(verdict.root));
  const message = `signs with ${describeSigner(verdict.root)}, valid until ${timestamp(notAfter)}`;
  const status = {
    observedGeneration: authority.generation,
    conditions: [readyCondition('True', 'Ready', message)],
    activeRoot: rootStatus(active),
    roots: verdict.bundle.roots.map(rootStatus),
    trustBundle: verdict.bundle.pem,
    certificates,
  };
  return notAfter > now ? { status, revisitAt: notAfter } : { status };
}

const describeSigner = ({ certificate, anchor }: SigningRoot): string => {
  const [issuer, root] = [certificate, anchor].map(({ fingerprint }) => fingerprint.slice(0, 16));
  return issuer === root ? `root ${root}` : `intermediate ${issuer} under root ${root}`;
};

const readyCondition = (status: 'True' | 'False', reason: string, message: string): WantedCondition => ({
  type: 'Ready',
  status,
  reason,
  message,
});

const rootStatus = (root: Certificate): Root => ({
  fingerprint: root.fingerprint,
  subject: subjectText(root),
  notBefore: timestamp(root.notBefore),
  notAfter: timestamp(root.notAfter),
});
