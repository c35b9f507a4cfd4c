/**
 * Plans for resources with values that the schema rejects or of other types, because a resource may be older than its
 * schema, and for Secrets with any content: every plan is valid, and no code throws.
 *
 * Every run tests a seeded part. For a long run, optionally with another seed:
 *
 *     FUZZ_CASES=1000000 FUZZ_SEED=7 npm test -- unit plan/malformed-fuzz
 */

import assert from 'node:assert/strict';
import { createPublicKey, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { annotations, group, rotationKeys, secretKeys, secretType } from '../../../src/api/constants.ts';
import { misfit, schemas } from '../../../src/api/schema.ts';
import { secretRecord } from '../../../src/controllers/objects/leaf-secret.ts';
import { authorityRecord, certificateRecord } from '../../../src/controllers/objects/resources.ts';
import { revocationState } from '../../../src/controllers/objects/root-crl.ts';
import { rootSecret } from '../../../src/controllers/objects/root-secret.ts';
import { secretKeysOf } from '../../../src/controllers/objects/secret-names.ts';
import type { Secret } from '../../../src/kube/index.ts';
import {
  type AuthorityRecord,
  type AuthorityState,
  configMapIn,
  issuancePolicy,
  issuedSecret,
  missingSecrets,
  parseRotationState,
  planAuthority,
  planAuthorityStatus,
  planCertificate,
  planCertificateStatus,
  rolesOf,
  secretNameOf,
  templateKeys,
  trustCondition,
} from '../../../src/plan/index.ts';
import { notReady, ready } from '../../support/fixtures/authority.ts';
import { certificate } from '../../support/fixtures/certificate.ts';
import { encodedRoot, privateKey, root } from '../../support/fixtures/roots.ts';
import { now } from '../../support/fixtures/times.ts';
import { oddText, ofSchema } from '../../support/odd-values.ts';
import * as fc from '../../support/properties.ts';
import { fuzzRuns } from '../../support/runs.ts';
import { issueLeafNow } from '../../support/sign.ts';
import { onlyPkiErrors } from '../pki/expect.ts';
import { distributing, draining, switching } from './rotation/rotation-phases.ts';
import { secretOf } from './rotation/rotation-situation.ts';

const { numRuns, seed } = fuzzRuns(1000);

const signer = root();
const [good, another] = [encodedRoot(signer), encodedRoot(root())];
const key = createPublicKey(privateKey());
const base64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64');

/** Data of a Secret: valid, at the wrong key, or meaningless. */
const contents = fc.oneof(
  {
    arbitrary: fc.constantFrom(good.crt, good.key, another.crt, another.key, good.crt + another.crt).map(base64),
    weight: 3,
  },
  { arbitrary: oddText, weight: 1 },
  { arbitrary: oddText.map(base64), weight: 1 },
);
const data = (keys: readonly string[]) =>
  fc
    .array(fc.tuple(fc.constantFrom(...keys), contents), { maxLength: 2 * keys.length })
    .map((entries): Record<string, string> => Object.fromEntries(entries));

const marks = (names: readonly string[]): fc.Arbitrary<Record<string, string>> => {
  const notes = [distributing, switching, draining].map(({ rotation: note }) => JSON.stringify(note));
  const values = fc.oneof(
    oddText,
    fc.constantFrom(...notes, ...notes.map((note) => note.replace('"', '')), '1', '{"labels":[1]}'),
  );
  return fc.dictionary(fc.oneof(fc.constantFrom(...names), oddText), values, { maxKeys: 6, noNullPrototype: true });
};

const metadata = fc.record({
  name: fc.constant('payments'),
  namespace: fc.constant('shop'),
  uid: fc.constant('certificate-uid'),
  resourceVersion: fc.constant('7'),
  generation: fc.constantFrom(1, 2),
  annotations: marks(Object.values(annotations)),
  labels: marks(['team', `${group}/role`]),
  deletionTimestamp: fc.constantFrom(undefined, undefined, undefined, '2026-01-01T00:00:00Z'),
});

const object = ({ spec, status }: (typeof schemas)[keyof typeof schemas], wrongTypes: boolean) =>
  fc.record({
    metadata,
    spec: ofSchema(spec, wrongTypes),
    status: fc.option(ofSchema(status, wrongTypes), { nil: undefined }),
  });

const own = {
  apiVersion: `${group}/v1`,
  kind: 'MtlsCertificate',
  name: 'payments',
  uid: 'certificate-uid',
  controller: true,
};
const owners = [[own], [own], [own], [own], [{ ...own, uid: 'another' }], [], undefined];
const leafSecret = certificate().issuedBy(signer).secret('server');
const leafSecrets = fc
  .record({
    data: fc.option(data(Object.values(secretKeys)), { nil: undefined }),
    metadata,
    ownerReferences: fc.constantFrom(...owners),
    type: fc.constantFrom(secretType, secretType, 'Opaque', ''),
    isGood: fc.boolean(),
  })
  .map(({ isGood, metadata: odd, ownerReferences, ...rest }): Secret => {
    const whole = { ...odd, ...(ownerReferences === undefined ? {} : { ownerReferences }) };
    return { ...leafSecret, ...(isGood ? {} : rest), metadata: whole };
  });

/** Adds a valid role when there is none. */
const withRole = ({ spec, ...served }: { readonly spec: unknown }): unknown => ({
  ...served,
  spec: typeof spec === 'object' && spec !== null ? { server: { service: 'payments' }, ...spec } : spec,
});

/** The longest name that the API server accepts for a Secret. */
const longestName = 253;

/** The longest message that the API server accepts in a condition. */
const longestMessage = 32_768;

function assertSayable(conditions: readonly { readonly reason: string; readonly message: string }[]): void {
  for (const { reason, message } of conditions) {
    assert.ok(message.length <= longestMessage, `${message.length} characters in a message`);
    assert.match(reason, /^[A-Za-z]{1,64}$/);
  }
}

for (const wrongTypes of [false, true]) {
  const kind = wrongTypes ? 'of other types' : 'that the schema rejects';

  test(`${numRuns} certificates with values ${kind}, with seed ${seed}, get a plan`, (t) => {
    const counts = { decided: 0, unreadable: 0, issue: 0, update: 0, keep: 0, blocked: 0 };
    const issuances = ofSchema(schemas.MtlsAuthority.spec.properties!['issuance']!, false);
    const cases = fc.record({
      certificate: object(schemas.MtlsCertificate, wrongTypes),
      secret: fc.option(leafSecrets, { nil: undefined }),
      issuance: issuances,
      state: fc.constantFrom('ready', 'ready', 'ready', 'notReady', 'missing'),
      namespaceLabels: fc.option(marks(['team']), { nil: undefined }),
    });
    fc.assert(
      fc.property(cases, ({ certificate: served, secret, issuance, state, namespaceLabels }) => {
        const record = certificateRecord(withRole(served) as Parameters<typeof certificateRecord>[0]);
        secretKeysOf(record);
        missingSecrets(
          record,
          () => false,
          () => undefined,
        );
        if (record.specProblem !== undefined) counts.unreadable += 1;
        const policy = issuancePolicy(issuance as Parameters<typeof issuancePolicy>[0]);
        const authorityStates: Record<string, AuthorityState> = {
          ready: { ...ready(signer), issuance: policy },
          notReady: notReady('RootExpired', 'the root has expired'),
          missing: { state: 'missing' },
        };
        const authority = authorityStates[state] ?? ready(signer);
        const kept = secret === undefined ? undefined : secretRecord(secret, [signer.anchor]);
        const roles = rolesOf(record.spec).map((role) => {
          const secretName = secretNameOf(record.name, record.spec, role);
          const canExist = secretName.length <= longestName;
          return { role, secretName, ...(kept === undefined || !canExist ? {} : { secret: kept }) };
        });
        const labels = namespaceLabels === undefined ? {} : { namespaceLabels };
        const plan = planCertificate({ certificate: record, ...labels, authority, roles, surplus: [] }, now);
        inspect(plan);
        const outcomes = plan.secrets.map(({ role, step }) =>
          step.step === 'blocked' ? { role, problem: step } : { role, ...(step.step === 'keep' ? step : {}) },
        );
        const { status } = planCertificateStatus(record, outcomes, now, [signer.anchor]);
        assertSayable(status.conditions);
        assert.equal(misfit(schemas.MtlsCertificate.status, { ...status, conditions: [] }, 'status'), undefined);
        counts.decided += 1;
        for (const { step } of plan.secrets) {
          counts[step.step] += 1;
          if (step.step !== 'issue') continue;
          // The last check runs at signing. An unusual value that got that far may be rejected there.
          const sign = () => issueLeafNow(step.request.profile, key, signer, { now, serialSeed: randomBytes(20) });
          onlyPkiErrors(sign);
        }
      }),
      { numRuns, seed },
    );
    t.diagnostic(JSON.stringify(counts));
    assert.ok(Math.min(counts.issue, counts.blocked) > numRuns / 20, 'hardly any case gets far');
    assert.ok(counts.update + counts.keep > numRuns / 100, 'hardly any case is up to date');
    assert.equal(counts.unreadable > 0, wrongTypes);
  });

  test(`${numRuns} authorities with values ${kind}, with seed ${seed}, get a plan`, (t) => {
    const counts = { decided: 0, unreadable: 0, ready: 0, rotating: 0 };
    const names = [secretKeys, ...Object.values(rotationKeys)].flatMap(({ certificate: crt, privateKey: pem }) => [
      crt,
      pem,
    ]);
    const rootSecrets = fc
      .record({
        data: data([...names, secretKeys.bundle]),
        metadata,
        from: fc.constantFrom(distributing, switching, draining, undefined),
      })
      .map(({ data: odd, metadata: marked, from }): Secret => {
        const whole = from === undefined ? { data: odd, metadata: marked } : secretOf(from);
        return {
          ...whole,
          metadata: { ...whole.metadata, annotations: { ...marked.annotations, ...whole.metadata.annotations } },
        };
      });
    const cases = fc.record({
      authority: object(schemas.MtlsAuthority, wrongTypes),
      secret: fc.option(rootSecrets, { nil: undefined, freq: 8 }),
      leaves: fc.array(leafSecrets, { maxLength: 2 }),
    });
    fc.assert(
      fc.property(cases, ({ authority: served, secret, leaves }) => {
        const record: AuthorityRecord = authorityRecord(served as Parameters<typeof authorityRecord>[0]);
        if (record.specProblem !== undefined) counts.unreadable += 1;
        const secrets = leaves.map((leaf) => issuedSecret(secretRecord(leaf, [signer.anchor])));
        const observed = {
          authority: record,
          ...(secret === undefined ? {} : { secret: rootSecret(secret, now) }),
          revocation: revocationState(secret),
          requestedRevocations: [],
          certificates: 1,
          rollout: { secrets, publications: [], examinedSecrets: secrets.length, monotonicMs: 1000 },
          leadingSince: now,
        };
        const plan = planAuthority(observed, now);
        const { status } = planAuthorityStatus(observed, plan, now);
        assertSayable(status.conditions);
        assert.equal(misfit(schemas.MtlsAuthority.status, { ...status, conditions: [] }, 'status'), undefined);
        configMapIn(record, { name: 'shop', labels: {}, terminating: false });
        trustCondition(record, { state: 'unknown' }, [], { servesClusterTrustBundles: undefined });
        issuancePolicy(record.spec.issuance);
        counts.decided += 1;
        if (plan.verdict.state === 'ready') counts.ready += 1;
        if (plan.rotation !== undefined) counts.rotating += 1;
      }),
      { numRuns, seed },
    );
    t.diagnostic(JSON.stringify(counts));
    assert.ok(counts.ready > numRuns / 50 && counts.rotating > numRuns / 50, 'hardly any case gets far');
    assert.equal(counts.unreadable > 0, wrongTypes);
  });
}

test('the operator’s annotations that another client changed are parsed as far as they are valid', () => {
  const spoilt = fc.oneof(
    oddText,
    fc.json(),
    fc.jsonValue().map((value) => JSON.stringify({ labels: value, annotations: value, old: value })),
  );
  fc.assert(
    fc.property(spoilt, (text) => {
      parseRotationState(text);
      const { labels, annotations: keys } = templateKeys(text);
      assert.ok([...labels, ...keys].every((name) => typeof name === 'string'));
    }),
    { numRuns, seed },
  );
});
