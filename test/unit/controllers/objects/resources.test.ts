import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { authorityRecord, certificateRecord } from '../../../../src/controllers/objects/resources.ts';
import { revocationState } from '../../../../src/controllers/objects/root-crl.ts';
import { planAuthority, planCertificateStatus, planTrust } from '../../../../src/plan/index.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { certificate } from '../../../support/fixtures/certificate.ts';
import { now } from '../../../support/fixtures/times.ts';

const metadata = { name: 'payments', namespace: 'shop', uid: 'a', resourceVersion: '1', generation: 1 };
const certificateOf = (spec: unknown, status?: unknown) =>
  certificateRecord({ metadata, spec, status } as unknown as Parameters<typeof certificateRecord>[0]);
const authorityOf = (spec: unknown) =>
  authorityRecord({ metadata, spec } as unknown as Parameters<typeof authorityRecord>[0]);

describe('a resource that is older than its schema', () => {
  const { spec } = certificate().record;
  const odd: [title: string, spec: unknown, path: string][] = [
    ['without a spec', undefined, 'spec'],
    ['with a list instead of a spec', [], 'spec'],
    ['without a field that always has a default', { ...spec, authorityRef: undefined }, 'spec.authorityRef'],
    ['with a role that is null', { ...spec, client: null }, 'spec.client'],
    ['with a number among its names', { ...spec, server: { dnsNames: ['a', 1] } }, 'spec.server.dnsNames[1]'],
    ['with a list as duration', { ...spec, duration: ['5m'] }, 'spec.duration'],
    ['with a fraction as percentage', { ...spec, renewBeforePercentage: 1.5 }, 'spec.renewBeforePercentage'],
    [
      'with a label that is not a string',
      { ...spec, secretTemplate: { labels: { a: 1 } } },
      'spec.secretTemplate.labels.a',
    ],
  ];
  test('has the default deletionPolicy if its CRD did not have this field yet', () => {
    const { deletionPolicy: _, ...older } = spec;
    const { specProblem, spec: read } = certificateOf(older);
    assert.deepEqual([specProblem, read.deletionPolicy, read.server], [undefined, 'Delete', spec.server]);
  });
  for (const [title, value, path] of odd) {
    test(`requests nothing and reports why, if it is a certificate ${title}`, () => {
      const record = certificateOf(value);
      assert.deepEqual(Object.keys(record.spec), ['authorityRef', 'duration', 'privateKey', 'deletionPolicy']);
      const [ready] = planCertificateStatus(record, [], now, []).status.conditions;
      const message = `${path} does not match the schema of the CRD; correct it and apply the resource again`;
      assert.deepEqual(ready, { type: 'Ready', status: 'False', reason: 'InvalidSpec', message });
    });
  }

  test('keeps unknown fields of a certificate', () => {
    const value = { ...spec, future: { a: 1 } };
    assert.deepEqual(certificateOf(value).spec, value);
    assert.equal(certificateOf(value).specProblem, undefined);
  });

  test('loses only the parts of its status that do not match the schema', () => {
    const { status } = certificateOf(spec, { secrets: 'x', lastHandledRotate: 'a', conditions: [{ type: 'Ready' }] });
    assert.deepEqual(status, { lastHandledRotate: 'a' });
  });

  test('signs nothing if it is an authority, and keeps its valid settings', () => {
    const trustBundle = { configMap: { name: 'mtls-trust', namespaceSelector: {} }, clusterTrustBundle: true };
    const record = authorityOf({ ...authority().spec, trustBundle, rotation: 'never' });
    assert.deepEqual(record.spec.trustBundle, trustBundle);
    assert.equal(record.spec.secretName, 'mtls-root');
    const rollout = { secrets: [], publications: [], examinedSecrets: 0, monotonicMs: 0 };
    const observed = { authority: record, certificates: 0, rollout, leadingSince: now };
    const { step, verdict } = planAuthority(
      { ...observed, revocation: revocationState(undefined), requestedRevocations: [] },
      now,
    );
    assert.deepEqual(step, { step: 'keep' });
    assert.ok(verdict.state === 'notReady' && verdict.reason === 'InvalidSpec');
    assert.match(verdict.message, /^spec\.rotation does not match the schema/);
  });

  test('keeps the published bundles of an authority while its spec does not say whether it requests them', () => {
    const record = authorityOf({ ...authority().spec, trustBundle: 'everywhere' });
    const copy = { namespace: 'shop', name: 'mtls-trust', uid: 'b', resourceVersion: '1', owner: record.uid };
    const found = [{ ...copy, bundle: 'a', immutable: false, deleting: false, changedAtMs: 0 }];
    assert.equal(record.spec.trustBundle, undefined);
    assert.deepEqual(planTrust({ authority: record, existing: found }), []);
    const { specProblem: _, ...readable } = record;
    assert.equal(planTrust({ authority: readable, existing: found })[0]?.step, 'delete');
  });

  test('has an impossible Secret name if it is an authority without a valid one', () => {
    assert.equal(authorityOf({ ...authority().spec, secretName: 7 }).spec.secretName, '-');
  });
});

test('of a spec of more than 64 KB, the record keeps only the problem', () => {
  const { spec } = certificate().record;
  const note = (length: number) => ({ ...spec, secretTemplate: { annotations: { note: 'x'.repeat(length) } } });
  assert.equal(certificateOf(note(60_000)).specProblem, undefined);
  const record = certificateOf(note(690_000));
  assert.match(record.specProblem ?? '', /spec is \d+ KB of JSON, and the limit is 64 KB; remove names or entries/);
  assert.ok(JSON.stringify(record).length < 2000);
});
