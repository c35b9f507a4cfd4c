import { isObjectName } from '../../api/object-name.ts';
import { isObjectIdentifier, type Role } from '../../pki/index.ts';
import { parseDurationMs } from '../../plan/index.ts';
import { certificateFields } from './source-fields.ts';
import {
  type Fields,
  flag,
  number,
  object,
  objects,
  quote,
  type Remark,
  refusedFields,
  type SourceObject,
  text,
  texts,
} from './source-objects.ts';

/** The settings that the objects do not have. */
export interface ImportOptions {
  /** The namespace of the Secrets of ClusterIssuers: cert-manager's flag --cluster-resource-namespace. */
  readonly clusterResourceNamespace: string;
  readonly operatorNamespace: string;
  readonly trustDomain: string;
  readonly clusterDomain: string;
  /** The namespace of manifests without one. */
  readonly namespace?: string;
  /** The role of a Certificate whose usages name neither server auth nor client auth. */
  readonly defaultRole: Role;
  readonly acceptSubjectOrder: boolean;
}

/** The spec of an MtlsCertificate without authorityRef, and its role. `problems` says what has no equal. */
export interface ConvertedCertificate {
  readonly role: Role;
  readonly spec: Fields;
  readonly notes: readonly Remark[];
  readonly problems: readonly Remark[];
}

/** The spec of a Certificate whose types have been checked. */
export function convertCertificate(
  { name, namespace, spec }: SourceObject,
  options: ImportOptions,
): ConvertedCertificate {
  const notes: Remark[] = [];
  const problems = refusedFields(spec, certificateFields);
  const refuse = (field: string, why: string) => problems.push({ field, text: why });
  const note = (field: string, what: string) => notes.push({ field, text: what });
  const report: Report = { refuse, note };

  if (name.length > 63)
    refuse('metadata.name', 'an MtlsCertificate has a name of at most 63 characters; rename the Certificate');
  const algorithm = text(object(spec, 'privateKey'), 'algorithm') ?? 'RSA';
  const { role, usages } = usagesOf(texts(spec, 'usages'), algorithm, options.defaultRole, report);
  const secretName = text(spec, 'secretName');
  if (!isObjectName(secretName)) refuse('spec.secretName', `${quote(secretName)} is not the name of a Secret`);
  for (const field of certificateFields)
    if (field.fate === 'dropped' && spec[field.path] !== undefined && spec[field.path] !== null)
      note(`spec.${field.path}`, `left out: ${field.becomes}`);

  const names = namesOf(spec, role, namespace, options, report);
  const commonName = text(spec, 'commonName');
  const deployed: Fields = {
    [role]: {
      ...(secretName === undefined ? {} : { secretName }),
      ...(commonName === undefined ? {} : { commonName }),
      ...names,
      ...(usages.length === 0 ? {} : { usages }),
    },
    ...lifetimeOf(spec, report),
    privateKey: privateKeyOf(object(spec, 'privateKey'), report),
    deletionPolicy: 'Retain',
    ...subjectOf(object(spec, 'subject'), options.acceptSubjectOrder, report),
    ...secretTemplateOf(object(spec, 'secretTemplate'), report),
    ...outputsOf(spec, report),
  };
  if (text(object(spec, 'renewal'), 'policy') === 'Disabled')
    refuse('spec.renewal.policy', 'Disabled: the operator renews every certificate before it expires');
  return { role, spec: deployed, notes, problems };
}

interface Report {
  readonly refuse: (field: string, why: string) => void;
  readonly note: (field: string, what: string) => void;
}

/** What becomes of each usage. docs/reference/cert-manager.md prints it. */
export const usageTable: Readonly<Record<string, { readonly usage?: string; readonly becomes: string }>> = {
  'server auth': { becomes: 'role `server`; with client auth `peer`' },
  'client auth': { becomes: 'role `client`; with server auth `peer`' },
  'digital signature': { becomes: 'every role has it' },
  signing: { becomes: 'another word for digital signature' },
  'key encipherment': {
    becomes: 'every certificate with an RSA key has it; for other keys it has no meaning and is left out',
  },
  'content commitment': { usage: 'contentCommitment', becomes: '`usages: [contentCommitment]`' },
  'data encipherment': {
    usage: 'dataEncipherment',
    becomes: '`usages: [dataEncipherment]` with an RSA key; refused with another',
  },
  'key agreement': {
    usage: 'keyAgreement',
    becomes: '`usages: [keyAgreement]` with an ECDSA key; refused with another',
  },
  'code signing': { usage: 'codeSigning', becomes: '`usages: [codeSigning]` next to a role, with a grant' },
  'email protection': { usage: 'emailProtection', becomes: '`usages: [emailProtection]` next to a role, with a grant' },
  's/mime': { usage: 'emailProtection', becomes: 'another word for email protection' },
};

const extendedUsages: ReadonlySet<string> = new Set([
  'server auth',
  'client auth',
  'code signing',
  'email protection',
  's/mime',
]);

function usagesOf(asked: readonly string[], algorithm: string, defaultRole: Role, { refuse, note }: Report) {
  const usages = new Set<string>();
  for (const usage of new Set(asked)) {
    const known = Object.hasOwn(usageTable, usage) ? usageTable[usage] : undefined;
    if (known === undefined) refuse('spec.usages', `the operator issues no certificate with the usage ${quote(usage)}`);
    else if (known.usage !== undefined) usages.add(known.usage);
  }
  if (usages.has('dataEncipherment') && algorithm !== 'RSA')
    refuse('spec.usages', 'data encipherment needs an RSA key');
  if (usages.has('keyAgreement') && algorithm !== 'ECDSA') refuse('spec.usages', 'key agreement needs an ECDSA key');
  const [server, client] = [asked.includes('server auth'), asked.includes('client auth')];
  if (server || client)
    return { role: server && client ? 'peer' : server ? 'server' : 'client', usages: [...usages] } as const;
  if (asked.some((usage) => extendedUsages.has(usage)))
    refuse(
      'spec.usages',
      'a certificate for code or mail alone has no role here: the operator issues for TLS servers and clients',
    );
  else
    note(
      'spec.usages',
      `no server auth or client auth: cert-manager's certificate is for any purpose, this one is for ${roleNames[defaultRole]} (--default-role)`,
    );
  return { role: defaultRole, usages: [...usages] };
}

const roleNames: Readonly<Record<Role, string>> = {
  server: 'TLS servers',
  client: 'TLS clients',
  peer: 'TLS servers and clients',
};

const longest = { dnsNames: 100, ipAddresses: 100, uris: 20, emailAddresses: 20 } as const;

function namesOf(
  spec: Fields,
  role: Role,
  namespace: string,
  { trustDomain }: ImportOptions,
  { refuse }: Report,
): Fields {
  const lists = Object.keys(longest).map((field) => [field, [...texts(spec, field)]] as const);
  for (const [field, list] of lists) {
    const most = longest[field as keyof typeof longest];
    if (list.length > most) refuse(`spec.${field}`, `an MtlsCertificate has at most ${most}`);
  }
  if (lists.flatMap(([, list]) => list).join('').length > 5000)
    refuse('spec', 'the names of an MtlsCertificate have at most 5000 characters together');
  const otherNames = objects(spec, 'otherNames').map((item) => ({
    oid: text(item, 'oid') ?? '',
    utf8Value: text(item, 'utf8Value') ?? '',
  }));
  if (otherNames.length > longest.uris) refuse('spec.otherNames', 'an MtlsCertificate has at most 20');
  const bad = otherNames.find(({ oid, utf8Value }) => utf8Value === '' || oid.length > 128 || !isObjectIdentifier(oid));
  if (bad !== undefined) refuse('spec.otherNames', `${quote(bad)} is not a name of a type that the operator encodes`);
  if (otherNames.map(({ oid, utf8Value }) => oid + utf8Value).join('').length > 1152)
    refuse('spec.otherNames', 'the otherNames of an MtlsCertificate have at most 1152 characters together');
  if (lists.every(([, list]) => list.length === 0) && otherNames.length === 0) {
    refuse(
      'spec.commonName',
      'it is the only name. TLS libraries ignore it, and the operator issues no certificate without a subject alternative name; add dnsNames',
    );
  }
  const serviceAccount = role === 'server' ? undefined : serviceAccountOf(texts(spec, 'uris'), namespace, trustDomain);
  return {
    ...Object.fromEntries(
      lists.filter(([field, list]) => list.length > 0 && (field !== 'uris' || serviceAccount === undefined)),
    ),
    ...(serviceAccount === undefined ? {} : { serviceAccount }),
    ...(otherNames.length === 0 ? {} : { otherNames }),
  };
}

/** The ServiceAccount whose SPIFFE ID is the only URI. */
function serviceAccountOf(uris: readonly string[], namespace: string, trustDomain: string): string | undefined {
  const prefix = `spiffe://${trustDomain}/ns/${namespace}/sa/`;
  const [uri = '', ...more] = uris;
  const account = uri.slice(prefix.length);
  return more.length === 0 && uri.startsWith(prefix) && isObjectName(account) ? account : undefined;
}

const hour = 3_600_000;

function lifetimeOf(spec: Fields, { refuse }: Report): Fields {
  const duration = text(spec, 'duration') ?? '2160h';
  const renewBefore = text(spec, 'renewBefore');
  const percentage = number(spec, 'renewBeforePercentage');
  const ms = durationMs(duration);
  if (ms === undefined) refuse('spec.duration', `${quote(duration)} is not a duration in h, m, s and ms`);
  else if (ms < hour / 12 || ms > 876_000 * hour) refuse('spec.duration', 'the operator issues for 5m to 876000h');
  if (renewBefore !== undefined) {
    const before = durationMs(renewBefore);
    if (before === undefined || before <= 0)
      refuse('spec.renewBefore', `${quote(renewBefore)} is not a duration in h, m, s and ms`);
    else if (ms !== undefined && before >= ms) refuse('spec.renewBefore', 'it is not shorter than duration');
    if (percentage !== undefined) refuse('spec.renewBeforePercentage', 'it excludes renewBefore');
  }
  if (percentage !== undefined && (percentage < 1 || percentage > 99))
    refuse('spec.renewBeforePercentage', 'it is not from 1 to 99');
  return {
    duration: shortDuration(duration),
    ...(renewBefore === undefined ? {} : { renewBefore: shortDuration(renewBefore) }),
    ...(percentage === undefined ? {} : { renewBeforePercentage: percentage }),
  };
}

const durationMs = (duration: string): number | undefined =>
  duration.length <= 32 && /^([0-9]+([.][0-9]+)?(h|ms|m|s))+$/.test(duration) ? parseDurationMs(duration) : undefined;

/** The API server prints 2160h as 2160h0m0s. */
const shortDuration = (duration: string): string => duration.replace(/(?<=\d[hm])0s$/, '').replace(/(?<=\dh)0m$/, '');

const keySizes: Readonly<Record<string, readonly number[]>> = { RSA: [2048, 3072, 4096, 8192], ECDSA: [256, 384, 521] };

function privateKeyOf(key: Fields, { refuse }: Report): Fields {
  const algorithm = text(key, 'algorithm') ?? 'RSA';
  const size = number(key, 'size') || undefined;
  const asked = text(key, 'encoding') ?? 'PKCS1';
  const policy = text(key, 'rotationPolicy') ?? 'Always';
  if (!['RSA', 'ECDSA', 'Ed25519'].includes(algorithm))
    refuse('spec.privateKey.algorithm', `${quote(algorithm)} is no algorithm`);
  if (!['PKCS1', 'PKCS8'].includes(asked)) refuse('spec.privateKey.encoding', `${quote(asked)} is no encoding`);
  if (!['Always', 'Never'].includes(policy)) refuse('spec.privateKey.rotationPolicy', `${quote(policy)} is no policy`);
  // cert-manager ignores the size of an Ed25519 key.
  const sizes = Object.hasOwn(keySizes, algorithm) ? keySizes[algorithm] : undefined;
  if (sizes !== undefined && size !== undefined && !sizes.includes(size))
    refuse('spec.privateKey.size', `an ${algorithm} key has the size ${sizes.join(', ')}, not ${size}`);
  const encoding = asked === 'PKCS8' ? 'PKCS8' : { RSA: 'PKCS1', ECDSA: 'SEC1' }[algorithm];
  return {
    algorithm,
    ...(sizes === undefined ? {} : { size: size ?? sizes[0] }),
    encoding: encoding ?? 'PKCS8',
    rotationPolicy: policy,
  };
}

/** The attributes of a subject in the order in which cert-manager encodes them. */
const theirOrder = [
  'countries',
  'organizations',
  'organizationalUnits',
  'localities',
  'provinces',
  'streetAddresses',
  'postalCodes',
];
/** The same for the operator: encodeSubject in pki. */
const ourOrder = [
  'countries',
  'provinces',
  'localities',
  'streetAddresses',
  'postalCodes',
  'organizations',
  'organizationalUnits',
];

function subjectOf(subject: Fields, acceptsOrder: boolean, { refuse, note }: Report): Fields {
  const lists = theirOrder
    .map((field) => [field, texts(subject, field)] as const)
    .filter(([, list]) => list.length > 0);
  const serialNumber = text(subject, 'serialNumber');
  for (const [field, list] of lists)
    if (list.length > 8) refuse(`spec.subject.${field}`, 'an MtlsCertificate has at most 8');
  if (lists.flatMap(([field, list]) => (field === 'countries' ? [] : list)).join('').length > 1024)
    refuse('spec.subject', 'the values of a subject have at most 1024 characters together');
  const present = lists.map(([field]) => field);
  const ours = ourOrder.filter((field) => present.includes(field));
  const many = lists.find(([, list]) => list.length > 1)?.[0];
  const difference =
    many !== undefined
      ? `cert-manager encodes the values of ${many} as one RDN, the operator as one RDN each`
      : ours.join() === present.join()
        ? undefined
        : `cert-manager encodes ${present.join(', ')} in this order, the operator ${ours.join(', ')}`;
  if (difference !== undefined && acceptsOrder) note('spec.subject', difference);
  else if (difference !== undefined)
    refuse('spec.subject', `${difference}. If no program compares whole subjects, use --accept-subject-order`);
  if (present.length === 0 && serialNumber === undefined) return {};
  return { subject: { ...Object.fromEntries(lists), ...(serialNumber === undefined ? {} : { serialNumber }) } };
}

const templateKey =
  /^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const reservedKey = /^([^/]*[.])?(kubernetes[.]io|k8s[.]io|mtls-operator[.]io)\//;
const labelValue = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;
/** The schema of MtlsCertificate refuses control characters except tabs and line breaks. */
const isAnnotationValue = (value: string): boolean => /^(?:[\t\n\r]|[^\p{Cc}]|[\x7f-\x9f])*$/u.test(value);

function secretTemplateOf(template: Fields, { refuse }: Report): Fields {
  const entries = (field: string, isValue: (value: string) => boolean): Fields => {
    const map = object(template, field) as Readonly<Record<string, string>>;
    const path = `spec.secretTemplate.${field}`;
    const keys = Object.keys(map);
    for (const key of keys) {
      const isReserved =
        reservedKey.test(key) && (!key.startsWith('app.kubernetes.io/') || key === 'app.kubernetes.io/managed-by');
      if (isReserved) refuse(path, `the key ${quote(key)} is reserved`);
      else if (!templateKey.test(key)) refuse(path, `${quote(key)} is not a key`);
      else if (!isValue(map[key] ?? '')) refuse(path, `the value of ${quote(key)} is not valid`);
    }
    if (keys.length > 32) refuse(path, 'an MtlsCertificate has at most 32');
    if (keys.map((key) => key + map[key]).join('').length > 4096)
      refuse(path, 'they have at most 4096 characters together');
    return keys.length === 0 ? {} : { [field]: map };
  };
  const fields = {
    ...entries('labels', (value) => labelValue.test(value)),
    ...entries('annotations', (value) => value.length <= 4096 && isAnnotationValue(value)),
  };
  return Object.keys(fields).length === 0 ? {} : { secretTemplate: fields };
}

function outputsOf(spec: Fields, { refuse, note }: Report): Fields {
  const formats = objects(spec, 'additionalOutputFormats').map((item) => text(item, 'type') ?? '');
  for (const format of formats)
    if (format !== 'DER' && format !== 'CombinedPEM')
      refuse('spec.additionalOutputFormats', `${quote(format)} is not a format that the operator writes`);
  const { jks, pkcs12 } = {
    jks: object(object(spec, 'keystores'), 'jks'),
    pkcs12: object(object(spec, 'keystores'), 'pkcs12'),
  };
  if (flag(jks, 'create'))
    refuse('spec.keystores.jks', 'the operator writes PKCS#12, which Java also reads; use keystores.pkcs12');
  const outputs = {
    ...(formats.includes('CombinedPEM') ? { combinedPEM: true } : {}),
    ...(formats.includes('DER') ? { der: true } : {}),
    ...(flag(pkcs12, 'create') ? pkcs12Of(pkcs12, { refuse, note }) : {}),
  };
  return Object.keys(outputs).length === 0 ? {} : { outputs };
}

function pkcs12Of(pkcs12: Fields, { refuse, note }: Report): Fields {
  const path = 'spec.keystores.pkcs12';
  const ref = object(pkcs12, 'passwordSecretRef');
  const [name, key, profile] = [text(ref, 'name'), text(ref, 'key'), text(pkcs12, 'profile')];
  if (text(pkcs12, 'password') !== undefined)
    refuse(
      `${path}.password`,
      'a password does not belong in a manifest; put it into a Secret and use passwordSecretRef',
    );
  else if (key === undefined || !isObjectName(name))
    refuse(`${path}.passwordSecretRef`, 'it needs the name of a Secret and a key');
  else if (key.length > 253 || !/^[-._a-zA-Z0-9]+$/.test(key))
    refuse(`${path}.passwordSecretRef.key`, `${quote(key)} is not a key`);
  if (profile?.startsWith('Legacy') === true)
    refuse(`${path}.profile`, `${quote(profile)}: the operator encrypts with AES-256 and HMAC-SHA-256 only`);
  else if (profile === undefined)
    note(
      `${path}.profile`,
      'the default was LegacyRC2; the operator encrypts with AES-256 and HMAC-SHA-256 (OpenSSL 1.1, Java 8u301 or later)',
    );
  return { pkcs12: { passwordSecretRef: { name, key } } };
}
