import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { apiVersion } from '../../src/api/constants.ts';
import type { MtlsCertificate } from '../../src/api/types.ts';
import { secretRecord } from '../../src/controllers/objects/leaf-secret.ts';
import { certificateRecord } from '../../src/controllers/objects/resources.ts';
import { statusChange } from '../../src/controllers/objects/status-writer.ts';
import type { Secret } from '../../src/kube/index.ts';
import { trustBundle } from '../../src/pki/index.ts';
import { leafRequest } from '../../src/plan/certificate/leaf-request.ts';
import { secretMetadata } from '../../src/plan/certificate/secret-metadata.ts';
import {
  type CertificateRecord,
  issuancePolicy,
  ownerReference,
  planCertificateStatus,
  rolesOf,
  type SecretContent,
  secretNameOf,
} from '../../src/plan/index.ts';
import { issueContent, issueRoot, withSigner } from '../support/sign.ts';

/** The time of issue of the population. */
export const issuedAt = new Date();

/** The age of the oldest certificate. The ages are spread. */
const oldestSeconds = 50 * 86_400;

/** Resources in a namespace. */
const perNamespace = 25;

const rootKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const rootContext = { now: issuedAt, serialSeed: randomBytes(20) };
const rootCertificate = issueRoot(
  { subject: { commonName: 'Bench Root' }, durationMs: 315_360_000_000 },
  rootKey,
  rootContext,
);
const root = withSigner({ certificate: rootCertificate, key: rootKey, intermediates: [], anchor: rootCertificate });
const signer = { root, bundle: trustBundle(rootCertificate, []) };

/** The roots that issued the population. */
export const roots = signer.bundle.roots;

/** A resource and its Secrets as JSON, as the API server sends them. Separate texts share no memory. */
export interface Member {
  readonly certificate: string;
  readonly secrets: readonly string[];
}

/** A healthy client+server pair with a complete status. */
export function member(index: number): Member {
  const namespace = `team-${Math.floor(index / perNamespace)}`;
  const name = `service-${index}`;
  const managedFields = [{ manager: 'kubectl', operation: 'Apply', fieldsV1: { 'f:spec': { 'f:server': {} } } }];
  const resource = {
    apiVersion,
    kind: 'MtlsCertificate',
    metadata: {
      namespace,
      name,
      uid: uuid(`${index}`),
      resourceVersion: String(100_000 + index * 4),
      generation: 1,
      creationTimestamp: seconds(new Date(issuedAt.getTime() + index * 40)),
      annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{"spec":{}}'.repeat(30) },
      managedFields,
    },
    spec: {
      authorityRef: { name: 'default' },
      server: { service: name },
      client: { serviceAccount: name },
      duration: '2160h',
      privateKey: { algorithm: 'ECDSA', encoding: 'PKCS8', rotationPolicy: 'Always' },
    },
  } as unknown as MtlsCertificate & { readonly metadata: { readonly name: string } };
  const record = certificateRecord(asSent(resource));
  const secrets = rolesOf(record.spec).map((role, i) => ({
    role,
    object: secretOf(record, role, String(100_001 + index * 4 + i)),
  }));
  const outcomes = secrets.map(({ role, object }) => {
    const secretName = secretNameOf(name, record.spec, role);
    return { role: { role, secretName, secret: secretRecord(asSent(object), roots, contentOf(object)) } };
  });
  const planned = planCertificateStatus(record, outcomes, issuedAt, roots).status;
  const status = statusChange({}, planned, issuedAt)?.status;
  return {
    certificate: JSON.stringify({ ...resource, status }),
    secrets: secrets.map(({ object }) => JSON.stringify(object)),
  };
}

function secretOf(
  record: CertificateRecord,
  role: ReturnType<typeof rolesOf>[number],
  resourceVersion: string,
): Secret {
  const metadata = secretMetadata(record, role, { revision: 1 }, undefined);
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      ...(metadata as { labels: Record<string, string>; annotations: Record<string, string> }),
      namespace: record.namespace,
      name: secretNameOf(record.name, record.spec, role),
      uid: uuid(`${record.uid}/${role}`),
      resourceVersion,
      ownerReferences: [ownerReference('MtlsCertificate', record)],
    },
    type: 'kubernetes.io/tls',
    data: issued.data,
  };
}

const issued = (() => {
  const spec = {
    authorityRef: { name: 'default' },
    server: { service: 'service-0' },
    duration: '2160h',
    privateKey: { algorithm: 'ECDSA', encoding: 'PKCS8', rotationPolicy: 'Always' },
    deletionPolicy: 'Delete',
  } as const;
  const scope = { namespace: 'team-0', labels: {}, authority: 'default' };
  const rules = { trustDomain: 'cluster.local', clusterDomain: 'cluster.local', issuance: issuancePolicy(undefined) };
  const request = leafRequest(spec, 'server', { ...scope, ...rules });
  if ('reason' in request) throw new Error(request.message);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return issueContent(request, privateKey, signer, issuedAt);
})();

/** The content of a Secret as if it had been read: separate strings, and similar leaves. */
export function contentOf({ metadata: { uid = '' } }: Secret): SecretContent {
  if (!('leaf' in issued.content)) throw new Error('the leaf cannot be read');
  const { leaf, bundle = '' } = issued.content;
  const ageMs = 1000 * (Number.parseInt(sha256(`${uid}/age`).slice(0, 8), 16) % oldestSeconds);
  return {
    leaf: {
      ...leaf,
      fingerprint: sha256(`${uid}/fingerprint`),
      serialNumber: again(sha256(`${uid}/serial`).slice(0, 40)),
      profile: sha256(`${uid}/profile`),
      notBefore: new Date(leaf.notBefore.getTime() - ageMs),
      notAfter: new Date(leaf.notAfter.getTime() - ageMs),
      root: again(leaf.root ?? ''),
      issuer: again(leaf.issuer ?? ''),
      issuerNotBefore: new Date(leaf.issuerNotBefore ?? 0),
      issuerNotAfter: new Date(leaf.issuerNotAfter ?? 0),
    },
    bundle: again(bundle),
  };
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** A UUID derived from a text. */
const uuid = (text: string): string => sha256(text).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*/, '$1-$2-$3-$4-$5');

const again = (hex: string): string => Buffer.from(hex, 'hex').toString('hex');

const seconds = (date: Date): string => `${date.toISOString().slice(0, 19)}Z`;

/** A copy that shares no parts with other objects, as if the API server had sent it. */
const asSent = <T>(object: T): T => JSON.parse(JSON.stringify(object)) as T;
