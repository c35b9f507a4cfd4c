import type { AuthorityRecord } from '../records/authority-record.ts';
import { type DesiredCondition, falseIfSet } from '../records/condition.ts';
import { rotateRootCommand } from '../text/kubectl-command.ts';
import { type CrlEntries, countEntries, maxRevocations } from './crl-shares.ts';

const nearlyFull = 0.8;
/** The message rounds down to steps of this many percent. Otherwise each revocation would change the message. */
const stepPercent = 5;

/**
 * The condition CrlNearlyFull of an authority. It is absent until it was True once.
 * @param entries absent when there are no CRLs
 */
export function crlCondition(authority: AuthorityRecord, entries: CrlEntries = countEntries([])): DesiredCondition[] {
  const { total, byNamespace } = entries;
  const type = 'CrlNearlyFull';
  if (total >= maxRevocations * nearlyFull) {
    const percent = Math.floor((total / maxRevocations) * (100 / stepPercent)) * stepPercent;
    const most = [...byNamespace]
      .sort(([a, countOfA], [b, countOfB]) => countOfB - countOfA || (a < b ? -1 : 1))
      .slice(0, 3)
      .map(([namespace]) => namespace);
    const namespaces = most.length === 0 ? '' : `, most of them by ${most.join(', ')}`;
    const message =
      `${percent} % of the ${maxRevocations} entries of the CRL are in use${namespaces}. Entries leave when their certificates ` +
      'expire: issuance.maxDuration limits how long that takes. To empty the CRL, rotate the root: ' +
      rotateRootCommand(authority);
    return [{ type, status: 'True', reason: 'EntriesAboveThreshold', message }];
  }
  const message = `fewer than ${nearlyFull * 100} % of the entries of the CRL are in use`;
  return falseIfSet(authority.status, { type, reason: 'EntriesBelowThreshold', message });
}
