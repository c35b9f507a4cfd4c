import { annotations, rotationKeys, secretKeys } from '../../../../src/api/constants.ts';
import type { MtlsAuthoritySpec, MtlsAuthorityStatus, Root } from '../../../../src/api/types.ts';
import { rootSecret } from '../../../../src/controllers/objects/root-secret.ts';
import { base64 } from '../../../../src/controllers/objects/secret-data.ts';
import type { Secret } from '../../../../src/kube/index.ts';
import { encodeCertificates, type Issuer } from '../../../../src/pki/index.ts';
import {
  encodeRotationState,
  type IssuedSecret,
  type ObservedRoot,
  type Publication,
  type RotationState,
} from '../../../../src/plan/index.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { encodedRoot, issuerIdOf, rootIdOf } from '../../../support/fixtures/roots.ts';
import { days, earlier, later, minutes, now } from '../../../support/fixtures/times.ts';
import type { TestIssuer } from '../../../support/sign.ts';
import { anchorsOf, bundleOf, fingerprintOf, next, old } from './rotation-roots.ts';

/** A pair in the root Secret: a root with its key, or texts that an administrator wrote. */
export type Pair = TestIssuer | { readonly crt: string; readonly key: string };

/** A short description of everything that the plan of a rotation depends on. */
export interface Situation {
  /** The pair in tls.crt and tls.key. */
  readonly signs: Pair;
  /** The content of ca.crt. */
  readonly trusted: readonly Issuer[];
  readonly next?: Pair;
  readonly previous?: Pair;
  readonly rotation?: RotationState;
  readonly endedRotation?: string;
  readonly handledToken?: string;
  /** The annotations of the authority. */
  readonly tokens?: Pick<ObservedRoot['authority'], 'rotateRootToken' | 'approveToken' | 'skipToken' | 'abortToken'>;
  readonly spec?: MtlsAuthoritySpec;
  readonly status: MtlsAuthorityStatus;
  readonly secrets: readonly IssuedSecret[];
  readonly publications?: readonly Publication[];
  /** Default: one for each Secret. */
  readonly examinedSecrets?: number;
  readonly monotonicMs?: number;
  readonly issuerInMemory?: TestIssuer;
  readonly leadingSince?: Date;
  /** Until when pods may hold certificates, by root. */
  readonly inPods?: readonly (readonly [root: Issuer, until: Date])[];
  readonly serverTime?: Date;
}

/** A status: the trusted roots, the signing one first, and the rotation. */
export const knows = (
  roots: readonly Issuer[],
  rotation?: NonNullable<MtlsAuthorityStatus['rotation']>,
): MtlsAuthorityStatus => {
  const entries = anchorsOf(...roots).map(({ fingerprint }): Root => ({ fingerprint }) as Root);
  return {
    ...(entries[0] === undefined ? {} : { activeRoot: entries[0] }),
    roots: entries,
    trustBundle: encodeCertificates(anchorsOf(...roots)),
    ...(rotation === undefined ? {} : { rotation }),
  };
};

export const leafOf = (signer: Issuer) => ({
  root: rootIdOf(signer),
  issuer: issuerIdOf(signer),
  notAfter: later(days(60)),
});

/**
 * The Secrets of two certificates, with a leaf issued by this root and this bundle, written when the process started.
 */
export const secretsOf = (signer: Issuer, ...[first, ...rest]: readonly Issuer[]): IssuedSecret[] =>
  ['shop/a', 'shop/b'].map((displayName) => ({
    namespace: 'shop',
    displayName,
    bundle: bundleOf(first ?? signer, ...rest).digest,
    leaf: leafOf(signer),
    changedAtMs: 0,
  }));

/** The state of the rotation `r1` from old to new. It started an hour ago, its phase ten minutes ago. */
export const rotationIn = (phase: RotationState['phase'], changes: Partial<RotationState> = {}): RotationState => ({
  id: 'r1',
  phase,
  startedAt: '2026-03-01T11:00:00Z',
  since: earlier(minutes(10)).toISOString(),
  old: [rootIdOf(old)],
  new: rootIdOf(next),
  windowMs: 20,
  aborting: false,
  ...changes,
});

/** The state of a rotation that starts now. */
export const initialRotation = (
  outgoing: readonly Issuer[],
  incoming: Issuer | undefined,
  phase: RotationState['phase'] = 'Distributing',
): RotationState => ({
  id: now.getTime().toString(36),
  phase,
  startedAt: '2026-03-01T12:00:00Z',
  since: '2026-03-01T12:00:00.000Z',
  old: outgoing.map(rootIdOf),
  new: incoming === undefined ? '' : rootIdOf(incoming),
  windowMs: 20,
  aborting: false,
});

/** The rotation `r1` in status. */
export const rotationOf = (phase: RotationState['phase']) => ({
  id: 'r1',
  phase,
  startedAt: '2026-03-01T11:00:00Z',
  oldRoot: fingerprintOf(old),
  newRoot: fingerprintOf(next),
});

const textsOf = (pair: Pair) => ('anchor' in pair ? encodedRoot(pair) : pair);

/** The root Secret of a situation, including its keys. */
export function secretOf({
  signs,
  trusted,
  next: incoming,
  previous,
  rotation,
  endedRotation: ended,
  handledToken: handled,
}: Situation): Secret {
  const pair = (keys: { certificate: string; privateKey: string }, content: Pair | undefined) => {
    if (content === undefined) return {};
    const { crt, key } = textsOf(content);
    return { [keys.certificate]: base64(crt), [keys.privateKey]: base64(key) };
  };
  return {
    metadata: {
      name: 'mtls-root',
      resourceVersion: '7',
      annotations: {
        ...(rotation === undefined ? {} : { [annotations.rotation]: encodeRotationState(rotation) }),
        ...(ended === undefined ? {} : { [annotations.endedRotation]: ended }),
        ...(handled === undefined ? {} : { [annotations.rotateRoot]: handled }),
      },
    },
    data: {
      ...pair(secretKeys, signs),
      ...pair(rotationKeys.next, incoming),
      ...pair(rotationKeys.previous, previous),
      [secretKeys.bundle]: base64(encodeCertificates(anchorsOf(...trusted))),
    },
  };
}

export function observedIn(situation: Situation, at = now): ObservedRoot {
  const { tokens: asked, spec, status, secrets, publications = [], monotonicMs = 0, issuerInMemory } = situation;
  const { examinedSecrets = secrets.length, inPods, serverTime } = situation;
  const clock = serverTime === undefined ? {} : { serverTime };
  return {
    authority: authority({ ...asked, status, ...(spec === undefined ? {} : { spec }) }),
    secret: rootSecret(secretOf(situation), at),
    certificates: secrets.length,
    rollout: { secrets, publications, examinedSecrets, monotonicMs },
    ...(inPods === undefined && serverTime === undefined
      ? {}
      : { podLeaves: { ...podLeavesOf(inPods ?? []), ...clock } }),
    ...(issuerInMemory === undefined ? {} : { issuerInMemory: withoutKey(issuerInMemory) }),
    leadingSince: situation.leadingSince ?? earlier(minutes(30)),
  };
}

const podLeavesOf = (inPods: NonNullable<Situation['inPods']>) => ({
  roots: new Map(inPods.map(([root, until]) => [rootIdOf(root), until])),
  issuers: new Map<string, Date>(),
});

/** An issuer as the operator holds it, without access to its key. */
const withoutKey = ({ certificate, signer, intermediates, anchor }: TestIssuer): Issuer => ({
  certificate,
  signer,
  intermediates,
  anchor,
});
