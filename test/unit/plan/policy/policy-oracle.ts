import type { Grant, Issuance, LabelSelector, SubjectGrant } from '../../../../src/api/types.ts';
import type { Role } from '../../../../src/pki/index.ts';

/**
 * An independent implementation of the policy: every pattern is one regular expression over the whole name, addresses
 * are numbers, and nothing is parsed into parts. It is slow and shares no code with src/plan.
 */

export interface OracleScope {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>> | undefined;
  readonly trustDomain: string;
  readonly clusterDomain: string;
  readonly issuance: Issuance;
}

const label = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const printable = /^[!-~]+$/;

/** Implements only the expression DoesNotExist, which is all that the tests use. */
const isSelected = (selector: LabelSelector | undefined, labels: OracleScope['labels']): boolean =>
  selector !== undefined &&
  Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels !== undefined && labels[key] === value) &&
  (selector.matchExpressions ?? []).every(({ key }) => labels !== undefined && !(key in labels));

const patternsOf = (
  { issuance, labels }: OracleScope,
  kind: Exclude<keyof Grant, 'namespaceSelector' | 'otherNames' | 'subject' | 'usages'>,
): string[] =>
  (issuance.allow ?? [])
    .filter(({ namespaceSelector }) => isSelected(namespaceSelector, labels))
    .flatMap((grant) => grant[kind] ?? []);

const matchesOneOf = (patterns: readonly string[], text: string, toSource: (pattern: string) => string): boolean =>
  patterns.some((pattern) => new RegExp(`^(?:${toSource(pattern)})$`).test(text));

/** Lower case without the trailing dot. Undefined for a text that is not a DNS name. */
export function normalDns(name: string): string | undefined {
  const normal = name.toLowerCase().replace(/\.$/, '');
  const isName = new RegExp(`^(?:\\*\\.)?(?:${label}\\.)*${label}$`).test(normal);
  return printable.test(name) && isName && normal.length <= 253 && !/(?:^|\.)(?:\d+|0x[\da-f]*)$/.test(normal)
    ? normal
    : undefined;
}

export function mayHaveDns(name: string, role: Role, scope: OracleScope): boolean {
  const normal = normalDns(name);
  if (normal === undefined) return false;
  const [ns, domain] = [RegExp.escape(scope.namespace), RegExp.escape(scope.clusterDomain)];
  // The names that cluster DNS gives a Service. The bare name is for servers only.
  const bare = role === 'server' ? `${label}|` : '';
  const own = `(?:${bare}${label}\\.${ns}|(?:\\*\\.|${label}\\.)(?:${label}\\.)*${ns}\\.svc(?:\\.${domain})?)`;
  if (normal !== 'localhost' && new RegExp(`^${own}$`).test(normal)) return true;
  const patterns = patternsOf(scope, 'dnsNames').filter((text) => printable.test(text) && /[a-z0-9]/i.test(text));
  return matchesOneOf(patterns, normal, (pattern) =>
    pattern
      .toLowerCase()
      .replace(/\.$/, '')
      .split('.')
      .map((part, i) => (part !== '*' ? RegExp.escape(part) : i === 0 ? '(?:\\*|[a-z0-9-]+)' : '[a-z0-9-]+'))
      .join('\\.'),
  );
}

/** An address as a number, with its size in bits. */
export function numberOf(address: string): { value: bigint; bits: 32 | 128 } | undefined {
  const quad = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/;
  const four = quad.exec(address)?.slice(1);
  if (four !== undefined) {
    if (four.some((part) => Number(part) > 255 || String(Number(part)) !== part)) return undefined;
    return { value: four.reduce((sum, part) => sum * 256n + BigInt(part), 0n), bits: 32 };
  }
  // The last four octets may be written as an IPv4 address.
  const tail = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(address);
  const quadValue = tail === null ? undefined : numberOf(tail[2] ?? '')?.value;
  if (tail !== null && quadValue === undefined) return undefined;
  const text =
    tail === null || quadValue === undefined
      ? address
      : `${tail[1]}${(quadValue >> 16n).toString(16)}:${(quadValue & 0xffffn).toString(16)}`;
  if (!/^[0-9a-f:]+$/i.test(text) || text.split('::').length > 2 || text.includes(':::')) return undefined;
  const [head = '', rest] = text.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':'));
  const missing = 8 - groups(head).length - groups(rest ?? '').length;
  if (rest === undefined ? missing !== 0 : missing < 1) return undefined;
  const all = [...groups(head), ...Array<string>(missing).fill('0'), ...groups(rest ?? '')];
  if (!all.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  return { value: all.reduce((sum, group) => sum * 65536n + BigInt(`0x${group}`), 0n), bits: 128 };
}

export function mayHaveIp(address: string, scope: OracleScope): boolean {
  const number = numberOf(address);
  if (number === undefined || (number.bits === 128 && number.value >> 32n === 0xffffn)) return false;
  return patternsOf(scope, 'ipRanges').some((range) => {
    const [, base, length] = /^(.+)\/(0|[1-9]\d*)$/.exec(range) ?? [];
    const first = numberOf(base ?? '');
    if (first === undefined || first.bits !== number.bits || Number(length) > first.bits) return false;
    const size = 1n << BigInt(first.bits - Number(length));
    return first.value % size === 0n && number.value >= first.value && number.value < first.value + size;
  });
}

/** Scheme and host in lower case. Undefined for a text that is not a URI or a SPIFFE ID. */
export function normalUri(uri: string): string | undefined {
  const illegal = /["<>\\^`{|}]|%(?![0-9a-f]{2})/i;
  if (!printable.test(uri) || illegal.test(uri) || !/^[a-z][a-z0-9+.-]*:./i.test(uri)) return undefined;
  const authority = /^[^:]*:\/\/([^/?#]*)/.exec(uri)?.[1]?.replace(/^[^@]*@/, '') ?? '';
  const hostAndPort = /^(?:(?!\.)(?:(?!\.\.)[^:@[\]])*(?<!\.)|\[(.*)\])(?::\d*)?$/.exec(authority);
  const [port] = /(?<=:)\d+$/.exec(authority.replace(/^\[.*\]/, '')) ?? [];
  if (hostAndPort === null || Number(port ?? 0) > 65_535) return undefined;
  if (hostAndPort[1] !== undefined && numberOf(hostAndPort[1])?.bits !== 128) return undefined;
  const host = authority.replace(/:\d*$/, '');
  const isNumeric = hostAndPort[1] === undefined && /(?:^|\.)(?:\d+|0x[\da-f]*)$/i.test(host);
  if (isNumeric && numberOf(host)?.bits !== 32 && !/^spiffe:/i.test(uri)) return undefined;
  const colon = uri.indexOf(':');
  const normal = `${uri.slice(0, colon).toLowerCase()}${uri.slice(colon)}`.replace(
    /^[a-z0-9+.-]+:\/\/[^/?#@%]*(?=[/?#]|$)/,
    (origin) => (/^[a-z0-9+.-]+:\/\/[\w.:[\]-]+$/i.test(origin) ? origin.toLowerCase() : origin),
  );
  if (!normal.startsWith('spiffe:')) return normal;
  const isId = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[\w.-]+)*$/i.test(normal);
  return isId && normal.length <= 2048 ? normal : undefined;
}

export function mayHaveUri(uri: string, scope: OracleScope): boolean {
  const normal = normalUri(uri);
  if (normal === undefined) return false;
  const { namespace, trustDomain } = scope;
  const account = '[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?';
  const own = `^spiffe://${RegExp.escape(trustDomain)}/ns/${RegExp.escape(namespace)}/sa/${account}$`;
  if (new RegExp(own).test(normal)) return true;
  const patterns = patternsOf(scope, 'uris');
  if (patterns.some((pattern) => !pattern.includes('*') && normalUri(pattern) === normal)) return true;
  if (/\/\.{1,2}(?:\/|$)/.test(normal)) return false;
  const owner = new RegExp(`^spiffe://${RegExp.escape(trustDomain)}/ns(?:/([^/]+)|$)`).exec(normal);
  const isOfAnother = owner !== null && owner[1] !== namespace;
  const wild = patterns
    // Not a pattern: a star that is only part of a segment, two stars that are not the last segment, or a path that is
    // not plain.
    .filter((pattern) => /^[a-z][a-z0-9+.-]*:\/\/[\w.-]+(?::\d+)?(?:\/(?:\*|[\w.~-]+))*(?:\/\*\*)?$/i.test(pattern))
    .filter((pattern) => pattern.includes('*') && !/\/\.{1,2}(?:\/|$)/.test(pattern))
    .map((pattern) => pattern.replace(/^[^:]+:\/\/[^/]+/, (origin) => origin.toLowerCase()))
    .filter((pattern) => !isOfAnother || pattern.startsWith(`spiffe://${trustDomain}/ns/${owner[1]}/`));
  const segment = '[A-Za-z0-9._~-]+';
  return matchesOneOf(wild, normal, (pattern) =>
    pattern
      .split('/')
      .map((part) => (part === '**' ? `${segment}(?:/${segment})*` : part === '*' ? segment : RegExp.escape(part)))
      .join('/'),
  );
}

export function mayHaveEmail(address: string, scope: OracleScope): boolean {
  const normalEmail = (text: string): string | undefined => {
    const [, mailbox, domain] = /^((?!\.)(?:(?!\.\.|["(),:;<>[\\\]])[!-?A-~])+(?<!\.))@([!-?A-~]+)$/.exec(text) ?? [];
    const normal = domain?.startsWith('*') === true ? undefined : normalDns(domain ?? '');
    return normal === undefined ? undefined : `${mailbox}@${normal}`;
  };
  const normal = normalEmail(address);
  if (normal === undefined) return false;
  const atom = "[A-Za-z0-9#$&'+/=?^_`{|}~-]+";
  return patternsOf(scope, 'emailAddresses').some((pattern) => {
    const wanted = normalEmail(pattern);
    if (wanted?.startsWith('*@') === true) {
      return new RegExp(`^${atom}(?:\\.${atom})*${RegExp.escape(wanted.slice(1))}$`).test(normal);
    }
    return wanted === normal && !wanted.includes('*');
  });
}

export const normalCommonName = (commonName: string): string => normalDns(commonName) ?? commonName;

export function mayHaveCommonName(commonName: string, role: Role, scope: OracleScope): boolean {
  const name = normalCommonName(commonName);
  if (name.length > 64) return false;
  const isOwnDns = mayHaveDns(name, role, { ...scope, issuance: {} });
  if (isOwnDns || (name.startsWith('spiffe://') && mayHaveUri(name, { ...scope, issuance: {} }))) return true;
  const source = (pattern: string) =>
    pattern
      .split('*')
      .map((text) => RegExp.escape(text))
      .join('[A-Za-z0-9_-]+');
  const patterns = patternsOf(scope, 'commonNames')
    .filter((text) => text.trim() === text && !/\p{Cc}|^$/u.test(text))
    .filter((text) => !isOfKubernetes(name) || isOfKubernetes(text));
  if (matchesOneOf(patterns, name, source)) return true;
  const ascii = patterns.filter((pattern) => printable.test(pattern));
  return (
    normalDns(name) !== undefined &&
    matchesOneOf(ascii, name, (pattern) => source(pattern.toLowerCase().replace(/\.$/, '')))
  );
}

/** True for names that Kubernetes reserves, in any case and width of their letters. */
const isOfKubernetes = (text: string): boolean => /^system:/i.test(text.normalize('NFKC'));

/** The value as `<field of a grant> <value>`. A field that does not exist allows no value. */
export function mayHaveSubject(text: string, { issuance, labels }: OracleScope): boolean {
  const [, field = '', value = ''] = /^([^ ]*) ([^]*)$/.exec(text) ?? [];
  const bounds: Record<string, RegExp> = {
    organizations: /^.{1,64}$/u,
    organizationalUnits: /^.{1,64}$/u,
    countries: /^[A-Z]{2}$/,
    localities: /^.{1,128}$/u,
    provinces: /^.{1,128}$/u,
    streetAddresses: /^.{1,128}$/u,
    postalCodes: /^.{1,40}$/u,
    serialNumbers: /^[A-Za-z0-9 '()+,./:=?-]{1,64}$/,
  };
  const isText = (string: string) => string.trim() === string && string !== '' && !/[\p{Cc}\p{Cs}]/u.test(string);
  if (!Object.hasOwn(bounds, field) || !isText(value) || bounds[field]?.test(value) !== true) return false;
  const patterns = (issuance.allow ?? [])
    .filter(({ namespaceSelector }) => isSelected(namespaceSelector, labels))
    .flatMap(({ subject }) => subject?.[field as keyof SubjectGrant] ?? [])
    .filter((pattern) => isText(pattern) && Array.from(pattern).length <= 128)
    .filter((pattern) => !isOfKubernetes(value) || isOfKubernetes(pattern));
  // `*` never stands for unassigned, private, invisible or formatting characters.
  const isPlain = !/[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}=*\\]/u.test(value.replaceAll(' ', ''));
  if (patterns.includes('*') && isPlain) return true;
  return matchesOneOf(
    patterns.filter((pattern) => pattern !== '*'),
    value,
    (pattern) =>
      pattern
        .split('*')
        .map((part) => RegExp.escape(part))
        .join('[A-Za-z0-9_-]+'),
  );
}

/** The name as `<object identifier> <value>`. */
export function mayHaveOtherName(name: string, { issuance, labels }: OracleScope): boolean {
  const [, oid = '', value = ''] = /^([^ ]*) ([^]*)$/.exec(name) ?? [];
  const arcs = oid.split('.');
  const isOid =
    arcs.length > 1 &&
    arcs.every((arc) => String(Number(arc)) === arc && Number(arc) >= 0 && Number(arc) < 1e9) &&
    Number(arcs[0]) < 3 &&
    (Number(arcs[0]) === 2 || Number(arcs[1]) < 40);
  const isText = (text: string) => text.trim() === text && text !== '' && !/[\p{Cc}\p{Cs}]/u.test(text);
  if (!isOid || !isText(value) || Array.from(value).length > 1024) return false;
  const patterns = (issuance.allow ?? [])
    .filter(({ namespaceSelector }) => isSelected(namespaceSelector, labels))
    .flatMap(({ otherNames }) => otherNames ?? [])
    .filter((grant) => grant.oid === oid)
    .flatMap(({ utf8Values }) => utf8Values)
    .filter((pattern) => isText(pattern) && Array.from(pattern).length <= 1024);
  const domain = new RegExp(`^\\*@(?:${label}\\.)*${label}$`, 'i');
  const mailboxes = patterns.filter((pattern) => printable.test(pattern) && domain.test(pattern));
  const atom = "[A-Za-z0-9#$&'+/=?^_`{|}~-]+";
  const ofDomains = mailboxes.filter((pattern) => pattern.length <= 255 && !/[@.](?:\d+|0x[\da-f]*)$/i.test(pattern));
  if (matchesOneOf(ofDomains, value, (text) => `${atom}(?:\\.${atom})*${RegExp.escape(text.slice(1))}`)) return true;
  const texts = patterns.filter((pattern) => !(pattern.includes('@') && pattern.includes('*')));
  return matchesOneOf(texts, value, (text) =>
    text
      .split('*')
      .map((part) => RegExp.escape(part))
      .join('[A-Za-z0-9_-]+'),
  );
}

/** Key usages depend on the kind of key, extended usages on a grant. */
export function mayHaveUsage(usage: string, algorithm: string, { issuance, labels }: OracleScope): boolean {
  const always = [
    ...(algorithm === 'RSA' ? ['dataEncipherment'] : []),
    ...(algorithm === 'ECDSA' ? ['keyAgreement'] : []),
  ];
  if ([...always, 'contentCommitment'].includes(usage)) return true;
  const granted = (issuance.allow ?? []).flatMap(({ namespaceSelector, usages }) =>
    isSelected(namespaceSelector, labels) ? (usages ?? []) : [],
  );
  return /^(?:codeSigning|emailProtection|ipsecIKE)$/.test(usage) && (granted as string[]).includes(usage);
}
