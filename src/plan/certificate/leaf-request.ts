import type { MtlsCertificateSpec } from '../../api/types.ts';
import {
  describeKeySpec,
  firstOfEach,
  isObjectIdentifier,
  type KeyEncoding,
  type KeySpec,
  type LeafProfile,
  maxCommonNameLength,
  type OtherName,
  type Role,
  type Subject,
  type SubjectAltNames,
  usageFits,
} from '../../pki/index.ts';
import { evaluatePolicy, type PolicyScope } from '../policy/evaluate-policy.ts';
import { grantsDnsName, grantsFor } from '../policy/grant.ts';
import {
  dnsLabels,
  isPlainText,
  normaliseCommonName,
  normaliseEmailAddress,
  normaliseIpAddress,
  normaliseUri,
} from '../policy/name-normalisation.ts';
import { maxOtherValueLength } from '../policy/name-pattern.ts';
import { serviceNames, spiffeIdOf } from '../policy/own-names.ts';
import { subjectProblem } from '../policy/subject-attributes.ts';
import { joinShortened, truncate } from '../text/message-text.ts';
import { labelsRightHint } from '../text/missing-right.ts';
import { parseDurationMs } from '../timing/duration.ts';
import { keySpecOf } from './key-spec.ts';

/** The request of a role, after validation, normalisation and authorisation. */
export interface LeafRequest {
  readonly profile: LeafProfile;
  readonly key: KeySpec;
  readonly keyEncoding: KeyEncoding;
  /** Keep the private key when the certificate is renewed. */
  readonly keepKey: boolean;
}

/**
 * Why a role's request is refused. Only a changed spec or authority helps. `Pending`: the operator has not read the
 * namespace yet, and its labels may allow more. `NamespaceUnreadable`: it may not read the namespace.
 */
export interface Refusal {
  readonly reason: 'Denied' | 'InvalidSpec' | 'NamespaceUnreadable' | 'Pending';
  readonly message: string;
}

/**
 * Builds the request of one role. Repeats the checks of the CRD's schema, because a resource may be older than its
 * schema.
 */
export function leafRequest(spec: MtlsCertificateSpec, role: Role, scope: PolicyScope): LeafRequest | Refusal {
  const invalid = (message: string): Refusal => ({ reason: 'InvalidSpec', message });
  const durationMs = parseDurationMs(spec.duration);
  if (durationMs === undefined || durationMs < minimumDurationMs) return invalid('duration: use at least 5m');
  const key = keySpecOf(spec.privateKey, 2048);
  if (key === undefined) return invalid('privateKey: the size is not valid for the algorithm');
  if (!encodingFits(spec.privateKey)) return invalid('privateKey: the encoding is not valid for the algorithm');
  const { names, invalid: badNames } = requestedNames(spec, role, scope);
  if (badNames.length > 0) {
    return invalid(`these names are not valid: ${joinShortened(badNames.map((name) => truncate(name)))}`);
  }
  if (Object.values(names).every((list) => list.length === 0))
    return invalid('no subject alternative name is requested; add at least one');
  const badUris = uriProblem(names.uris);
  if (badUris !== undefined) return invalid(badUris);
  const { commonName: askedCommonName } = spec[role] ?? {};
  const commonName = askedCommonName === undefined ? undefined : normaliseCommonName(askedCommonName);
  if (commonName !== undefined && !isPlainText(commonName, maxCommonNameLength)) {
    return invalid(
      `commonName: use 1 to ${maxCommonNameLength} characters, no control characters, no space at either end`,
    );
  }
  const badSubject = subjectProblem(spec.subject ?? {});
  if (badSubject !== undefined) return invalid(badSubject);
  const usages = [...new Set(spec[role]?.usages)];
  const unfit = usages.filter((usage) => !usageFits(usage, describeKeySpec(key)));
  if (unfit.length > 0) {
    return invalid(
      `usages: a certificate with a key of type ${describeKeySpec(key)} cannot have ${joinShortened(unfit.map((usage) => truncate(usage)))}`,
    );
  }
  const subject: Subject = { ...spec.subject, ...(commonName === undefined ? {} : { commonName }) };
  const denied = evaluatePolicy({ role, names, subject, usages, durationMs }, scope);
  const { labels, labelsForbidden, namespace } = scope;
  if (labels === undefined && (denied.length > 0 || mayGrantMore(spec, role, scope))) {
    if (labelsForbidden === true) {
      const why = `the operator may not read namespace ${namespace}, whose labels may allow more`;
      return {
        reason: 'NamespaceUnreadable',
        message: joinShortened([why, labelsRightHint(namespace), ...denied], '; '),
      };
    }
    // The watches are independent: the namespace arrives shortly.
    const message = `the operator has not read namespace ${namespace} yet; its labels decide which names it may have`;
    return { reason: 'Pending', message };
  }
  if (denied.length > 0) return { reason: 'Denied', message: joinShortened(denied, '; ') };
  const isOtherNamesAlone = Object.entries(names).every(([kind, list]) => kind === 'otherNames' || list.length === 0);
  if (isOtherNamesAlone && askedCommonName === undefined && isEmptySubject(spec.subject)) {
    return invalid(
      'otherNames: add a commonName or a subject; Go and other TLS stacks reject a certificate that has otherNames alone',
    );
  }
  return {
    profile: { role, subject, names, ...(usages.length === 0 ? {} : { usages }), durationMs },
    key,
    keyEncoding: spec.privateKey.encoding,
    keepKey: spec.privateKey.rotationPolicy === 'Never',
  };
}

/** Verifiers of SPIFFE IDs refuse a certificate with a SPIFFE ID and a second URI (SPIFFE X509-SVID 2, 5.2). */
const uriProblem = (uris: readonly string[]): string | undefined =>
  uris.length > 1 && uris.some((uri) => uri.startsWith('spiffe:'))
    ? 'uris: a certificate with a SPIFFE ID may have no other URI (SPIFFE X509-SVID 2), and this one requests ' +
      `${joinShortened(uris.map((uri) => truncate(uri)))}; request the others in another role or resource`
    : undefined;

/**
 * True when the subject has no attribute. Then the alternative names are critical (RFC 5280 4.2.1.6), and a verifier
 * that knows none of their types rejects the certificate.
 */
const isEmptySubject = (subject: MtlsCertificateSpec['subject']): boolean =>
  Object.values(subject ?? {}).every((value) => value.length === 0);

const encodingFits = ({ algorithm, encoding }: MtlsCertificateSpec['privateKey']): boolean =>
  encoding === 'PKCS8' || encoding === { RSA: 'PKCS1', ECDSA: 'SEC1', Ed25519: undefined }[algorithm];

/** Below five minutes, backdating and propagation would use up most of the lifetime. */
const minimumDurationMs = 5 * 60 * 1000;

/** All names of a role in normal form without duplicates, and the names that are not valid. */
function requestedNames(spec: MtlsCertificateSpec, role: Role, scope: PolicyScope) {
  const asked: AskedNames = spec[role] ?? {};
  const bad: string[] = [];
  const normalised = (list: readonly string[] | undefined, normalise: (name: string) => string | undefined) => {
    const result = new Set<string>();
    for (const name of list ?? []) {
      const normal = normalise(name);
      if (normal === undefined) bad.push(name);
      else result.add(normal);
    }
    return [...result];
  };
  const dns = (name: string) => dnsLabels(name)?.join('.');
  const names: SubjectAltNames = {
    dnsNames: normalised(
      [...(asked.service === undefined ? [] : namesOfService(asked.service, role, scope)), ...(asked.dnsNames ?? [])],
      dns,
    ),
    ipAddresses: normalised(asked.ipAddresses, normaliseIpAddress),
    uris: normalised([...idsOfServiceAccount(asked.serviceAccount, scope), ...(asked.uris ?? [])], normaliseUri),
    emailAddresses: normalised(asked.emailAddresses, normaliseEmailAddress),
    otherNames: once(asked.otherNames ?? []),
  };
  const badOtherNames = names.otherNames
    .filter(({ oid, utf8Value }) => !isObjectIdentifier(oid) || !isPlainText(utf8Value, maxOtherValueLength))
    .map(({ oid, utf8Value }) => JSON.stringify(`${oid}:${utf8Value}`));
  return { names, invalid: [...bad, ...badOtherNames] };
}

// An object identifier has no spaces, so two different names never have the same key.
const once = (names: readonly OtherName[]): OtherName[] =>
  firstOfEach(names, ({ oid, utf8Value }) => `${oid} ${utf8Value}`);

/** The union of the name fields of the three roles. */
interface AskedNames {
  readonly service?: string;
  readonly serviceAccount?: string;
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  readonly uris?: readonly string[];
  readonly emailAddresses?: readonly string[];
  readonly otherNames?: readonly OtherName[];
}

/** The own names of a Service. A peer also gets the bare name, if a grant allows it. */
export const namesOfService = (service: string, role: Role, scope: PolicyScope): string[] => [
  ...(grantsDnsName(grantsFor(scope.issuance, scope.labels), service) ? [service] : []),
  ...serviceNames(service, role, scope),
];

/**
 * True when a grant may allow the bare name of a peer's Service, depending on namespace labels that the operator has
 * not read yet.
 */
const mayGrantMore = (spec: MtlsCertificateSpec, role: Role, { issuance, labels }: PolicyScope): boolean => {
  const service = role === 'peer' ? spec.peer?.service : undefined;
  const [now, perhaps] = [grantsFor(issuance, labels), issuance.grants];
  return service !== undefined && grantsDnsName(perhaps, service) && !grantsDnsName(now, service);
};

const idsOfServiceAccount = (serviceAccount: string | undefined, scope: PolicyScope): string[] =>
  serviceAccount === undefined ? [] : [spiffeIdOf(serviceAccount, scope)];
