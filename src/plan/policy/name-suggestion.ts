import type { Role } from '../../pki/index.ts';
import { dnsLabels, parseSpiffeId } from './name-normalisation.ts';
import { isOwnServiceName, isOwnSpiffeId, type NameScope, spiffeIdOf } from './own-names.ts';

/** The own name that is closest to a denied DNS name. Undefined when none is close. */
export const suggestServiceName = (name: string, role: Role, scope: NameScope): string | undefined =>
  serviceCandidates(dnsLabels(name) ?? [], scope)
    .map((labels) => labels.join('.'))
    .find((candidate) => isOwnServiceName(candidate, role, scope));

/** The candidates, with the most likely typing error first. Some are not own names of the namespace. */
function serviceCandidates(labels: readonly string[], { namespace, clusterDomain }: NameScope): string[][] {
  const domain = clusterDomain.split('.');
  const candidates: string[][] = [];
  const own = labels.lastIndexOf(namespace);
  // db-0.db.shop lacks `svc`. db.shop.svc.example.com and db.shop.cluster.local have a wrong domain after the
  // namespace.
  if (own >= 1) {
    const rest = labels.slice(own + 1);
    const isShort = rest.length === 0 || (rest.length === 1 && rest[0] === 'svc');
    candidates.push([...labels.slice(0, own + 1), 'svc', ...(isShort ? [] : domain)]);
  }
  // db.other.svc is a Service of another namespace. db.svc and db lack the namespace, db.other has another one.
  const svc = labels.lastIndexOf('svc');
  if (svc >= 2) {
    candidates.push([...labels.slice(0, svc - 1), namespace, 'svc', ...(svc === labels.length - 1 ? [] : domain)]);
  }
  const [first = '', last = ''] = labels;
  const lacksNamespace = labels.length === 1 || (labels.length === 2 && last === 'svc');
  if (lacksNamespace && first !== namespace && first !== 'localhost') candidates.push([first, namespace, 'svc']);
  if (labels.length === 2 && !lacksNamespace && !topLevelDomain.test(last)) candidates.push([first, namespace]);
  return candidates;
}

/** With such a last label, a name like example.com is an internet name, not a Service of another namespace. */
const topLevelDomain = /^([a-z]{2}|com|org|net|edu|gov|app|dev|info|local|internal|test|example)$/;

/** The own SPIFFE ID of the same ServiceAccount. Undefined when the URI names no ServiceAccount. */
export function suggestSpiffeId(uri: string, scope: NameScope): string | undefined {
  const [, serviceAccount] = /^\/ns\/[^/]+\/sa\/([^/]+)$/.exec(parseSpiffeId(uri)?.path ?? '') ?? [];
  if (serviceAccount === undefined) return undefined;
  const candidate = spiffeIdOf(serviceAccount, scope);
  return isOwnSpiffeId(candidate, scope) ? candidate : undefined;
}
