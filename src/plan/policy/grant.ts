import type { Grant, Issuance, LabelSelector, SubjectGrant } from '../../api/types.ts';
import type { ExtendedUsage, OtherName } from '../../pki/index.ts';
import { parseDurationMs } from '../timing/duration.ts';
import { selects, selectsAll } from './label-selector.ts';
import { normaliseUri, parseSpiffeId } from './name-normalisation.ts';
import {
  type CommonNamePattern,
  commonNameMatcher,
  type DnsPattern,
  dnsMatcher,
  type EmailPattern,
  emailMatcher,
  type IpRange,
  ipMatcher,
  type OtherNamePattern,
  otherNameMatcher,
  parseCommonNamePattern,
  parseDnsPattern,
  parseEmailPattern,
  parseIpRange,
  parseOtherNamePattern,
  parseUriPattern,
  type UriPattern,
  uriMatcher,
} from './name-pattern.ts';
import type { SubjectField } from './subject-attributes.ts';
import { parseSubjectPattern, type SubjectPattern, subjectMatcher } from './subject-pattern.ts';

/** What spec.issuance of an authority says, read once for all of its certificates. Data: it can be compared and logged. */
export interface IssuancePolicy {
  /** As it was written, and in milliseconds; without these it is no duration, and nothing is short enough for it. */
  readonly maxDuration?: { readonly text: string; readonly ms?: number };
  /** Absent, all namespaces. */
  readonly namespaceSelector?: LabelSelector;
  readonly grants: readonly NameGrant[];
}

/** Names and usages for the namespaces that a selector selects. */
export interface NameGrant {
  readonly namespaceSelector: LabelSelector;
  readonly dnsNames: readonly DnsPattern[];
  readonly ipRanges: readonly IpRange[];
  readonly uris: readonly UriPattern[];
  readonly emailAddresses: readonly EmailPattern[];
  readonly commonNames: readonly CommonNamePattern[];
  readonly otherNames: readonly OtherNamePattern[];
  readonly subject: Readonly<Record<SubjectField, readonly SubjectPattern[]>>;
  readonly usages: readonly ExtendedUsage[];
}

/**
 * Reads spec.issuance. The CRD's schema refuses what is not valid; of an authority that is older than its schema, a
 * pattern that is none grants nothing, and so does an entry without a selector. Never throws.
 */
export function issuancePolicy(issuance: Issuance | undefined): IssuancePolicy {
  const { maxDuration: text, namespaceSelector, allow } = issuance ?? {};
  const ms = parseDurationMs(text ?? '');
  return {
    ...(text === undefined ? {} : { maxDuration: { text, ...(ms === undefined ? {} : { ms }) } }),
    ...(namespaceSelector === undefined ? {} : { namespaceSelector }),
    grants: (allow ?? []).flatMap(nameGrant),
  };
}

function nameGrant({ namespaceSelector, ...grant }: Partial<Grant>): NameGrant[] {
  // To `selects`, no selector is one that selects all.
  if (namespaceSelector === undefined) return [];
  return [
    {
      namespaceSelector,
      dnsNames: valid(grant.dnsNames, parseDnsPattern),
      ipRanges: valid(grant.ipRanges, parseIpRange),
      uris: valid(grant.uris, parseUriPattern),
      emailAddresses: valid(grant.emailAddresses, parseEmailPattern),
      commonNames: valid(grant.commonNames, parseCommonNamePattern),
      otherNames: valid(grant.otherNames, parseOtherNamePattern),
      subject: subjectPatterns(grant.subject),
      usages: grant.usages ?? [],
    },
  ];
}

function subjectPatterns(subject: SubjectGrant | undefined): NameGrant['subject'] {
  const patterns = (field: SubjectField) => valid(subject?.[field], parseSubjectPattern);
  return {
    organizations: patterns('organizations'),
    organizationalUnits: patterns('organizationalUnits'),
    countries: patterns('countries'),
    localities: patterns('localities'),
    provinces: patterns('provinces'),
    streetAddresses: patterns('streetAddresses'),
    postalCodes: patterns('postalCodes'),
    serialNumbers: patterns('serialNumbers'),
  };
}

const valid = <T, P>(patterns: readonly P[] | undefined, parse: (pattern: P) => T | undefined): T[] =>
  (patterns ?? []).map(parse).filter((pattern) => pattern !== undefined);

/** True for a namespace that a selector selects; of one whose labels are not known, only if it selects all there are. */
export const isSelected = (selector: LabelSelector, labels: Readonly<Record<string, string>> | undefined): boolean =>
  labels === undefined ? selectsAll(selector) : selects(selector, labels);

/** What an authority grants to a namespace with these labels. */
export const grantsFor = (
  { grants }: IssuancePolicy,
  labels: Readonly<Record<string, string>> | undefined,
): readonly NameGrant[] => grants.filter(({ namespaceSelector }) => isSelected(namespaceSelector, labels));

/** True when the matcher of a name accepts a pattern of any grant. */
const matchesAny = <Pattern>(
  grants: readonly NameGrant[],
  patternsOf: (grant: NameGrant) => readonly Pattern[],
  matches: (pattern: Pattern) => boolean,
): boolean => grants.some((grant) => patternsOf(grant).some(matches));

export const grantsDnsName = (grants: readonly NameGrant[], name: string): boolean =>
  matchesAny(grants, ({ dnsNames }) => dnsNames, dnsMatcher(name));

/** The path /ns/<namespace> in the authority's trust domain is that namespace's own: there `*` grants no other namespace. */
export function grantsUri(
  grants: readonly NameGrant[],
  uri: string,
  { namespace, trustDomain }: { readonly namespace: string; readonly trustDomain: string },
): boolean {
  const id = parseSpiffeId(normaliseUri(uri) ?? '');
  const [, ns, owner] = id?.path.split('/') ?? [];
  const isOfAnother = id?.trustDomain === trustDomain.toLowerCase() && ns === 'ns' && owner !== namespace;
  return matchesAny(grants, ({ uris }) => uris, uriMatcher(uri, isOfAnother ? 2 : 0));
}

export const grantsIpAddress = (grants: readonly NameGrant[], address: string): boolean =>
  matchesAny(grants, ({ ipRanges }) => ipRanges, ipMatcher(address));

export const grantsEmailAddress = (grants: readonly NameGrant[], address: string): boolean =>
  matchesAny(grants, ({ emailAddresses }) => emailAddresses, emailMatcher(address));

export const grantsCommonName = (grants: readonly NameGrant[], commonName: string): boolean =>
  matchesAny(grants, ({ commonNames }) => commonNames, commonNameMatcher(commonName));

export const grantsOtherName = (grants: readonly NameGrant[], name: OtherName): boolean =>
  matchesAny(grants, ({ otherNames }) => otherNames, otherNameMatcher(name));

export const grantsSubjectValue = (grants: readonly NameGrant[], field: SubjectField, value: string): boolean =>
  matchesAny(grants, ({ subject }) => subject[field], subjectMatcher(value));

export const grantsUsage = (grants: readonly NameGrant[], usage: ExtendedUsage): boolean =>
  grants.some(({ usages }) => usages.includes(usage));
