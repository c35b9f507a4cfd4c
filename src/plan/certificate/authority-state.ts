import type { Certificate, TrustBundle } from '../../pki/index.ts';
import type { IssuancePolicy } from '../policy/grant.ts';
import type { CrlBundle } from '../revocation/crl-bundle.ts';
import type { Reissue } from './reissue.ts';

/** How an authority stands with its root. */
export type RootState = UnknownRoot | BadRoot | ({ readonly state: 'ready' } & ReadyRoot);

/** The operator has not read the root Secret yet. */
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
  readonly issuer: Certificate;
  /** What leaves carry behind themselves, the issuer first; empty when the issuer is the root. */
  readonly intermediates: readonly Certificate[];
  /** The active root, self-signed. */
  readonly anchor: Certificate;
  readonly bundle: TrustBundle;
  /** Absent when none of what signs may sign CRLs. */
  readonly crl?: CrlBundle;
  /** Other bundles, as digests, that a Secret may keep until it is written for another reason. */
  readonly acceptedBundleDigests: readonly string[];
  /** How the certificates of other roots are brought to the one that signs. */
  readonly reissue?: Reissue;
  /** Why nothing is issued now, although bundles are kept. */
  readonly issuancePaused?: { readonly reason: string; readonly message: string };
}

/** What an authority says of the names it signs, whatever its root is like. */
export interface AuthorityRules {
  readonly trustDomain: string;
  readonly clusterDomain: string;
  readonly issuance: IssuancePolicy;
}

/** What certificates see of their authority. */
export type AuthorityState =
  | { readonly state: 'missing' }
  | UnknownRoot
  | (BadRoot & AuthorityRules)
  | ({ readonly state: 'ready' } & ReadyAuthority);

/** An authority that signs. */
export interface ReadyAuthority extends ReadyRoot, AuthorityRules {}
