import type { Role } from '../../pki/index.ts';
import { dnsLabels, parseSpiffeId } from './name-normalisation.ts';

/** A namespace and the domains of its authority. They decide which names are the namespace's own. */
export interface NameScope {
  readonly namespace: string;
  readonly trustDomain: string;
  readonly clusterDomain: string;
}

/**
 * True for the DNS names that need no grant: `<service>.<namespace>`, and any name below `<namespace>.svc`, with or
 * without the cluster's domain. The bare `<service>` is for servers only, because programs read the bare name of a
 * client as a user name. A wildcard is own in the qualified forms, where every name that it covers is own.
 */
export function isOwnServiceName(name: string, role: Role, { namespace, clusterDomain }: NameScope): boolean {
  const labels = dnsLabels(name);
  if (labels === undefined) return false;
  const wildcard = labels[0] === '*';
  if (labels.length === 1) return role === 'server' && labels[0] !== 'localhost';
  if (labels.length === 2) return !wildcard && labels[1] === namespace;
  // With the cluster's domain, the position of the namespace is certain. Without it, a namespace may be mistaken for a
  // part of a domain like `shop.svc`.
  const domain = ['svc', ...clusterDomain.toLowerCase().split('.')];
  return endsWith(labels, endsWith(labels, domain) ? [namespace, ...domain] : [namespace, 'svc']);
}

/** True when the labels end with the suffix and at least one label comes before it. */
const endsWith = (labels: readonly string[], suffix: readonly string[]): boolean =>
  labels.length > suffix.length && suffix.every((text, i) => labels[labels.length - suffix.length + i] === text);

/** The own names of a Service in a role. A client has no Service. */
export const serviceNames = (service: string, role: Role, { namespace, clusterDomain }: NameScope): string[] => [
  ...(role === 'server' ? [service] : []),
  ...[`.${namespace}`, `.${namespace}.svc`, `.${namespace}.svc.${clusterDomain}`].map((rest) => service + rest),
];

/** True for the SPIFFE ID of a ServiceAccount of the namespace. Every part is compared. */
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

/** A common name may be any own alternative name of the role, because programs read either of them. */
export const isOwnCommonName = (commonName: string, role: Role, scope: NameScope): boolean =>
  isOwnServiceName(commonName, role, scope) || isOwnSpiffeId(commonName, scope);
