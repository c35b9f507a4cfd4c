import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Role } from '../../../../src/pki/index.ts';
import { renewalTime } from '../../../../src/plan/certificate/renewal.ts';
import {
  type AuthorityState,
  type FailedAttempts,
  planCertificate,
  type SecretStep,
} from '../../../../src/plan/index.ts';
import { ready } from '../../../support/fixtures/authority.ts';
import { type CertificateFixture, certificate } from '../../../support/fixtures/certificate.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { now } from '../../../support/fixtures/times.ts';

export const signer = root({ name: 'Signer' });
export const authority = ready(signer);
export const fresh = certificate();
/** The resource with a Secret that was just issued. */
export const issued = fresh.issuedBy(signer);

/** An observation and its plan. */
export interface Case {
  readonly given: CertificateFixture;
  readonly under?: AuthorityState;
  readonly at?: Date;
  /** Earlier failures, by role. */
  readonly failedAttempts?: Partial<Record<Role, FailedAttempts>>;
  /** The step of each role, in the order of roles. */
  readonly plan: readonly SecretStep[];
}

/**
 * Runs a test for every title. It compares the whole plan, checks that a second run returns the same, and expects no
 * Secret to prune.
 */
export function check(cases: Readonly<Record<string, Case>>): void {
  for (const [title, { given, under = authority, at = now, failedAttempts: failed = {}, plan }] of Object.entries(
    cases,
  )) {
    test(title, () => {
      const seen = given.observed(under);
      const roles = seen.roles.map((role) => {
        const attempts = failed[role.role];
        return attempts === undefined ? role : { ...role, failedAttempts: attempts };
      });
      const observed = { ...seen, roles };
      const actual = planCertificate(observed, at);
      assert.deepEqual(
        actual.secrets.map(({ step }) => step),
        plan,
      );
      assert.deepEqual(
        actual.secrets.map(({ role }) => role),
        plan.length === 0 ? [] : observed.roles,
      );
      assert.deepEqual(actual.prune, []);
      assert.deepEqual(planCertificate(observed, at), actual, 'the same observation gives the same plan');
    });
  }
}

/** The validity and renewal time of the server's Secret. */
export function timesOf(given: CertificateFixture): { notAfter: Date; renewal: Date } {
  const { content } = given.observed(authority).roles[0]?.secret ?? {};
  assert.ok(content !== undefined && 'leaf' in content);
  return {
    notAfter: content.leaf.notAfter,
    renewal: renewalTime(content.leaf, given.record.spec, 'certificate-uid/server'),
  };
}
