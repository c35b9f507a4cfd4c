import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';

import { annotations, apiVersion, secretKeys, secretType } from '../../src/api/constants.ts';
import type { MtlsCertificateSpec, MtlsCertificateStatus } from '../../src/api/types.ts';
import { secretRecord } from '../../src/controllers/objects/leaf-secret.ts';
import type { ObjectMeta, Secret } from '../../src/kube/index.ts';
import { encoded } from '../../src/pki/asn1/der.ts';
import {
  anchorId,
  caId,
  encodeCertificates,
  encodePrivateKey,
  type Issuer,
  issueRoot,
  type KeySpec,
  pathOf,
  prepareLeaf,
  type Role,
  trustBundle,
} from '../../src/pki/index.ts';
import { parseCertificate } from '../../src/pki/x509/certificate.ts';
import { type LeafRequest, leafRequest } from '../../src/plan/certificate/leaf-request.ts';
import {
  type AuthorityRecord,
  type AuthorityRules,
  type AuthorityState,
  type CertificateRecord,
  issuancePolicy,
  type KeystorePassword,
  type ObservedCertificate,
  type OwnedSecret,
  ownedBy,
  planCertificateStatus,
  type ReadyAuthority,
  rolesOf,
  type SecretRecord,
  secretNameOf,
} from '../../src/plan/index.ts';
import { type CaOptions, makeCa } from './roots/make.ts';

/** The moment at which every fixture lives. */
export const now = new Date('2026-03-01T12:00:00Z');

export const minutes = (count: number): number => count * 60_000;
export const hours = (count: number): number => count * 3_600_000;
export const days = (count: number): number => hours(24 * count);
/** The moment so many milliseconds after (or before) the fixtures' own. */
export const later = (ms: number): Date => new Date(now.getTime() + ms);
export const earlier = (ms: number): Date => later(-ms);

/** A private key of a kind. RSA keys are slow to make and therefore shared. */
export function privateKey(spec: KeySpec = { algorithm: 'ECDSA', size: 256 }): KeyObject {
  switch (spec.algorithm) {
    case 'Ed25519':
      return generateKeyPairSync('ed25519').privateKey;
    case 'ECDSA':
      return generateKeyPairSync('ec', { namedCurve: { 256: 'P-256', 384: 'P-384', 521: 'P-521' }[spec.size] })
        .privateKey;
    case 'RSA': {
      const made = rsaKeys.get(spec.size) ?? generateKeyPairSync('rsa', { modulusLength: spec.size }).privateKey;
      rsaKeys.set(spec.size, made);
      return made;
    }
  }
}
const rsaKeys = new Map<number, KeyObject>();

export interface RootOptions {
  readonly name?: string;
  readonly key?: KeySpec;
  /** When it is made. Its notBefore lies five minutes before. */
  readonly at?: Date;
  readonly durationMs?: number;
}

/** A root that the project's own code makes: by default a year old, with nine years to go. */
export function root({
  name = 'Root',
  key,
  at = earlier(days(365)),
  durationMs = days(3650),
}: RootOptions = {}): Issuer {
  const signer = privateKey(key);
  const context = { now: at, serialSeed: randomBytes(20) };
  const certificate = issueRoot({ subject: { commonName: name }, durationMs }, signer, context);
  return { certificate, key: signer, intermediates: [], anchor: certificate };
}

/**
 * Another root with the same name and a key of its own. With `sameKeyId` it also has the key identifier of the first one:
 * only a signature tells the two apart.
 */
export function namesakeOf({ certificate: { subject, subjectKeyId = '' } }: Issuer, sameKeyId = false): Issuer {
  const keyId = sameKeyId ? { keyId: Buffer.from(subjectKeyId, 'hex') } : {};
  const made = makeCa({
    subject: encoded(subject),
    notBefore: earlier(days(365)),
    notAfter: later(days(3285)),
    ...keyId,
  });
  const certificate = parseCertificate(made.der);
  return { certificate, key: made.key, intermediates: [], anchor: certificate };
}

/** Extensions beside the usual ones, see make.ts. */
type IntermediateOptions = Omit<RootOptions, 'key'> & Pick<CaOptions, 'more'>;

/** A CA below another one: by default a month old, with a year to go. */
export function intermediate(
  above: Issuer,
  { name = 'Intermediate', at = earlier(days(30)), durationMs = days(395), more = [] }: IntermediateOptions = {},
): Issuer {
  const { subject, subjectKeyId = '' } = above.certificate;
  const by = { key: above.key, subject, keyId: Buffer.from(subjectKeyId, 'hex') };
  const notAfter = new Date(at.getTime() + durationMs);
  const made = makeCa({ name, by, more, notBefore: new Date(at.getTime() - minutes(5)), notAfter });
  const certificate = parseCertificate(made.der);
  return {
    certificate,
    key: made.key,
    intermediates: [certificate, ...above.intermediates],
    anchor: above.anchor,
  };
}

/** The identity of a signer's root, as leaves and rotations name it. */
export const rootIdOf = ({ anchor }: Issuer): string => anchorId(anchor);
/** The identity of the CA that signs, as leaves, CRLs and revocations name it. */
export const issuerIdOf = ({ certificate: ca }: Issuer): string => caId(ca);

/** A root, or an intermediate with all that is above it, as the texts of its Secret. */
export const encodedRoot = (signer: Issuer): { crt: string; key: string } => ({
  crt: encodeCertificates(pathOf(signer)),
  key: encodePrivateKey(signer.key, 'PKCS8'),
});

/** What an authority says that grants nothing beside a namespace's own names. */
export const rules: AuthorityRules = {
  trustDomain: 'cluster.local',
  clusterDomain: 'cluster.local',
  issuance: issuancePolicy(undefined),
};

/** What an authority says that grants names under example.com, and the organization Org, to all. */
export const grantingRules: AuthorityRules = {
  ...rules,
  issuance: issuancePolicy({
    allow: [{ namespaceSelector: {}, dnsNames: ['*.example.com'], subject: { organizations: ['Org'] } }],
  }),
};

/** An authority that signs with the first root and trusts all. */
export const ready = (active: Issuer, ...others: readonly Issuer[]): ReadyAuthority & { state: 'ready' } => ({
  state: 'ready',
  root: active.certificate,
  intermediates: active.intermediates,
  anchor: active.anchor,
  bundle: trustBundle(
    active.anchor,
    others.map(({ anchor }) => anchor),
  ),
  acceptedBundleDigests: [],
  ...rules,
});

/** An authority whose root may not sign. */
export const notReady = (reason: string, message: string): AuthorityState & { state: 'notReady' } => ({
  state: 'notReady',
  reason,
  message,
  ...rules,
});

/** An MtlsAuthority whose root the operator makes. */
export const authority = (changes: Partial<AuthorityRecord> = {}): AuthorityRecord => ({
  namespace: '',
  name: 'default',
  uid: 'authority-uid',
  resourceVersion: '1',
  generation: 1,
  deleting: false,
  spec: {
    secretName: 'mtls-root',
    root: { commonName: 'mTLS Root', privateKey: { algorithm: 'ECDSA' }, duration: '87600h' },
    trustDomain: 'cluster.local',
    clusterDomain: 'cluster.local',
    rotation: { approval: 'Automatic', propagationDelay: '3m', clusterTrustBundleDelay: '7m', reissuesPerSecond: 100 },
  },
  status: {},
  ...changes,
});

/** What the API server makes of a spec that asks for nothing but a Service. */
const plainSpec: MtlsCertificateSpec = {
  authorityRef: { name: 'default' },
  server: { service: 'payments' },
  duration: '2160h',
  privateKey: { algorithm: 'ECDSA', encoding: 'PKCS8', rotationPolicy: 'Always' },
  deletionPolicy: 'Delete',
};

interface Parts {
  readonly record: CertificateRecord;
  readonly secrets: ReadonlyMap<Role, Secret>;
  readonly signer?: Issuer;
  readonly keystorePassword?: KeystorePassword;
  /** Null when the namespace has not been seen. */
  readonly namespaceLabels: Readonly<Record<string, string>> | null;
}

/**
 * An MtlsCertificate with its Secrets, in sentences: `certificate().issuedBy(root).expiringIn(days(3))`. Every call
 * gives another fixture and leaves this one as it is. Keys and leaves are real.
 */
export class CertificateFixture {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get record(): CertificateRecord {
    return this.#parts.record;
  }

  /** Changes of spec that came after what has been issued so far. */
  asking(spec: Partial<MtlsCertificateSpec>): CertificateFixture {
    const { record } = this.#parts;
    return this.with({ spec: { ...record.spec, ...spec }, generation: record.generation + 1 });
  }

  with(changes: Partial<CertificateRecord>): CertificateFixture {
    return new CertificateFixture({ ...this.#parts, record: { ...this.record, ...changes } });
  }

  inNamespace(namespace: string): CertificateFixture {
    return this.with({ namespace });
  }

  /** In a namespace with these labels, or, with null, in one that has not been seen. */
  whereNamespaceHas(namespaceLabels: Readonly<Record<string, string>> | null): CertificateFixture {
    return new CertificateFixture({ ...this.#parts, namespaceLabels });
  }

  /** With this to be said of the password of its stores. */
  wherePasswordIs(keystorePassword: KeystorePassword): CertificateFixture {
    return new CertificateFixture({ ...this.#parts, keystorePassword });
  }

  /** With this value of the annotation rotate. */
  rotating(rotateToken: string): CertificateFixture {
    return this.with({ rotateToken });
  }

  withoutToken(): CertificateFixture {
    const { rotateToken: _, ...record } = this.record;
    return new CertificateFixture({ ...this.#parts, record });
  }

  remembering(status: MtlsCertificateStatus): CertificateFixture {
    return this.with({ status: { ...this.record.status, ...status } });
  }

  /** With the status that the operator writes when all is well. */
  reported(view: AuthorityState): CertificateFixture {
    const outcomes = this.observed(view).roles.map((role) => ({ role }));
    const { status } = planCertificateStatus(
      this.record,
      outcomes,
      now,
      view.state === 'ready' ? view.bundle.roots : [],
    );
    const lastTransitionTime = now.toISOString();
    return this.remembering({
      ...status,
      conditions: status.conditions.map((one) => ({ ...one, lastTransitionTime })),
    });
  }

  /** With a Secret for every role, issued for the present spec and token by this root at this moment. */
  issuedBy(signer: Issuer, at: Date = now): CertificateFixture {
    const secrets = new Map(rolesOf(this.record.spec).map((role) => [role, issue(this.record, role, signer, at)]));
    return new CertificateFixture({ ...this.#parts, secrets, signer });
  }

  /** Issued so long ago that it expires then. */
  expiringIn(ms: number): CertificateFixture {
    const { signer, record } = this.#parts;
    if (signer === undefined) throw new Error('say issuedBy first');
    const request = requestOf(record, rolesOf(record.spec)[0] ?? 'server');
    return this.issuedBy(signer, later(ms - request.profile.durationMs));
  }

  /** With a role's Secret as somebody has left it. */
  whereSecret(role: Role, change: (secret: Secret) => Secret): CertificateFixture {
    const secret = change(this.secret(role));
    return new CertificateFixture({ ...this.#parts, secrets: new Map(this.#parts.secrets).set(role, secret) });
  }

  withoutSecret(role: Role): CertificateFixture {
    const secrets = new Map(this.#parts.secrets);
    secrets.delete(role);
    return new CertificateFixture({ ...this.#parts, secrets });
  }

  /** The Secret of a role as it is in the API server, its key included. */
  secret(role: Role): Secret {
    const secret = this.#parts.secrets.get(role);
    if (secret === undefined) throw new Error(`there is no Secret for ${role}`);
    return secret;
  }

  /** What the operator keeps of that Secret. */
  secretRecord(role: Role, view: AuthorityState = { state: 'missing' }): SecretRecord {
    return secretRecord(this.secret(role), view.state === 'ready' ? view.bundle.roots : []);
  }

  /** All that a decision rests on, with this view of the authority. Of the surplus only what the resource owns is observed. */
  observed(view: AuthorityState, surplus: readonly SecretRecord[] = []): ObservedCertificate {
    const roots = view.state === 'ready' ? view.bundle.roots : this.#signers();
    const roles = rolesOf(this.record.spec).map((role) => {
      const secret = this.#parts.secrets.get(role);
      const secretName = secretNameOf(this.record.name, this.record.spec, role);
      return { role, secretName, ...(secret === undefined ? {} : { secret: secretRecord(secret, roots) }) };
    });
    const { namespaceLabels, keystorePassword } = this.#parts;
    const known = {
      ...(namespaceLabels === null ? {} : { namespaceLabels }),
      ...(keystorePassword === undefined ? {} : { keystorePassword }),
    };
    return { certificate: this.record, ...known, authority: view, roles, surplus: ownedAmong(surplus, this.record) };
  }

  /** A Secret is read while its authority is well, and goes on being known when that has ended. */
  #signers() {
    return this.#parts.signer === undefined ? [] : [this.#parts.signer.anchor];
  }
}

/** An MtlsCertificate `payments` in namespace `shop` that asks for a server certificate of its Service; no Secrets yet. */
export const certificate = (): CertificateFixture =>
  new CertificateFixture({
    record: {
      namespace: 'shop',
      name: 'payments',
      uid: 'certificate-uid',
      resourceVersion: '10',
      generation: 1,
      creationTimestamp: '2026-01-01T00:00:00Z',
      deleting: false,
      spec: plainSpec,
      status: {},
    },
    secrets: new Map(),
    namespaceLabels: {},
  });

/** What a role asks for, of a fixture that asks for what it may have: its own names, and those under example.com. */
export function requestOf({ spec, namespace }: CertificateRecord, role: Role): LeafRequest {
  const scope = { namespace, labels: {}, authority: 'default', ...grantingRules };
  const request = leafRequest(spec, role, scope);
  if ('reason' in request) throw new Error(request.message);
  return request;
}

/** The Secret of a role as the operator writes it. */
function issue(record: CertificateRecord, role: Role, signer: Issuer, at: Date): Secret {
  const request = requestOf(record, role);
  const key = privateKey(request.key);
  const context = { now: at, serialSeed: randomBytes(20) };
  const leaf = prepareLeaf(request.profile, createPublicKey(key), signer, context).sign();
  const token = record.rotateToken === undefined ? {} : { [annotations.rotate]: record.rotateToken };
  const template = record.spec.secretTemplate;
  const isRetained = record.spec.deletionPolicy === 'Retain';
  const keys = { labels: Object.keys(template?.labels ?? {}), annotations: Object.keys(template?.annotations ?? {}) };
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      namespace: record.namespace,
      name: secretNameOf(record.name, record.spec, role),
      uid: `${role}-secret-uid`,
      resourceVersion: '20',
      labels: {
        ...template?.labels,
        'app.kubernetes.io/managed-by': 'mtls-operator',
        'mtls-operator.io/certificate': record.name,
        'mtls-operator.io/role': role,
      },
      annotations: {
        ...template?.annotations,
        ...(template === undefined ? {} : { [annotations.template]: JSON.stringify(keys) }),
        [annotations.secretName]: secretNameOf(record.name, record.spec, role),
        ...(isRetained ? { [annotations.certificateUid]: record.uid } : {}),
        [annotations.revision]: '1',
        ...token,
      },
      ownerReferences: isRetained
        ? []
        : [{ apiVersion, kind: 'MtlsCertificate', name: record.name, uid: record.uid, controller: true }],
    },
    type: secretType,
    data: {
      [secretKeys.certificate]: base64(encodeCertificates([leaf, ...signer.intermediates])),
      [secretKeys.privateKey]: base64(encodePrivateKey(key, request.keyEncoding)),
      [secretKeys.bundle]: base64(trustBundle(signer.anchor, []).pem),
    },
  };
}

/** Those of the Secrets that the resource owns. */
export const ownedAmong = (secrets: readonly SecretRecord[], record: CertificateRecord): OwnedSecret[] =>
  secrets.flatMap((secret) => ownedBy(secret, record) ?? []);

/** A Secret with other data beside what it has; undefined takes a key out. */
export const withData =
  (data: Readonly<Record<string, string | undefined>>) =>
  (secret: Secret): Secret => {
    const changes = Object.entries(data);
    const kept = Object.entries(secret.data ?? {}).filter(([key]) => !(key in data));
    const set = changes.flatMap(([key, text]) => (text === undefined ? [] : [[key, base64(text)]]));
    return { ...secret, data: Object.fromEntries([...kept, ...set]) };
  };

/** A Secret with other metadata. */
export const withMetadata =
  (change: (metadata: ObjectMeta) => Partial<ObjectMeta>) =>
  (secret: Secret): Secret => ({ ...secret, metadata: { ...secret.metadata, ...change(secret.metadata) } });

/** A Secret without an owner, as a backup restores it, or as `kubectl delete --cascade=orphan` leaves it. */
export const orphaned = withMetadata(() => ({ ownerReferences: [] }));

/** A Secret without an owner that was not handed over to its resource. */
export const foreign = (secret: Secret): Secret =>
  orphaned(withMarks('annotations', { [annotations.secretName]: undefined })(secret));

/** A Secret with these labels or annotations beside, or instead of, what it has; undefined takes one off. */
export const withMarks = (
  kind: 'labels' | 'annotations',
  marks: Readonly<Record<string, string | undefined>>,
): ((secret: Secret) => Secret) =>
  withMetadata((metadata) => ({
    [kind]: Object.fromEntries(
      Object.entries({ ...metadata[kind], ...marks }).filter(
        (entry): entry is [string, string] => entry[1] !== undefined,
      ),
    ),
  }));

const base64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64');
