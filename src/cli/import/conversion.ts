import { apiVersion } from '../../api/constants.ts';
import { isObjectName } from '../../api/object-name.ts';
import type { MtlsCertificateSpec } from '../../api/types.ts';
import type { Role } from '../../pki/index.ts';
import {
  dnsLabels,
  isOwnCommonName,
  isOwnServiceName,
  isOwnSpiffeId,
  issuancePolicy,
  leafRequest,
  normaliseCommonName,
  normaliseEmailAddress,
  normaliseIpAddress,
  normaliseUri,
} from '../../plan/index.ts';
import { type ConvertedCertificate, convertCertificate, type ImportOptions } from './certificate-conversion.ts';
import { grantsOf, mostGrants, type NeededGrants, namespaceLabels } from './grants.ts';
import { issuerFields } from './source-fields.ts';
import {
  type Fields,
  flag,
  object,
  objects,
  printable,
  quote,
  type Remark,
  refusedFields,
  type SourceKind,
  type SourceObject,
  sourceObjects,
  text,
  texts,
} from './source-objects.ts';

/** A manifest without status. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: 'MtlsAuthority' | 'MtlsCertificate';
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec: Fields;
}

/** The kind, namespace and name of an object. */
export interface ObjectRef {
  readonly kind: SourceKind;
  readonly namespace: string;
  readonly name: string;
}

/** A Secret with a CA, and the name of its copy in the namespace of the operator. */
export interface CaSecret {
  readonly namespace: string;
  readonly name: string;
  readonly copy: string;
}

export interface ConvertedAuthority {
  readonly source: ObjectRef;
  readonly manifest: Manifest;
  readonly secret: CaSecret;
  /** How many MtlsCertificates use it. */
  readonly certificates: number;
}

/** The result of a conversion. Every object of the input is in exactly one of the first four lists, or repeats another object. */
export interface Conversion {
  readonly authorities: readonly ConvertedAuthority[];
  readonly certificates: ReadonlyArray<{
    readonly source: ObjectRef;
    readonly manifest: Manifest;
    readonly role: Role;
  }>;
  /** Objects that need no successor, such as the Certificate of a CA. */
  readonly replaced: ReadonlyArray<{ readonly source: ObjectRef; readonly text: string }>;
  /** Objects that were not written. */
  readonly refused: ReadonlyArray<{ readonly source: ObjectRef; readonly problems: readonly Remark[] }>;
  /** What is different for objects that were written. */
  readonly notes: ReadonlyArray<Remark & { readonly source: ObjectRef }>;
}

/**
 * Converts the objects of cert-manager in documents (parsed YAML or JSON; lists included) into manifests. An object is converted as a
 * whole or refused. It reads no Secret. Never throws.
 */
export function convertCertManager(documents: readonly unknown[], options: ImportOptions): Conversion {
  const replaced: Array<Conversion['replaced'][number]> = [];
  const refused: Array<Conversion['refused'][number]> = [];
  const notes: Array<Conversion['notes'][number]> = [];
  const refuse = (source: SourceObject, problems: readonly Remark[]) =>
    refused.push({ source: refOf(source), problems });

  const { unique, contradictory } = withoutCopies(sourceObjects(documents, options.namespace));
  const twice = { field: '', text: 'the input has several objects of this name, and they differ' };
  for (const source of contradictory) refuse(source, [twice]);
  for (const source of unique.filter(({ kind }) => kind === 'Bundle')) refuse(source, [bundleRemark]);

  const issuers = new Map<string, SourceObject>();
  for (const source of unique) if (isIssuer(source)) issuers.set(idOf(source), source);
  const certificates = unique.filter(({ kind }) => kind === 'Certificate');

  const caIssuers = [...issuers.values()].filter((issuer) => {
    const problems = issuerProblems(issuer);
    if (problems.length > 0) refuse(issuer, problems);
    else if (isSelfSigned(issuer)) replaced.push({ source: refOf(issuer), text: 'it only signs certificates of CAs' });
    else return true;
    return false;
  });
  const drafts = draftAuthorities(caIssuers, options, refuse);

  const converted: Candidate[] = [];
  for (const source of certificates) {
    const ca = drafts.find(
      ({ secret }) => secret.namespace === source.namespace && secret.name === source.spec['secretName'],
    );
    if (ca !== undefined && source.problems.length === 0 && flag(source.spec, 'isCA')) {
      const copy = `Secret ${ca.secret.copy} of MtlsAuthority ${ca.name}`;
      replaced.push({
        source: refOf(source),
        text: `it is the CA in ${copy}; the copy is not renewed, so rotate the root before it expires`,
      });
      continue;
    }
    const problems = [...source.problems];
    const draft = problems.length > 0 ? undefined : issuerOf(source, issuers, drafts, problems);
    // A field with a wrong type is not read.
    const result = source.problems.length > 0 ? undefined : convertCertificate(source, options);
    problems.push(...(result?.problems ?? []));
    if (draft === undefined || result === undefined || problems.length > 0) refuse(source, problems);
    else converted.push({ source, draft, result, needs: needsOf(source, result, options) });
  }

  const accepted = withinLimits(ofOwnSecrets(converted, refuse), drafts, options, refuse);
  for (const { source, result } of accepted)
    notes.push(...result.notes.map((note) => ({ ...note, source: refOf(source) })));
  return {
    authorities: drafts.map((draft) => authorityOf(draft, accepted, options)),
    certificates: accepted.map(({ source, draft, result }) => ({
      source: refOf(source),
      role: result.role,
      manifest: {
        apiVersion,
        kind: 'MtlsCertificate',
        metadata: { name: source.name, namespace: source.namespace },
        spec: { authorityRef: { name: draft.name }, ...result.spec },
      },
    })),
    replaced,
    refused,
    notes,
  };
}

const isIssuer = ({ kind }: SourceObject): boolean => kind === 'Issuer' || kind === 'ClusterIssuer';

const refOf = ({ kind, namespace, name }: SourceObject): ObjectRef => ({ kind, namespace, name });

const idOf = ({ kind, namespace, name }: ObjectRef): string => `${kind} ${namespace}/${name}`;

const bundleRemark: Remark = {
  field: '',
  text: 'it is not converted: publish the roots with trustBundle of the MtlsAuthority',
};

function withoutCopies(sources: readonly SourceObject[]) {
  const groups = [...Map.groupBy(sources, idOf).values()];
  const isOne = (group: readonly SourceObject[]) => new Set(group.map(({ spec }) => JSON.stringify(spec))).size === 1;
  const firsts = (list: ReadonlyArray<readonly SourceObject[]>) => list.flatMap(([first]) => first ?? []);
  return { unique: firsts(groups.filter(isOne)), contradictory: firsts(groups.filter((group) => !isOne(group))) };
}

const isSelfSigned = ({ spec }: SourceObject): boolean => (spec['selfSigned'] ?? null) !== null;

function issuerProblems(issuer: SourceObject): readonly Remark[] {
  const { spec, problems } = issuer;
  if (problems.length > 0) return problems;
  const refusedHere = refusedFields(spec, issuerFields);
  if (refusedHere.length > 0) return refusedHere;
  const isCa = spec['ca'] !== undefined && spec['ca'] !== null;
  if (isCa === isSelfSigned(issuer)) return [{ field: 'spec', text: 'it needs ca or selfSigned' }];
  const secretName = text(object(spec, 'ca'), 'secretName');
  return isSelfSigned(issuer) || isObjectName(secretName)
    ? []
    : [{ field: 'spec.ca.secretName', text: `${quote(secretName)} is not the name of a Secret` }];
}

/** An authority before its grants are known. */
interface Draft {
  readonly source: SourceObject;
  readonly name: string;
  readonly secret: CaSecret;
}

/** A file name has at most 255 bytes, and it begins with the kind. */
const longestName = 230;

/** A ClusterIssuer keeps its name. An Issuer gets its namespace in front. */
function draftAuthorities(
  issuers: readonly SourceObject[],
  { clusterResourceNamespace }: ImportOptions,
  refuse: (source: SourceObject, problems: readonly Remark[]) => void,
): Draft[] {
  const names = new Set<string>();
  const copies = new Map<string, string>();
  // A ClusterIssuer never loses its name to an Issuer.
  const sorted = [...issuers].sort((a, b) => (a.kind === b.kind ? 0 : a.kind === 'ClusterIssuer' ? -1 : 1));
  return sorted.flatMap((source) => {
    const isCluster = source.kind === 'ClusterIssuer';
    const name = freeName(isCluster ? source.name : `${source.namespace}-${source.name}`, names);
    const namespace = isCluster ? clusterResourceNamespace : source.namespace;
    const secretName = text(object(source.spec, 'ca'), 'secretName') ?? '';
    const id = `${namespace}/${secretName}`;
    const copy =
      copies.get(id) ?? freeName(isCluster ? secretName : `${namespace}-${secretName}`, new Set(copies.values()));
    const tooLong = [name, copy].find(({ length }) => length > longestName);
    if (tooLong !== undefined) {
      refuse(source, [
        { field: 'metadata.name', text: `the name ${quote(tooLong)} would be longer than ${longestName} characters` },
      ]);
      return [];
    }
    names.add(name);
    copies.set(id, copy);
    return [{ source, name, secret: { namespace, name: secretName, copy } }];
  });
}

function freeName(wanted: string, taken: ReadonlySet<string>): string {
  for (let i = 1; ; i += 1) {
    const name = i === 1 ? wanted : `${wanted}-${i}`;
    if (!taken.has(name)) return name;
  }
}

function issuerOf(
  { namespace, spec }: SourceObject,
  issuers: ReadonlyMap<string, SourceObject>,
  drafts: readonly Draft[],
  problems: Remark[],
): Draft | undefined {
  const ref = object(spec, 'issuerRef');
  const [group, kind, name] = [
    text(ref, 'group') ?? 'cert-manager.io',
    text(ref, 'kind') ?? 'Issuer',
    text(ref, 'name'),
  ];
  const field = 'spec.issuerRef';
  const refuse = (why: string) => {
    problems.push({ field, text: why });
    return undefined;
  };
  if (group !== 'cert-manager.io')
    return refuse(`an issuer of ${quote(group)} signs the certificate, not a CA in a Secret`);
  if (kind !== 'Issuer' && kind !== 'ClusterIssuer') return refuse(`${quote(kind)} is not Issuer or ClusterIssuer`);
  if (name === undefined) return refuse('it has no name');
  const id = idOf({ kind, namespace: kind === 'Issuer' ? namespace : '', name });
  const issuer = issuers.get(id);
  if (issuer === undefined)
    return refuse(`${kind} ${quote(name)} is not in the input; read issuers and clusterissuers too`);
  const draft = drafts.find(({ source }) => source === issuer);
  if (draft !== undefined) return draft;
  const type = ['acme', 'vault', 'venafi', 'selfSigned'].find(
    (one) => issuer.spec[one] !== undefined && issuer.spec[one] !== null,
  );
  return refuse(
    `${kind} ${quote(name)} ${type === undefined ? 'has no equal' : `is of type ${type}`}, and only CA issuers have an equal`,
  );
}

interface Candidate {
  readonly source: SourceObject;
  readonly draft: Draft;
  readonly result: ConvertedCertificate;
  readonly needs: NeededGrants;
}

/** What the namespace of a certificate needs a grant for. */
function needsOf(
  { namespace }: SourceObject,
  { role, spec }: ConvertedCertificate,
  options: ImportOptions,
): NeededGrants {
  const scope = { namespace, trustDomain: options.trustDomain, clusterDomain: options.clusterDomain };
  const asked = object(spec, role);
  const subject = object(spec, 'subject');
  const normal = (field: string, normalise: (name: string) => string | undefined) =>
    texts(asked, field).flatMap((name) => normalise(name) ?? []);
  const commonName = text(asked, 'commonName');
  const { serialNumber, ...lists } = subject;
  return {
    dnsNames: normal('dnsNames', (name) => dnsLabels(name)?.join('.')).filter(
      (name) => !isOwnServiceName(name, role, scope),
    ),
    ipRanges: normal('ipAddresses', normaliseIpAddress).map((ip) => `${ip}/${ip.includes(':') ? 128 : 32}`),
    uris: normal('uris', normaliseUri).filter((uri) => !isOwnSpiffeId(uri, scope)),
    emailAddresses: normal('emailAddresses', normaliseEmailAddress),
    commonNames:
      commonName === undefined || isOwnCommonName(commonName, role, scope) ? [] : [normaliseCommonName(commonName)],
    usages: texts(asked, 'usages').filter((usage) => ['codeSigning', 'emailProtection', 'ipsecIKE'].includes(usage)),
    otherNames: objects(asked, 'otherNames').map((item) => ({
      oid: text(item, 'oid') ?? '',
      utf8Value: text(item, 'utf8Value') ?? '',
    })),
    subject: {
      ...(lists as Readonly<Record<string, readonly string[]>>),
      ...(typeof serialNumber === 'string' ? { serialNumbers: [serialNumber] } : {}),
    },
  };
}

/** Two certificates cannot share a Secret. */
function ofOwnSecrets(
  candidates: readonly Candidate[],
  refuse: (source: SourceObject, problems: readonly Remark[]) => void,
): Candidate[] {
  const bySecret = Map.groupBy(candidates, ({ source }) => `${source.namespace}/${text(source.spec, 'secretName')}`);
  return [...bySecret.values()].flatMap((group) => {
    if (group.length === 1) return group;
    for (const { source } of group) {
      const others = group.filter((one) => one.source !== source).map((one) => one.source.name);
      refuse(source, [{ field: 'spec.secretName', text: `Certificate ${others.join(', ')} has the same Secret` }]);
    }
    return [];
  });
}

/** The certificates whose grants fit into their authority, and that the operator would issue with them. */
function withinLimits(
  candidates: readonly Candidate[],
  drafts: readonly Draft[],
  { trustDomain, clusterDomain }: ImportOptions,
  refuse: (source: SourceObject, problems: readonly Remark[]) => void,
): Candidate[] {
  return drafts.flatMap((draft) => {
    let grants = 0;
    const mine = candidates.filter((candidate) => candidate.draft === draft);
    const byNamespace = Map.groupBy(mine, ({ source }) => source.namespace);
    return [...byNamespace].flatMap(([namespace, group]) => {
      const issuable = group.filter((candidate) => {
        const labels = namespaceLabels(namespace);
        const allow = grantsOf(namespace, [candidate.needs]);
        const issuance = issuancePolicy({ allow } as unknown as Parameters<typeof issuancePolicy>[0]);
        const scope = { namespace, trustDomain, clusterDomain, labels, authority: draft.name, issuance };
        const spec = { authorityRef: { name: draft.name }, ...candidate.result.spec } as unknown as MtlsCertificateSpec;
        const request = leafRequest(spec, candidate.result.role, scope);
        if (!('reason' in request)) return true;
        refuse(candidate.source, [
          { field: 'spec', text: `the operator would refuse it: ${printable(request.message)}` },
        ]);
        return false;
      });
      const needed = grantsOf(
        namespace,
        issuable.map(({ needs }) => needs),
      ).length;
      if (grants + needed <= mostGrants) {
        grants += needed;
        return issuable;
      }
      const why = `MtlsAuthority ${draft.name} would need more than ${mostGrants} grants; write one for several namespaces by hand`;
      for (const { source } of issuable) refuse(source, [{ field: '', text: why }]);
      return [];
    });
  });
}

function authorityOf(
  { source, name, secret }: Draft,
  accepted: readonly Candidate[],
  { trustDomain, clusterDomain }: ImportOptions,
): ConvertedAuthority {
  const mine = accepted.filter((candidate) => candidate.draft.source === source);
  const allow = [...Map.groupBy(mine, (candidate) => candidate.source.namespace)]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([namespace, group]) =>
      grantsOf(
        namespace,
        group.map(({ needs }) => needs),
      ),
    );
  const issuance = {
    ...(source.kind === 'Issuer' ? { namespaceSelector: { matchLabels: namespaceLabels(source.namespace) } } : {}),
    ...(allow.length === 0 ? {} : { allow }),
  };
  return {
    source: refOf(source),
    secret,
    certificates: mine.length,
    manifest: {
      apiVersion,
      kind: 'MtlsAuthority',
      metadata: { name },
      spec: {
        secretName: secret.copy,
        trustDomain,
        clusterDomain,
        ...(Object.keys(issuance).length === 0 ? {} : { issuance }),
      },
    },
  };
}
