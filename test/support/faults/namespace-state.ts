import assert from 'node:assert/strict';

import { labels } from '../../../src/api/constants.ts';
import { type Certificate, conditionOf, type Tenant } from '../installation.ts';
import { secretVersion } from './secret-history.ts';

/** The state of a namespace when all work is done, without values that differ from run to run. */
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

/**
 * The expected final state of a namespace of pairs: every Secret was issued as often as requested, and no other Secret
 * exists.
 */
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
 * The current state of a namespace. Throws for errors in any state: an orphan, a Secret that no role names, a status that
 * names another certificate than the one in the Secret, or a status for another generation.
 */
export async function namespaceState(tenant: Tenant): Promise<NamespaceState> {
  const [certificates, secrets] = [await tenant.list(), await tenant.secrets()];
  const states = secrets.map((secret): [string, SecretState] => {
    const { name, labels: secretLabels = {} } = secret.metadata;
    const { revision, token, fingerprint } = secretVersion(secret);
    const controller = secret.metadata.ownerReferences?.find((reference) => reference.controller === true);
    const owner = certificates.find(({ metadata }) => metadata.uid === controller?.uid);
    assert.ok(owner !== undefined, `Secret ${name} is an orphan`);
    const entry = owner.status?.secrets?.find(({ secretName }) => secretName === name);
    assert.ok(entry !== undefined, `no role of ${owner.metadata.name} names Secret ${name} in its status`);
    assert.equal(entry.fingerprint, fingerprint, `the status of ${owner.metadata.name} names another certificate`);
    assert.equal(entry.revision, revision, `the status of ${owner.metadata.name} names another revision`);
    const keys = Object.keys(secret.data ?? {}).sort();
    return [name, { owner: owner.metadata.name, revision, token, type: secret.type, labels: secretLabels, keys }];
  });
  return {
    certificates: Object.fromEntries(
      certificates.map((certificate) => [certificate.metadata.name, stateOf(certificate)]),
    ),
    secrets: Object.fromEntries(states),
  };
}

function stateOf(certificate: Certificate) {
  const { metadata, status } = certificate;
  assert.equal(status?.observedGeneration, metadata.generation, `${metadata.name} has not been reconciled yet`);
  const ready = conditionOf(certificate, 'Ready');
  return { ready: ready?.status ?? 'missing', lastHandledRotate: status?.lastHandledRotate };
}
