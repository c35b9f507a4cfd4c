import { isExtendedUsage, type LeafUsage, type Role, type Subject, type SubjectAltNames } from '../../pki/index.ts';
import { truncate } from '../text/message-text.ts';
import {
  grantsCommonName,
  grantsDnsName,
  grantsEmailAddress,
  grantsFor,
  grantsIpAddress,
  grantsOtherName,
  grantsSubjectValue,
  grantsUri,
  grantsUsage,
  type IssuancePolicy,
  isSelected,
} from './grant.ts';
import { selectorText } from './label-selector.ts';
import { dnsLabels } from './name-normalisation.ts';
import { suggestServiceName, suggestSpiffeId } from './name-suggestion.ts';
import { isOwnCommonName, isOwnServiceName, isOwnSpiffeId, type NameScope, spiffeIdOf } from './own-names.ts';
import { subjectFields, subjectValues } from './subject-attributes.ts';
import { isSystemName } from './wildcard.ts';

/** Whose names are judged: what is real of the resource's namespace, and what its authority says. */
export interface PolicyScope extends NameScope {
  /** The namespace's labels; undefined when it is not known. */
  readonly labels: Readonly<Record<string, string>> | undefined;
  /** The name of the authority, for messages. */
  readonly authority: string;
  readonly issuance: IssuancePolicy;
}

/** Names in normal form, as they would be signed. */
export interface RequestedNames {
  readonly role: Role;
  readonly subject: Subject;
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
export function evaluatePolicy(requested: Requested, scope: PolicyScope): string[] {
  const { namespace, authority } = scope;
  const { namespaceSelector } = scope.issuance;
  if (!isSelected(namespaceSelector ?? {}, scope.labels)) {
    const selector = truncate(selectorText(namespaceSelector ?? {}), 1024);
    return [
      `namespace ${namespace} may not use MtlsAuthority ${authority}: issuance.namespaceSelector requires the labels ${selector}`,
    ];
  }
  return [
    ...deniedDuration(requested.durationMs, scope),
    ...deniedNames(requested, scope),
    ...deniedUsages(requested.usages, scope),
  ];
}

/** Extended usages that nobody has granted; the others only say more of a key, which its holder may use as he likes. */
function deniedUsages(usages: readonly LeafUsage[], { namespace, authority, issuance, labels }: PolicyScope): string[] {
  const grants = grantsFor(issuance, labels);
  const rule = `namespace ${namespace} may have only the usages of its roles and usages that issuance.allow of MtlsAuthority ${authority} grants`;
  return usages
    .filter((usage) => isExtendedUsage(usage) && !grantsUsage(grants, usage))
    .map((usage) => `usage ${usage}: ${rule}`);
}

function deniedDuration(durationMs: number, { authority, issuance: { maxDuration } }: PolicyScope): string[] {
  if (maxDuration === undefined || durationMs <= (maxDuration.ms ?? 0)) return [];
  return maxDuration.ms === undefined
    ? [`issuance.maxDuration of MtlsAuthority ${authority} is not a valid duration`]
    : [`spec.duration: MtlsAuthority ${authority} allows at most ${maxDuration.text} (issuance.maxDuration)`];
}

/**
 * The names that a namespace may not have, each with what it may have instead. A namespace has its own Service names, the
 * SPIFFE IDs of its own ServiceAccounts, and what the authority grants it; nothing else.
 */
export function deniedNames(requested: RequestedNames, scope: PolicyScope): string[] {
  const { names, subject } = requested;
  const { namespace, authority, issuance, labels } = scope;
  const grants = grantsFor(issuance, labels);
  const granted = `that issuance.allow of MtlsAuthority ${authority} grants`;
  const services = `names of its own Services (${ownServiceForms(requested.role, scope)})`;
  const accounts = `SPIFFE IDs of its own ServiceAccounts (${spiffeIdOf('<name>', scope)})`;
  const denied = (
    kind: string,
    list: readonly string[],
    rule: string,
    mayHave: (name: string) => boolean,
    hint: (name: string) => string = () => '',
  ) =>
    list
      .filter((name) => !mayHave(name))
      .map((name) => `${kind} ${quoted(name)}: namespace ${namespace} may have ${rule}${hint(name)}`);
  return [
    ...denied(
      'DNS name',
      names.dnsNames,
      `only ${services} and names ${granted}`,
      (name) => isOwnServiceName(name, requested.role, scope) || grantsDnsName(grants, name),
      (name) => serviceHint(name, requested.role, scope),
    ),
    ...denied(
      'URI',
      names.uris,
      `only ${accounts} and URIs ${granted}`,
      (uri) => isOwnSpiffeId(uri, scope) || grantsUri(grants, uri, scope),
      (uri) => didYouMean(suggestSpiffeId(uri, scope)),
    ),
    ...denied('IP address', names.ipAddresses, `only IP addresses ${granted}`, (address) =>
      grantsIpAddress(grants, address),
    ),
    ...denied('e-mail address', names.emailAddresses, `only e-mail addresses ${granted}`, (address) =>
      grantsEmailAddress(grants, address),
    ),
    ...names.otherNames.flatMap((name) =>
      denied(`otherName of type ${name.oid}`, [name.utf8Value], `only otherNames ${granted}`, () =>
        grantsOtherName(grants, name),
      ),
    ),
    ...denied(
      'common name',
      subject.commonName === undefined ? [] : [subject.commonName],
      `only ${services}, ${accounts} and common names ${granted}`,
      (name) => isOwnCommonName(name, requested.role, scope) || grantsCommonName(grants, name),
      (name) => serviceHint(name, requested.role, scope) || didYouMean(suggestSpiffeId(name, scope)),
    ),
    ...subjectFields.flatMap((field) =>
      denied(
        `subject.${field}`,
        subjectValues(subject, field),
        `only values ${granted}`,
        (value) => grantsSubjectValue(grants, field, value),
        (value) =>
          isSystemName(value) ? ' (for a value that begins with system:, the pattern must begin with system: too)' : '',
      ),
    ),
  ];
}

/** Room for a whole DNS name; quotes and control characters make a text longer. */
const quoted = (name: string): string => truncate(JSON.stringify(truncate(name)), 300);

/** The forms that isOwnServiceName knows. */
function ownServiceForms(role: Role, { namespace, clusterDomain }: NameScope): string {
  const bare = role === 'server' ? '<service>, ' : '';
  const qualified = `<service>.${namespace}.svc, <service>.${namespace}.svc.${clusterDomain}`;
  return `${bare}<service>.${namespace}, ${qualified}, and names below the last two`;
}

function serviceHint(name: string, role: Role, scope: NameScope): string {
  const nearest = didYouMean(suggestServiceName(name, role, scope));
  const isBare = role !== 'server' && dnsLabels(name)?.length === 1;
  return isBare ? `; programs read the bare name of a ${role} as a user name${nearest}` : nearest;
}

const didYouMean = (name: string | undefined): string => (name === undefined ? '' : ` (did you mean ${quoted(name)}?)`);
