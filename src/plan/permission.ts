import type { Role, SubjectAltNames } from '../pki/index.ts';
import { dnsLabels, parseSpiffeId } from './names.ts';

/** Whose names are judged: the real namespace of the resource, and the domains of its authority. */
export interface Scope {
  readonly namespace: string;
  readonly trustDomain: string;
  readonly clusterDomain: string;
}

/** Names in normal form, as they would be signed. */
export interface RequestedNames {
  readonly role: Role;
  readonly commonName?: string;
  readonly names: SubjectAltNames;
}

/**
 * What a namespace may not have, in sentences; empty when it may have all of it. A namespace has its own Service names
 * and the SPIFFE IDs of its own ServiceAccounts, nothing else. Pure and total: this is the gate that stands where names
 * are signed, whatever was checked before.
 */
export function deniedNames({ role, commonName, names }: RequestedNames, scope: Scope): string[] {
  const { namespace, trustDomain, clusterDomain } = scope;
  const ownDns = `only names of its own Services (<service>.${namespace}.svc[.${clusterDomain}])`;
  const ownUri = `only SPIFFE IDs of its own ServiceAccounts (spiffe://${trustDomain}/ns/${namespace}/sa/<name>)`;
  const deny = (kind: string, name: string, rule: string) =>
    `${kind} ${JSON.stringify(name)}: namespace ${namespace} may have ${rule}`;
  return [
    ...names.dnsNames.filter((name) => !isOwnServiceName(name, scope)).map((name) => deny('DNS name', name, ownDns)),
    ...names.uris.filter((uri) => !isOwnSpiffeId(uri, scope)).map((uri) => deny('URI', uri, ownUri)),
    ...names.ipAddresses.map((address) => deny('IP address', address, 'no IP addresses')),
    ...names.emailAddresses.map((address) => deny('e-mail address', address, 'no e-mail addresses')),
    ...names.otherNames.map(({ oid }) => deny('otherName of type', oid, 'no other names')),
    ...(commonName === undefined || isOwnCommonName(commonName, role, scope)
      ? []
      : [deny('common name', commonName, `${ownDns}; a client's has to name the namespace`)]),
  ];
}

/**
 * True for `<service>`, `<service>.<namespace>`, and anything under `<namespace>.svc`, with or without the cluster's
 * domain. A wildcard is granted where every name it stands for would be, in the qualified forms alone.
 */
export function isOwnServiceName(name: string, { namespace, clusterDomain }: Scope): boolean {
  const labels = dnsLabels(name);
  if (labels === undefined) return false;
  const wildcard = labels[0] === '*';
  if (labels.length === 1) return labels[0] !== 'localhost';
  if (labels.length === 2) return !wildcard && labels[1] === namespace;
  // With the cluster's domain the namespace is certain. Without, it could be taken for a part of a domain like `shop.svc`.
  const domain = ['svc', ...clusterDomain.toLowerCase().split('.')];
  return endsWith(labels, endsWith(labels, domain) ? [namespace, ...domain] : [namespace, 'svc']);
}

/** True when labels are left in front of the suffix. */
const endsWith = (labels: readonly string[], suffix: readonly string[]): boolean =>
  labels.length > suffix.length && suffix.every((text, i) => labels[labels.length - suffix.length + i] === text);

/** True for the SPIFFE ID of a ServiceAccount of the namespace, compared in full. */
export function isOwnSpiffeId(uri: string, { namespace, trustDomain }: Scope): boolean {
  const id = parseSpiffeId(uri);
  if (id?.trustDomain !== trustDomain.toLowerCase()) return false;
  const [empty, ns, owner, sa, name, ...more] = id.path.split('/');
  const isServiceAccount = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name ?? '') && more.length === 0;
  return empty === '' && ns === 'ns' && owner === namespace && sa === 'sa' && isServiceAccount;
}

/**
 * A server's common name may be any of its namespace's Service names. Programs that take a client's common name for its
 * identity do not ask for the namespace, so there the name itself has to say it.
 */
function isOwnCommonName(commonName: string, role: Role, scope: Scope): boolean {
  const qualified = role === 'server' || commonName.includes('.');
  return (qualified && isOwnServiceName(commonName, scope)) || isOwnSpiffeId(commonName, scope);
}
