import { isExtendedUsage, type LeafUsage, type Role, type SubjectAltNames } from '../pki/index.ts';
import {
  grantsCommonName,
  grantsDnsName,
  grantsEmailAddress,
  grantsFor,
  grantsIpAddress,
  grantsOtherName,
  grantsUri,
  grantsUsage,
  type IssuancePolicy,
  isSelected,
} from './grant.ts';
import { clipped } from './listed.ts';
import { dnsLabels, parseSpiffeId } from './names.ts';
import { selectorText } from './selector.ts';

/** Whose names are judged: what is real of the resource's namespace, and what its authority says. */
export interface Scope {
  readonly namespace: string;
  /** The namespace's labels; undefined when it is not known. */
  readonly labels: Readonly<Record<string, string>> | undefined;
  /** The name of the authority, for messages. */
  readonly authority: string;
  readonly trustDomain: string;
  readonly clusterDomain: string;
  readonly issuance: IssuancePolicy;
}

/** Names in normal form, as they would be signed. */
export interface RequestedNames {
  readonly role: Role;
  readonly commonName?: string;
  readonly names: SubjectAltNames;
}

/** All that may be denied. */
interface Requested extends RequestedNames {
  readonly usages: readonly LeafUsage[];
  readonly durationMs: number;
}

/**
 * Why a namespace may not have what it asks for, in sentences; empty when it may. Pure and total: this is the gate that
 * stands where names are signed, whatever was checked before.
 */
export function denials(requested: Requested, scope: Scope): string[] {
  const { namespace, authority } = scope;
  const { namespaceSelector } = scope.issuance;
  if (!isSelected(namespaceSelector ?? {}, scope.labels)) {
    const allowed = `those with the labels ${clipped(selectorText(namespaceSelector ?? {}), 1024)}`;
    return [
      `namespace ${namespace} may not use MtlsAuthority ${authority}, only ${allowed} (issuance.namespaceSelector)`,
    ];
  }
  return [
    ...deniedDuration(requested.durationMs, scope),
    ...deniedNames(requested, scope),
    ...deniedUsages(requested.usages, scope),
  ];
}

/** Extended usages that nobody has granted; the others only say more of a key, which its holder may use as he likes. */
function deniedUsages(usages: readonly LeafUsage[], { namespace, authority, issuance, labels }: Scope): string[] {
  const grants = grantsFor(issuance, labels);
  const rule = `namespace ${namespace} may have only usages of its roles and those that issuance.allow of MtlsAuthority ${authority} grants it`;
  return usages
    .filter((usage) => isExtendedUsage(usage) && !grantsUsage(grants, usage))
    .map((usage) => `usage ${usage}: ${rule}`);
}

function deniedDuration(durationMs: number, { authority, issuance: { maxDuration } }: Scope): string[] {
  if (maxDuration === undefined || durationMs <= (maxDuration.ms ?? 0)) return [];
  return maxDuration.ms === undefined
    ? [`issuance.maxDuration of MtlsAuthority ${authority} is no duration`]
    : [`spec.duration: MtlsAuthority ${authority} issues for at most ${maxDuration.text} (issuance.maxDuration)`];
}

/**
 * The names that a namespace may not have, each with the rule. A namespace has its own Service names, the SPIFFE IDs of
 * its own ServiceAccounts, and what the authority grants it; nothing else.
 */
export function deniedNames({ role, commonName, names }: RequestedNames, scope: Scope): string[] {
  const { namespace, trustDomain, clusterDomain, authority, issuance, labels } = scope;
  const grants = grantsFor(issuance, labels);
  const granted = `those that issuance.allow of MtlsAuthority ${authority} grants it`;
  const services = `names of its own Services (<service>.${namespace}.svc[.${clusterDomain}])`;
  const accounts = `SPIFFE IDs of its own ServiceAccounts (spiffe://${trustDomain}/ns/${namespace}/sa/<name>)`;
  const denied = (kind: string, list: readonly string[], rule: string, mayHave: (name: string) => boolean) =>
    list
      .filter((name) => !mayHave(name))
      .map((name) => `${kind} ${JSON.stringify(clipped(name))}: namespace ${namespace} may have ${rule}`);
  return [
    ...denied(
      'DNS name',
      names.dnsNames,
      `only ${services} and ${granted}`,
      (name) => isOwnServiceName(name, scope) || grantsDnsName(grants, name),
    ),
    ...denied(
      'URI',
      names.uris,
      `only ${accounts} and ${granted}`,
      (uri) => isOwnSpiffeId(uri, scope) || grantsUri(grants, uri, scope),
    ),
    ...denied('IP address', names.ipAddresses, `no IP addresses but ${granted}`, (address) =>
      grantsIpAddress(grants, address),
    ),
    ...denied('e-mail address', names.emailAddresses, `no e-mail addresses but ${granted}`, (address) =>
      grantsEmailAddress(grants, address),
    ),
    ...names.otherNames.flatMap((name) =>
      denied(`otherName of type ${name.oid}`, [name.utf8Value], `no other names but ${granted}`, () =>
        grantsOtherName(grants, name),
      ),
    ),
    ...denied(
      'common name',
      commonName === undefined ? [] : [commonName],
      `only ${services}, where a client's has to name the namespace, and ${granted}`,
      (name) => isOwnCommonName(name, role, scope) || grantsCommonName(grants, name),
    ),
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
