import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';

import {
  parseManifests,
  permissionLines,
  permissionsOf,
  userPermissionsOf,
} from '../../../tools/permissions/effective.ts';
import {
  type Condition,
  operatorPermissions,
  permissionTable,
  userPermissions,
} from '../../../tools/permissions/table.ts';
import { CHART, type Helm, openHelm } from '../../support/chart/helm.ts';

interface Row {
  readonly values: object;
  readonly namespace?: string;
  readonly account?: string;
  readonly apis?: readonly string[];
  readonly watched?: readonly string[];
  readonly conditions?: readonly Condition[];
}

const served = ['mtls-operator.io/v1alpha1/MtlsAuthority'];
const authorities = [{ name: 'edge', spec: { secretName: 'edge-root', root: {} } }];

/** Values of the chart, and what they request of the table. */
const rows: Readonly<Record<string, Row>> = {
  'no values': { values: {}, conditions: ['authorities'] },
  'other names': {
    values: { fullnameOverride: 'certificates', serviceAccount: { name: 'issuer' } },
    namespace: 'platform-pki',
    account: 'issuer',
    conditions: ['authorities'],
  },
  'a ServiceAccount that exists': {
    values: { serviceAccount: { create: false, name: 'issuer' } },
    account: 'issuer',
    conditions: ['authorities'],
  },
  'no default authority': { values: { createDefaultAuthority: false } },
  'authorities that the operator creates': { values: { authorities }, conditions: ['authorities'] },
  'metrics over TLS': {
    values: { metrics: { tls: { enabled: true } } },
    conditions: ['authorities', 'metricsAuthorization', 'metricsCertificate'],
  },
  'metrics over TLS for named clients, with a certificate of your own': {
    values: {
      metrics: { tls: { enabled: true, secretName: 'own' }, authorization: { enabled: false }, clients: ['a.example'] },
    },
    conditions: ['authorities'],
  },
  'watched namespaces': {
    values: { watchNamespaces: ['shop', 'billing'] },
    watched: ['shop', 'billing'],
    conditions: ['authorities'],
  },
  'watched namespaces with the namespace default and its own': {
    values: { watchNamespaces: ['default', 'mtls-operator'], createDefaultAuthority: false },
    watched: ['default', 'mtls-operator'],
  },
  'watched namespaces and metrics over TLS': {
    values: { watchNamespaces: ['shop'], metrics: { tls: { enabled: true } } },
    watched: ['shop'],
    conditions: ['authorities', 'metricsAuthorization', 'metricsCertificate'],
  },
  'injected roots': { values: { injectCA: { enabled: true } }, conditions: ['authorities', 'injectCA'] },
  'watched namespaces and injected roots': {
    values: { watchNamespaces: ['shop'], injectCA: { enabled: true } },
    watched: ['shop'],
    conditions: ['authorities', 'injectCA'],
  },
  'pod certificates': {
    values: { podCertificates: { enabled: true } },
    conditions: ['authorities', 'podCertificates'],
  },
  'pod evidence': { values: { podEvidence: { enabled: true } }, conditions: ['authorities', 'podEvidence'] },
  'pod evidence and restarted workloads': {
    values: { podEvidence: { enabled: true, restartWorkloads: true } },
    conditions: ['authorities', 'podEvidence', 'restartWorkloads'],
  },
  'watched namespaces, pod certificates and restarted workloads': {
    values: {
      watchNamespaces: ['shop'],
      podCertificates: { enabled: true },
      podEvidence: { enabled: true, restartWorkloads: true },
    },
    watched: ['shop'],
    conditions: ['authorities', 'podCertificates', 'podEvidence', 'restartWorkloads'],
  },
  'authorities that Helm creates': { values: { authorities }, apis: served },
};

const table = permissionTable();
let helm: Helm;
before(async () => {
  helm = await openHelm('helm');
});

describe('the chart gives the operator exactly the permissions of tools/permissions/permissions.yaml, with', () => {
  for (const [title, row] of Object.entries(rows)) {
    const { values, namespace = 'mtls-operator', account = 'mtls-operator', apis = [] } = row;
    test(title, async () => {
      const manifests = parseManifests(await helm.renderText(values, { namespace, apis }));
      const granted = permissionsOf(manifests, { namespace, name: account });
      const { watched = [], conditions = [] } = row;
      const expected = operatorPermissions(table, { namespace, watched, conditions });
      assert.deepEqual(permissionLines(granted), permissionLines(expected));
      const subjects = manifests.flatMap((manifest) => manifest.subjects ?? []);
      assert.ok(
        subjects.every(({ name }) => name === account),
        'a binding has another subject',
      );
    });
  }
});

describe('the chart gives people exactly the permissions of tools/permissions/permissions.yaml,', () => {
  test('by the roles view, edit and admin', async () => {
    const granted = userPermissionsOf(parseManifests(await helm.renderText()));
    assert.deepEqual(permissionLines(granted), permissionLines(userPermissions(table)));
  });

  test('or by roles of its own, if rbac.aggregateToUserRoles is false', async () => {
    const values = { rbac: { aggregateToUserRoles: false } };
    const scopes = userPermissionsOf(parseManifests(await helm.renderText(values))).map(({ scope }) => scope);
    assert.deepEqual([...new Set(scopes)].sort(), [
      'mtls-operator-authorities-view',
      'mtls-operator-edit',
      'mtls-operator-view',
    ]);
  });
});

test('the chart grants nothing if rbac.create is false', async () => {
  const kinds = parseManifests(await helm.renderText({ rbac: { create: false } })).map(({ kind }) => kind);
  assert.deepEqual(
    kinds.filter((kind) => /Role/.test(kind)),
    [],
  );
});

test('the manifests of deploy grant what the chart grants without values', () => {
  const deploy = join(import.meta.dirname, '../../../deploy');
  const read = (file: string) => parseManifests(readFileSync(join(deploy, file), 'utf8'));
  const account = { namespace: 'mtls-operator', name: 'mtls-operator' };
  const expected = operatorPermissions(table, {
    namespace: account.namespace,
    watched: [],
    conditions: ['authorities'],
  });
  assert.deepEqual(permissionLines(permissionsOf(read('rbac.yaml'), account)), permissionLines(expected));
  assert.deepEqual(
    permissionLines(userPermissionsOf(read('rbac-users.yaml'))),
    permissionLines(userPermissions(table)),
  );
});

test('the chart refuses a namespace in which its admission policy would refuse the root', async () => {
  const { code, stderr } = await helm.attempt(['template', 'mtls-operator', CHART, '--namespace=kube-system']);
  assert.notEqual(code, 0);
  assert.match(stderr, /the admission policy allows no Secrets in kube-system; install the chart in another namespace/);
  await helm.renderText({ admissionPolicy: { enabled: false } }, { namespace: 'kube-system' });
});
