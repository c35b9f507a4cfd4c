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

/** The namespace that requests names, and the rules of its authority. */
export interface PolicyScope extends NameScope {
  /** The namespace's labels. Undefined until the operator has read the namespace. */
  readonly labels: Readonly<Record<string, string>> | undefined;
  /** The operator may not read the namespace, so its labels stay unknown. */
  readonly labelsForbidden?: boolean;
  /** The name of the authority, for messages. */
  readonly authority: string;
  readonly issuance: IssuancePolicy;
}

export interface RequestedNames {
  readonly role: Role;
  readonly subject: Subject;
  readonly names: SubjectAltNames;
}

/** Every part of a request that the policy may deny. */
interface Requested extends RequestedNames {
  readonly usages: readonly LeafUsage[];
  readonly durationMs: number;
}

/**
 * Why a namespace may not have its request, as messages. Empty when it may. Pure, and never throws. This is the check
 * before signing: it does not rely on any earlier check.
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

/**
 * Extended usages without a grant. Basic key usages need none: they only describe the key, which its holder can use in
 * any way.
 */
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
 * The denied names, each with the names that the namespace may have instead. A namespace may have the names of its own
 * Services, the SPIFFE IDs of its own ServiceAccounts, and the names that the authority grants.
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

/** 300 characters hold a whole DNS name. JSON escapes make a text longer. */
const quoted = (name: string): string => truncate(JSON.stringify(truncate(name)), 300);

/** The forms that isOwnServiceName accepts. */
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
