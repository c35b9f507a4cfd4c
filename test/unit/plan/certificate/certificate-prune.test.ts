import assert from 'node:assert/strict';
import { test } from 'node:test';
import { annotations } from '../../../../src/api/constants.ts';
import { secretRecord } from '../../../../src/controllers/objects/leaf-secret.ts';
import type { Secret } from '../../../../src/kube/index.ts';
import {
  type AuthorityState,
  type CertificateRecord,
  type FailedAttempts,
  type ObservedRole,
  planCertificate,
  roles,
  type SecretRecord,
} from '../../../../src/plan/index.ts';
import { notReady, ready } from '../../../support/fixtures/authority.ts';
import { type CertificateFixture, certificate, ownedAmong } from '../../../support/fixtures/certificate.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { foreign, withData, withMarks, withMetadata } from '../../../support/fixtures/secret.ts';
import { later, now } from '../../../support/fixtures/times.ts';
import * as fc from '../../../support/properties.ts';

const signer = root({ name: 'Signer' });

/** The states of an authority. */
const authorities: Record<
  string,
  { readonly view: AuthorityState; readonly keeps: boolean; readonly issues: boolean }
> = {
  good: { view: ready(signer), keeps: true, issues: true },
  waiting: {
    view: { ...ready(signer), issuancePaused: { reason: 'RootDistributing', message: 'x' } },
    keeps: true,
    issues: false,
  },
  bad: { view: notReady('RootExpired', 'x'), keeps: true, issues: false },
  missing: { view: { state: 'missing' }, keeps: false, issues: false },
  unknown: { view: { state: 'unknown' }, keeps: false, issues: false },
};

const failed: FailedAttempts = { attempts: 1, lastFailureTime: now, nextRetryTime: later(1), message: 'x' };
const record = (secret: Secret): SecretRecord => secretRecord(secret, [signer.anchor]);

/** The states of a role: the observation, and what the operator has to do for the role. */
type Need = 'nothing' | 'issue' | 'impossible';
const states: Record<
  string,
  { readonly need: Need; readonly seen: (role: ObservedRole, secret: Secret) => ObservedRole }
> = {
  'that is up to date': { need: 'nothing', seen: (role, secret) => ({ ...role, secret: record(secret) }) },
  'without its Secret': { need: 'issue', seen: (role) => role },
  'with a damaged Secret': {
    need: 'issue',
    seen: (role, secret) => ({ ...role, secret: record(withData({ 'tls.crt': '' })(secret)) }),
  },
  'after a failure': { need: 'impossible', seen: (role) => ({ ...role, failedAttempts: failed }) },
  'with a foreign Secret': {
    need: 'impossible',
    seen: (role, secret) => ({ ...role, foreign: record(foreign(secret)) }),
  },
  'with the Secret name of another resource': {
    need: 'impossible',
    seen: (role, secret) => ({ ...role, secret: record(secret), secretNameOwner: 'MtlsCertificate other' }),
  },
};

/** Secrets of earlier names, and whether they may be deleted once no role needs them. */
const named = (name: string | undefined) => withMarks('annotations', { [annotations.secretName]: name });
const former: Record<string, { readonly mayGo: boolean; readonly change: (secret: Secret) => Secret }> = {
  'that names itself': { mayGo: true, change: named('former') },
  'without the annotation, in status': { mayGo: true, change: named(undefined) },
  'without the annotation, in status for another role': {
    mayGo: false,
    change: (secret) => withMarks('labels', { 'mtls-operator.io/role': 'peer' })(named(undefined)(secret)),
  },
  'without the annotation, with the label of another resource': {
    mayGo: false,
    change: (secret) => withMarks('labels', { 'mtls-operator.io/certificate': 'other' })(named(undefined)(secret)),
  },
  'that is a copy': { mayGo: false, change: (secret) => secret },
  'of another resource': {
    mayGo: false,
    change: (secret) =>
      withMetadata(({ ownerReferences = [] }) => ({
        ownerReferences: ownerReferences.map((owner) => ({ ...owner, uid: 'other-uid' })),
      }))(named('former')(secret)),
  },
  'that is being deleted': {
    mayGo: false,
    change: (secret) => withMetadata(() => ({ deletionTimestamp: '2026-03-01T00:00:00Z' }))(named('former')(secret)),
  },
};

const asked = {
  server: { service: 'payments' },
  client: { serviceAccount: 'checkout' },
  peer: { service: 'payments' },
};
const base: CertificateFixture = certificate().asking(asked).issuedBy(signer);

/** One of these values; half of the time one of the first `n`. */
const mostly = <T>(n: number, all: Readonly<Record<string, T>>): fc.Arbitrary<readonly [string, T]> =>
  fc.oneof(fc.constantFrom(...Object.entries(all).slice(0, n)), fc.constantFrom(...Object.entries(all)));
const role = fc.oneof(fc.constant(undefined), mostly(3, states), mostly(3, states));

const worlds = fc.record({
  authority: mostly(1, authorities),
  server: role,
  client: role,
  peer: role,
  former: fc.constantFrom(...Object.entries(former)),
  isUnreadable: fc.nat({ max: 4 }).map((n) => n === 0),
  isDeleting: fc.nat({ max: 9 }).map((n) => n === 0),
});

test('a Secret is deleted only when no role is blocked and spec is valid', () => {
  const counts = { deleted: 0, withoutRoles: 0, impossible: 0, deleting: 0 };
  fc.assert(
    fc.property(worlds, (world) => {
      const [, authority] = world.authority;
      const [, surplus] = world.former;
      // The record of a resource whose spec is not valid requests no certificate.
      const wanted = world.isUnreadable ? [] : roles.filter((role) => world[role] !== undefined);
      const { server: _, client: __, peer: ___, ...spec } = base.record.spec;
      const resource: CertificateRecord = {
        ...base.record,
        deleting: world.isDeleting,
        ...(world.isUnreadable ? { specProblem: 'x' } : {}),
        spec: { ...spec, ...Object.fromEntries(wanted.map((role) => [role, asked[role]])) },
        status: { secrets: [{ role: 'server', secretName: 'former' } as never] },
      };
      const observedRoles = wanted.map((role): ObservedRole => {
        const secretName = `payments-${role}-tls`;
        return world[role]?.[1].seen({ role, secretName }, base.secret(role)) ?? { role, secretName };
      });
      const secret = record(surplus.change(withMetadata(() => ({ name: 'former' }))(base.secret('server'))));
      const plan = planCertificate(
        {
          certificate: resource,
          namespaceLabels: {},
          authority: authority.view,
          roles: observedRoles,
          surplus: ownedAmong([secret], resource),
        },
        now,
      );

      const needs = wanted.map((role) => world[role]?.[1].need);
      const canHaveAll = needs.every(
        (need) => (need === 'nothing' && authority.keeps) || (need === 'issue' && authority.issues),
      );
      const isDeleted = surplus.mayGo && !world.isDeleting && wanted.length > 0 && canHaveAll;
      assert.deepEqual(
        plan.prune.map(({ name }) => name),
        isDeleted ? ['former'] : [],
      );
      if (isDeleted) counts.deleted += 1;
      if (wanted.length === 0) counts.withoutRoles += 1;
      if (needs.includes('impossible')) counts.impossible += 1;
      if (world.isDeleting) counts.deleting += 1;
    }),
    { numRuns: 500, seed: 19 },
  );
  assert.ok(
    Object.values(counts).every((count) => count > 10),
    `one kind of outcome hardly occurs: ${JSON.stringify(counts)}`,
  );
});
