import { apiVersion } from '../../api/constants.ts';
import type { EventDetails } from '../../kube/index.ts';
import { caId } from '../../pki/index.ts';
import {
  type AuthorityRecord,
  type AuthorityVerdict,
  type CrlPlan,
  crlSigners,
  type DesiredCondition,
  type ObservedAuthority,
  type Revocation,
  type RotationReport,
  signersIn,
} from '../../plan/index.ts';

export const authorityEvent = (
  { name, uid }: AuthorityRecord,
  type: EventDetails['type'],
  reason: string,
  note: string,
): EventDetails => ({
  regarding: { apiVersion, kind: 'MtlsAuthority', name, uid },
  type,
  reason,
  action: 'Reconcile',
  note,
});

/** Reasons without an event, by condition type: they pass automatically, are normal, or another condition reports the cause. */
const quietReasons: Readonly<Record<string, readonly string[]>> = {
  Ready: ['Pending'],
  Rotating: ['NoRotation', 'RotationCompleted', 'RotationAborted'],
  TrustPublished: ['Pending', 'AuthorityNotReady', 'NotRequested'],
  AdditionalRootsAccepted: ['NotRequested'],
  PodCertificatesServed: ['NotRequested', 'Pending', 'AuthorityNotReady'],
};

/** True for a condition that reports a problem when it is True. All other conditions report it when they are False. */
const isAboutTrouble = (type: DesiredCondition['type']): boolean =>
  type === 'IssuerKeyMissing' || type === 'CrlNearlyFull';

/** Events for new problems in conditions. The event is a Warning if a person has to act. */
export function problemEvents(
  authority: AuthorityRecord,
  conditions: readonly DesiredCondition[],
  verdict: AuthorityVerdict,
): EventDetails[] {
  const said = authority.status.conditions ?? [];
  return conditions
    .filter(({ type, status }) => status === (isAboutTrouble(type) ? 'True' : 'False'))
    .filter(({ type, reason }) => quietReasons[type]?.includes(reason) !== true)
    .filter(({ type, message }) => !said.some((old) => old.type === type && old.message === message))
    .map(({ type, reason, message }) => {
      // The root signs as soon as its bundles are published. That needs no action.
      const passes = type === 'Ready' && verdict.state === 'ready';
      return authorityEvent(authority, passes ? 'Normal' : 'Warning', reason, message);
    });
}

/** Events for requests to a rotation that had no effect. Each is sent once: status still lists it after a restart. */
export function remarkEvents(authority: AuthorityRecord, rotation: RotationReport | undefined): EventDetails[] {
  const reported = authority.status.rotation?.blockers ?? [];
  return (rotation?.notices ?? [])
    .filter(({ message }) => !reported.includes(message))
    .map(({ reason, message, isExpected }) =>
      authorityEvent(authority, isExpected === true ? 'Normal' : 'Warning', reason, message),
    );
}

/** The serial numbers that a plan adds to the CRLs, and the events that report them. */
export function revocationEvents(
  observed: ObservedAuthority,
  { revocations }: CrlPlan,
): { readonly revoked: readonly string[]; readonly events: readonly EventDetails[] } {
  const { authority, revocation } = observed;
  const before = new Set(revocation.revocations.map(({ serialNumber }) => serialNumber));
  const added = revocations.filter(({ serialNumber }) => !before.has(serialNumber));
  const issuers = new Set(crlSigners(signersIn(observed)).map(({ certificate }) => caId(certificate)));
  const listed = added.filter(({ issuer }) => issuers.has(issuer));
  const unlisted = added.filter(({ issuer }) => !issuers.has(issuer));
  const events: EventDetails[] = [];
  if (listed.length > 0) {
    const note = `Added to the CRL: ${inWords(listed)}`;
    events.push(authorityEvent(authority, 'Normal', 'CertificatesRevoked', note));
  }
  if (unlisted.length > 0) {
    const note = `Not on a CRL: ${inWords(unlisted)}. The root Secret does not hold the key of their issuer, so peers accept these certificates until they expire or until their root is no longer trusted`;
    events.push(authorityEvent(authority, 'Warning', 'CertificatesNotListed', note));
  }
  return { revoked: listed.map(({ serialNumber }) => serialNumber), events };
}

/** The first ten serial numbers, and how many more there are. */
const inWords = (revocations: readonly Revocation[]): string => {
  const serials = revocations.slice(0, 10).map(({ serialNumber }) => serialNumber);
  const more = revocations.length - serials.length;
  return `${serials.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
};
