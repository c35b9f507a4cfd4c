import assert from 'node:assert/strict';

import { annotations, apiVersion, group, labels, version } from '../../../src/api/constants.ts';
import type { MtlsCertificate } from '../../../src/api/types.ts';
import type { AdminApi, ApiList, ApiObject } from './api.ts';
import { type ApiSecret, secretVersion } from './secret-history.ts';

export type ApiCertificate = ApiObject & MtlsCertificate;

/** How a namespace is to look once all work is done, without what differs from run to run. */
export interface NamespaceState {
  /** By name of the resource. */
  readonly certificates: Readonly<Record<string, { ready: string; lastHandledRotate: string | undefined }>>;
  /** By name of the Secret. */
  readonly secrets: Readonly<Record<string, SecretState>>;
}

interface SecretState {
  readonly owner: string;
  readonly revision: number;
  readonly token: string | undefined;
  readonly type: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly keys: readonly string[];
}

export const certificatesPath = (namespace: string): string =>
  `/apis/${group}/${version}/namespaces/${namespace}/mtlscertificates`;

/** Creates an MtlsCertificate with a server and a client. */
export async function createPair(api: AdminApi, namespace: string, name: string): Promise<ApiCertificate> {
  const spec = { server: { service: name }, client: { serviceAccount: name } };
  return api.create(certificatesPath(namespace), { apiVersion, kind: 'MtlsCertificate', metadata: { name }, spec });
}

/** Asks for a rotation of one resource. */
export async function requestRotation(api: AdminApi, namespace: string, name: string, token: string): Promise<void> {
  await api.mergePatch(`${certificatesPath(namespace)}/${name}`, {
    metadata: { annotations: { [annotations.rotate]: token } },
  });
}

/** The state in which a namespace of pairs must end: each Secret issued as often as it was asked for, and no other. */
export function pairsAt(names: readonly string[], revision: number, token?: string): NamespaceState {
  const entries = names.flatMap((name) =>
    ['client', 'server'].map((role): [string, SecretState] => [
      `${name}-${role}-tls`,
      {
        owner: name,
        revision,
        token,
        type: 'kubernetes.io/tls',
        labels: { [labels.managedBy]: 'mtls-operator', [labels.certificate]: name, [labels.role]: role },
        keys: ['ca.crt', 'tls.crt', 'tls.key'],
      },
    ]),
  );
  return {
    certificates: Object.fromEntries(names.map((name) => [name, { ready: 'True', lastHandledRotate: token }])),
    secrets: Object.fromEntries(entries),
  };
}

/**
 * A namespace as it is. Throws for what is wrong in any state: an orphan, a Secret that no role names, status that
 * speaks of another certificate than the one in the Secret, or of another generation.
 */
export async function namespaceState(api: AdminApi, namespace: string): Promise<NamespaceState> {
  const { items: certificates } = await api.get<ApiList<ApiCertificate>>(certificatesPath(namespace));
  const selector = `labelSelector=${encodeURIComponent(`${labels.managedBy}=mtls-operator`)}`;
  const { items: secrets } = await api.get<ApiList<ApiSecret>>(`/api/v1/namespaces/${namespace}/secrets?${selector}`);
  const states = secrets.map((secret): [string, SecretState] => {
    const { name, labels: secretLabels = {} } = secret.metadata;
    const { revision, token, fingerprint } = secretVersion(secret);
    const controller = secret.metadata.ownerReferences?.find((reference) => reference.controller === true);
    const owner = certificates.find(({ metadata }) => metadata.uid === controller?.uid);
    assert.ok(owner !== undefined, `Secret ${name} is an orphan`);
    const entry = owner.status?.secrets?.find(({ secretName }) => secretName === name);
    assert.ok(entry !== undefined, `no role of ${owner.metadata.name} names Secret ${name} in its status`);
    assert.equal(entry.fingerprint, fingerprint, `the status of ${owner.metadata.name} speaks of another certificate`);
    assert.equal(entry.revision, revision, `the status of ${owner.metadata.name} speaks of another revision`);
    const keys = Object.keys(secret.data).sort();
    return [name, { owner: owner.metadata.name, revision, token, type: secret.type, labels: secretLabels, keys }];
  });
  return {
    certificates: Object.fromEntries(
      certificates.map((certificate) => [certificate.metadata.name, stateOf(certificate)]),
    ),
    secrets: Object.fromEntries(states),
  };
}

function stateOf({ metadata, status }: ApiCertificate) {
  assert.equal(status?.observedGeneration, metadata.generation, `${metadata.name} was not looked at yet`);
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  return { ready: ready?.status ?? 'missing', lastHandledRotate: status?.lastHandledRotate };
}
