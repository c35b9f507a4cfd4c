import { apiVersion } from '../../api/constants.ts';
import type { EventNote } from '../../kube/index.ts';
import type { AuthorityRecord, AuthorityVerdict, WantedCondition } from '../../plan/index.ts';

/** An event about an authority. */
export const authorityEvent = (
  { name, uid }: AuthorityRecord,
  type: EventNote['type'],
  reason: string,
  note: string,
): EventNote => ({
  regarding: { apiVersion, kind: 'MtlsAuthority', name, uid },
  type,
  reason,
  action: 'Reconcile',
  note,
});

/** What passes by itself, is the rule, or is said by another condition. */
const quietReasons: Readonly<Record<string, readonly string[]>> = {
  Ready: ['Pending'],
  Rotating: ['NoRotation', 'RotationCompleted', 'RotationAborted'],
  TrustPublished: ['Pending', 'AuthorityNotReady', 'NotRequested'],
};

/** Of other conditions it is False that tells of trouble. */
const isAboutTrouble = (type: WantedCondition['type']): boolean =>
  type === 'IssuerKeyMissing' || type === 'CrlNearlyFull';

/** What has newly gone wrong. It is a warning where a person has to act. */
export function problemEvents(
  authority: AuthorityRecord,
  conditions: readonly WantedCondition[],
  verdict: AuthorityVerdict,
): EventNote[] {
  const said = authority.status.conditions ?? [];
  return conditions
    .filter(({ type, status }) => status === (isAboutTrouble(type) ? 'True' : 'False'))
    .filter(({ type, reason }) => quietReasons[type]?.includes(reason) !== true)
    .filter(({ type, message }) => !said.some((old) => old.type === type && old.message === message))
    .map(({ type, reason, message }) => {
      // A root that waits for its bundles signs when they are there.
      const passes = type === 'Ready' && verdict.state === 'ready';
      return authorityEvent(authority, passes ? 'Normal' : 'Warning', reason, message);
    });
}
