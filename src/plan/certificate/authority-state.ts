import type { Certificate, TrustBundle } from '../../pki/index.ts';
import type { IssuancePolicy } from '../policy/grant.ts';
import type { PodLeaves } from '../records/pod-leaves.ts';
import type { CrlBundle } from '../revocation/crl-bundle.ts';
import type { Reissue } from './reissue.ts';

/** Whether the root of an authority may sign. */
export type RootState = UnknownRoot | BadRoot | ({ readonly state: 'ready' } & ReadyRoot);

/** The operator has not read the root Secret yet. */
interface UnknownRoot {
  readonly state: 'unknown';
}

/** The root may not sign. */
interface BadRoot {
  readonly state: 'notReady';
  readonly reason: string;
  readonly message: string;
}

/** The signing CA with its chain, and all trusted roots. */
export interface ReadyRoot {
  /** The certificate of the signing key: the active root, or an intermediate. */
  readonly issuer: Certificate;
  /** The rest of the chain in a leaf's tls.crt, the issuer first. Empty when the issuer is the root. */
  readonly intermediates: readonly Certificate[];
  /** The active root, self-signed. */
  readonly anchor: Certificate;
  readonly bundle: TrustBundle;
  /** Absent when no signing CA may sign CRLs. */
  readonly crl?: CrlBundle;
  /** Digests of other bundles that a Secret may keep until the operator writes it for another reason. */
  readonly acceptedBundleDigests: readonly string[];
  /** The schedule on which certificates issued by other roots are issued again by the active root. */
  readonly reissue?: Reissue;
  /** Until when certificates for pods may be valid. Absent when the root Secret records none. */
  readonly podLeaves?: PodLeaves;
  /** The longest lifetime that a rotation allows for certificates of pods, in milliseconds. Absent when it sets no limit. */
  readonly longestPodLifetimeMs?: number;
  /** Why the operator issues no certificate now, although it keeps bundles up to date. */
  readonly issuancePaused?: { readonly reason: string; readonly message: string };
}

/** The rules of an authority for names. They do not depend on its root. */
export interface AuthorityRules {
  readonly trustDomain: string;
  readonly clusterDomain: string;
  readonly issuance: IssuancePolicy;
}

/** The state of an authority, as the plan of a certificate needs it. */
export type AuthorityState =
  | { readonly state: 'missing' }
  | UnknownRoot
  | (BadRoot & AuthorityRules)
  | ({ readonly state: 'ready' } & ReadyAuthority);

/** An authority that may sign. */
export interface ReadyAuthority extends ReadyRoot, AuthorityRules {}
