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

/**
 * spec.issuance of an authority, parsed once for all of its certificates. Plain data: it can be compared and logged.
 */
export interface IssuancePolicy {
  /**
   * The text, and its milliseconds. `ms` is absent when the text is not a duration; then no certificate is short
   * enough.
   */
  readonly maxDuration?: { readonly text: string; readonly ms?: number };
  /** Absent: all namespaces. */
  readonly namespaceSelector?: LabelSelector;
  readonly grants: readonly NameGrant[];
}

/** The names and usages that selected namespaces get. */
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
 * Parses spec.issuance. An authority that is older than the CRD's schema may hold patterns that are not valid: such a
 * pattern grants nothing, and so does an entry without a selector. Never throws.
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
  // `selects` treats a missing selector as one that selects every namespace.
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

/**
 * True for a namespace that a selector selects. While its labels are unknown, only a selector that selects every
 * namespace counts.
 */
export const isSelected = (selector: LabelSelector, labels: Readonly<Record<string, string>> | undefined): boolean =>
  labels === undefined ? selectsAll(selector) : selects(selector, labels);

/** The grants of an authority for a namespace with these labels. */
export const grantsFor = (
  { grants }: IssuancePolicy,
  labels: Readonly<Record<string, string>> | undefined,
): readonly NameGrant[] => grants.filter(({ namespaceSelector }) => isSelected(namespaceSelector, labels));

const matchesAny = <Pattern>(
  grants: readonly NameGrant[],
  patternsOf: (grant: NameGrant) => readonly Pattern[],
  matches: (pattern: Pattern) => boolean,
): boolean => grants.some((grant) => patternsOf(grant).some(matches));

export const grantsDnsName = (grants: readonly NameGrant[], name: string): boolean =>
  matchesAny(grants, ({ dnsNames }) => dnsNames, dnsMatcher(name));

/**
 * In the authority's trust domain, the path /ns/<namespace> belongs to that namespace. There, `*` never grants the name
 * of another namespace.
 */
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
