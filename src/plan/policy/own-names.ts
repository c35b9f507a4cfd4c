import type { Role } from '../../pki/index.ts';
import { dnsLabels, parseSpiffeId } from './name-normalisation.ts';

/** Whose names are the own ones: a namespace, and the domains of its authority. */
export interface NameScope {
  readonly namespace: string;
  readonly trustDomain: string;
  readonly clusterDomain: string;
}

/**
 * True for the DNS names that a namespace needs no grant for: `<service>.<namespace>`, and anything under `<namespace>.svc`,
 * with or without the cluster's domain. `<service>` alone is for servers: programs take a client's bare name for a user. A
 * wildcard is own where every name it stands for would be, in the qualified forms alone.
 */
export function isOwnServiceName(name: string, role: Role, { namespace, clusterDomain }: NameScope): boolean {
  const labels = dnsLabels(name);
  if (labels === undefined) return false;
  const wildcard = labels[0] === '*';
  if (labels.length === 1) return role === 'server' && labels[0] !== 'localhost';
  if (labels.length === 2) return !wildcard && labels[1] === namespace;
  // With the cluster's domain the namespace is certain. Without, it could be taken for a part of a domain like `shop.svc`.
  const domain = ['svc', ...clusterDomain.toLowerCase().split('.')];
  return endsWith(labels, endsWith(labels, domain) ? [namespace, ...domain] : [namespace, 'svc']);
}

/** True when labels are left in front of the suffix. */
const endsWith = (labels: readonly string[], suffix: readonly string[]): boolean =>
  labels.length > suffix.length && suffix.every((text, i) => labels[labels.length - suffix.length + i] === text);

/** The names of a Service in a role: all that are own. A client has no Service. */
export const serviceNames = (service: string, role: Role, { namespace, clusterDomain }: NameScope): string[] => [
  ...(role === 'server' ? [service] : []),
  ...[`.${namespace}`, `.${namespace}.svc`, `.${namespace}.svc.${clusterDomain}`].map((rest) => service + rest),
];

/** True for the SPIFFE ID of a ServiceAccount of the namespace, compared in full. */
export function isOwnSpiffeId(uri: string, { namespace, trustDomain }: NameScope): boolean {
  const id = parseSpiffeId(uri);
  if (id?.trustDomain !== trustDomain.toLowerCase()) return false;
  const [empty, ns, owner, sa, name, ...more] = id.path.split('/');
  const isServiceAccount = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name ?? '') && more.length === 0;
  return empty === '' && ns === 'ns' && owner === namespace && sa === 'sa' && isServiceAccount;
}

/** The SPIFFE ID of a ServiceAccount of the namespace. */
export const spiffeIdOf = (serviceAccount: string, { namespace, trustDomain }: NameScope): string =>
  `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;

/** A common name may be what an alternative name of the role may be: programs take the one for the other. */
export const isOwnCommonName = (commonName: string, role: Role, scope: NameScope): boolean =>
  isOwnServiceName(commonName, role, scope) || isOwnSpiffeId(commonName, scope);
