import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import { annotations, labels, secretKeys } from '../../../src/api/constants.ts';
import type { MtlsCertificateSpec } from '../../../src/api/types.ts';
import type { Secret } from '../../../src/kube/index.ts';
import {
  commonValidity,
  encodePrivateKey,
  type Issuer,
  type LeafIssuer,
  pathOf,
  trustBundle,
} from '../../../src/pki/index.ts';
import { rolesOf, secretNameOf } from '../../../src/plan/index.ts';
import { certificate } from '../../support/fixtures/certificate.ts';
import { encodedRoot, intermediate, privateKey, root } from '../../support/fixtures/roots.ts';
import { foreign, orphaned, withData, withMarks, withMetadata } from '../../support/fixtures/secret.ts';
import { days, later, minutes, now } from '../../support/fixtures/times.ts';
import * as fc from '../../support/properties.ts';
import type { TestIssuer } from '../../support/sign.ts';
import { Simulation } from './simulation.ts';

const old = root({ name: 'Old' });
const roots = {
  old,
  issuing: intermediate(old),
  endingSoon: intermediate(intermediate(old), { name: 'Ending Soon', durationMs: days(50) }),
  ending: root({ name: 'Ending', at: later(-days(300)), durationMs: days(320) }),
  endingAbove: intermediate(root({ name: 'Ending Above', at: later(-days(300)), durationMs: days(320) })),
  young: root({ name: 'Young', at: later(minutes(4)) }),
};
const signerOf = (active: Issuer, ...others: readonly Issuer[]): LeafIssuer => ({
  root: active,
  bundle: trustBundle(
    active.anchor,
    others.map((other) => other.anchor),
  ),
});

const anyRoot = fc.constantFrom(...Object.values(roots));
const signers = fc
  .tuple(anyRoot, fc.subarray(Object.values(roots)))
  .map(([active, others]) => signerOf(active, ...others));

const keys: fc.Arbitrary<MtlsCertificateSpec['privateKey']> = fc.record({
  algorithm: fc.constantFrom('ECDSA', 'Ed25519'),
  encoding: fc.constant('PKCS8'),
  rotationPolicy: fc.constantFrom('Always', 'Never'),
});
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const templates = fc.record({
  labels: fc.dictionary(fc.constantFrom('team', 'constructor', 'a.b/c'), fc.constantFrom('x', 'y'), { maxKeys: 2 }),
  annotations: fc.dictionary(fc.constantFrom('note', 'd.e/f'), fc.constantFrom('x', ''), { maxKeys: 2 }),
});
const services = fc.constantFrom('a', 'b');
const renewals = fc.constantFrom<Partial<MtlsCertificateSpec>>(
  {},
  { renewBefore: '4m59s' },
  { renewBefore: '720h' },
  { renewBeforePercentage: 1 },
  { renewBeforePercentage: 99 },
);

const without = <T extends object>(record: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as never;

const specs: fc.Arbitrary<Partial<MtlsCertificateSpec>> = fc
  .record({
    server: optional(services.map((service) => ({ service }))),
    client: optional(services.map((serviceAccount) => ({ serviceAccount, secretName: `own-${serviceAccount}` }))),
    peer: services.map((service) => ({ service, commonName: `${service}.shop` })),
    duration: fc.constantFrom('5m', '300500ms', '1h', '2160h', '87600h'),
    privateKey: keys,
    secretTemplate: optional(templates),
    renewal: renewals,
  })
  .map(({ renewal, ...spec }) => ({ ...without(spec), ...renewal }));

const otherKey = encodePrivateKey(privateKey(), 'PKCS8');
const tamperings: fc.Arbitrary<(secret: Secret) => Secret> = fc.constantFrom(
  (secret: Secret) => secret,
  withData({ [secretKeys.certificate]: '' }),
  withData({ [secretKeys.certificate]: undefined }),
  withData({ [secretKeys.privateKey]: otherKey }),
  withData({ [secretKeys.privateKey]: 'garbage' }),
  withData({ [secretKeys.bundle]: encodedRoot(root()).crt }),
  withData({ [secretKeys.bundle]: undefined, 'more.txt': 'x' }),
  (secret: Secret) => ({ ...secret, data: {} }),
  (secret: Secret) => ({ ...secret, type: 'Opaque' }),
  (secret: Secret) => ({ ...secret, immutable: true }),
  withMarks('labels', { [labels.role]: undefined, [labels.certificate]: 'x', theirs: 'x' }),
  withMarks('annotations', { [annotations.revision]: '-1', theirs: 'x' }),
  withMarks('annotations', { [annotations.template]: '{"labels":["team","gone"],"annotations":["note"]}' }),
  withMarks('annotations', { [annotations.template]: '[' }),
  withMarks('annotations', { [annotations.rotate]: 'x' }),
  withMetadata(() => ({ labels: {}, annotations: {} })),
);
/** True for a Secret without an owner that was not handed over to this role of the resource. */
const isNotOurs = (secret: Secret | undefined, role: string): boolean => {
  const { name, ownerReferences, labels: all, annotations: notes } = secret?.metadata ?? {};
  const isHandedOver =
    notes?.[annotations.secretName] === name &&
    all?.[labels.managedBy] === 'mtls-operator' &&
    all[labels.certificate] === 'payments' &&
    all[labels.role] === role;
  return ownerReferences?.length === 0 && !isHandedOver;
};

/**
 * A resource whose Secrets were issued for an earlier spec, by any root at any time, and changed by another client
 * since.
 */
const worlds = fc
  .record({
    spec: specs,
    earlierSpec: specs,
    wasEarlier: fc.boolean(),
    issuer: anyRoot,
    issuedAgo: fc.constantFrom(0, minutes(1), minutes(6), days(1), days(200)),
    isThere: fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }),
    changes: fc.array(fc.array(tamperings, { maxLength: 2 }), { minLength: 3, maxLength: 3 }),
    isForeign: fc.array(fc.nat({ max: 9 }), { minLength: 3, maxLength: 3 }),
    token: optional(fc.constantFrom('a', 'b')),
    handled: optional(fc.constantFrom('a', 'b')),
  })
  .map(({ spec, earlierSpec, wasEarlier, issuer, issuedAgo, isThere, changes, isForeign, token, handled }) => {
    const { server: _, ...base } = certificate().record.spec;
    const resource = (wanted: Partial<MtlsCertificateSpec>) => certificate().with({ spec: { ...base, ...wanted } });
    const earlier = resource(wasEarlier ? earlierSpec : spec);
    const { notBefore } = issuer.certificate;
    const at = new Date(Math.max(now.getTime() - issuedAgo, notBefore.getTime()));
    const written = earlier.issuedBy(issuer, at);
    const secrets = rolesOf(earlier.record.spec).flatMap((role, i) => {
      if (isThere[i] !== true) return [];
      const all = [...(changes[i] ?? []), ...(isForeign[i] === 0 ? [foreign] : isForeign[i] === 1 ? [orphaned] : [])];
      return [all.reduce((secret, change) => change(secret), written.secret(role))];
    });
    const asked = token === undefined ? resource(spec) : resource(spec).rotating(token);
    const { record } = handled === undefined ? asked : asked.remembering({ lastHandledRotate: handled });
    return new Simulation(record, secrets);
  });

/** A time at which the signer and all CAs above it are valid. */
const momentFor = (signer: LeafIssuer, share: number): Date => {
  const { notBefore, notAfter } = commonValidity(pathOf(signer.root));
  const from = Math.max(now.getTime(), notBefore.getTime());
  return new Date(from + Math.floor((notAfter.getTime() - 1 - from) * share ** 4));
};

/** Checks with node:crypto alone that key, leaf, bundle and root belong together. */
function assertSound(secret: Secret, signer: LeafIssuer): void {
  const text = (key: string): string => Buffer.from(secret.data?.[key] ?? '', 'base64').toString();
  const [leaf, ...intermediates] = certificatesIn(text(secretKeys.certificate));
  const anchors = certificatesIn(text(secretKeys.bundle));
  assert.ok(leaf !== undefined && !leaf.ca);
  const trusted = signer.bundle.roots.map(({ fingerprint }) => fingerprint);
  assert.deepEqual(
    anchors.map(({ fingerprint256 }) => fingerprint256.replaceAll(':', '').toLowerCase()),
    trusted,
  );
  const last = intermediates.at(-1) ?? leaf;
  const anchor = anchors.find((other) => isIssuedBy(last, other));
  assert.ok(anchor !== undefined, 'no root of the bundle verifies the leaf');
  let below = leaf;
  for (const ca of [...intermediates, anchor]) {
    assert.ok(ca.ca && isIssuedBy(below, ca), 'the chain is broken');
    assert.ok(leaf.validToDate <= ca.validToDate, 'the leaf outlives a CA above it');
    assert.ok(leaf.validFromDate >= ca.validFromDate, 'the leaf is older than a CA above it');
    below = ca;
  }
}

const certificatesIn = (pem: string): X509Certificate[] =>
  (pem.match(/-----BEGIN[^-]*-----[^-]*-----END[^-]*-----\n/g) ?? []).map((one) => new X509Certificate(one));

const isIssuedBy = (certificate: X509Certificate, issuer: X509Certificate): boolean =>
  certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);

describe('a plan that is carried out', () => {
  test('leaves no further step in every state of the Secrets; its leaves verify and outlive no CA above them', () => {
    const shares = fc.nat({ max: 1_000_000 }).map((part) => part / 1_000_000);
    fc.assert(
      fc.property(worlds, signers, shares, (world, signer, share) => {
        const at = momentFor(signer, share);
        const before = new Map(world.secrets);
        world.reconcile(signer, at);
        const issuedOnce = world.issued.length;

        const { secrets, prune } = world.plan(signer, at);
        for (const { role, step } of secrets) {
          if (isNotOurs(before.get(role.secretName), role.role)) {
            assert.equal(step.step, 'blocked');
            assert.equal(
              world.secrets.get(role.secretName),
              before.get(role.secretName),
              'a Secret without a step was written',
            );
            continue;
          }
          assert.deepEqual(step, { step: 'keep' }, role.role);
          const secret = world.secrets.get(role.secretName);
          assert.ok(secret !== undefined);
          assertSound(secret, signer);
        }
        const someBlocked = secrets.some(({ step }) => step.step === 'blocked');
        if (!someBlocked) assert.deepEqual(prune, []);

        const status = world.record.status;
        world.reconcile(signer, at);
        assert.equal(world.issued.length, issuedOnce);
        assert.deepEqual(world.record.status, status, 'the status does not settle');
      }),
      { numRuns: 400 },
    );
  });

  // If this fails, a certificate is not renewed, or a root rotation waits until an unrelated event.
  test('leaves no step that is due before the requeue time', () => {
    const reissues = fc.record({
      id: fc.constantFrom('r1', 'r2', 'r3'),
      since: fc.constantFrom(-days(1), -minutes(1), 0).map(later),
      windowMs: fc.constantFrom(80, minutes(2), days(3)),
      resumedAt: fc.constantFrom(-days(2), 0).map(later),
    });
    const shares = fc.nat({ max: 1_000_000 }).map((part) => part / 1_000_000);
    let turns = 0;
    fc.assert(
      fc.property(worlds, signers, optional(reissues), shares, (world, signer, reissue, share) => {
        const at = momentFor(signer, 0);
        if (reissue !== undefined) world.under = { reissue };
        world.reconcile(signer, at);
        const end = world.requeueAt ?? commonValidity(pathOf(signer.root)).notAfter;
        if (end < later(days(3))) turns += 1;
        const waitMs = end.getTime() - 1 - at.getTime();
        for (const moment of [Math.floor(waitMs * share), waitMs]) {
          const { secrets } = world.plan(signer, new Date(at.getTime() + moment));
          for (const { role, step } of secrets) {
            assert.ok(step.step === 'keep' || step.step === 'blocked', `${role.role}: ${step.step} after ${moment} ms`);
          }
        }
      }),
      { numRuns: 120 },
    );
    assert.ok(turns > 12, `only ${turns} resources were due soon, so the property tests too little`);
  });

  test('keeps data, labels and annotations of other clients', () => {
    fc.assert(
      fc.property(worlds, signers, (world, signer) => {
        const theirs = (secret: Secret | undefined) => [
          secret?.metadata.labels?.['theirs'],
          secret?.metadata.annotations?.['theirs'],
          secret?.data?.['more.txt'],
        ];
        const { spec, name } = world.record;
        const wanted = rolesOf(spec).map((role) => secretNameOf(name, spec, role));
        // A Secret of another type is replaced, so its other content is lost.
        const kept = wanted.filter((one) => {
          const secret = world.secrets.get(one);
          return secret?.type === 'kubernetes.io/tls' && secret.immutable !== true;
        });
        const before = kept.map((one) => theirs(world.secrets.get(one)));
        world.reconcile(signer, momentFor(signer, 0));
        assert.deepEqual(
          kept.map((one) => theirs(world.secrets.get(one))),
          before,
        );
      }),
      { numRuns: 200 },
    );
  });

  test('reaches the same result after a crash before any of its writes', () => {
    fc.assert(
      fc.property(worlds, signers, fc.nat({ max: 4 }), (world, signer, writes) => {
        const at = momentFor(signer, 0);
        world.reconcile(signer, at, writes);
        world.reconcile(signer, at);
        const roles = rolesOf(world.record.spec);
        assert.ok(roles.every((role) => world.issued.filter((one) => one.role === role).length <= 1));
        assert.ok(world.plan(signer, at).secrets.every(({ step }) => step.step === 'keep' || step.step === 'blocked'));
      }),
      { numRuns: 200 },
    );
  });
});

describe('renewals under CAs of which any may expire first', () => {
  /** A root and up to two intermediates below it, each with its own expiry. */
  const chains = fc
    .array(fc.record({ endsInDays: fc.constantFrom(1, 9, 40, 400), isYoung: fc.boolean() }), {
      minLength: 1,
      maxLength: 3,
    })
    .map(([top, ...below]) => {
      const lasting = ({ endsInDays = 1, isYoung = false } = {}) => {
        // A young CA starts later than the backdated start of a leaf that is issued now.
        const at = later(isYoung ? minutes(4) : -days(30));
        return { at, durationMs: later(days(endsInDays)).getTime() - at.getTime() };
      };
      return below.reduce<TestIssuer>((above, one) => intermediate(above, lasting(one)), root(lasting(top)));
    });
  const lives = fc.record({
    chain: chains,
    duration: fc.constantFrom('5m', '26h', '720h', '2160h', '87600h'),
    renewal: renewals,
    rotationPolicy: fc.constantFrom('Always' as const, 'Never' as const),
    pauses: fc.array(fc.nat({ max: 1_000_000 }), { minLength: 1, maxLength: 5 }),
  });

  test('each last longer than the one before, and the last one lasts until a CA expires', () => {
    const counts = { renewals: 0, cut: 0, rootEndsFirst: 0 };
    fc.assert(
      fc.property(lives, ({ chain, duration, renewal, rotationPolicy, pauses }) => {
        const signer = signerOf(chain);
        const path = pathOf(chain);
        const end = commonValidity(path).notAfter;
        const { record } = certificate().asking({
          duration,
          privateKey: { algorithm: 'ECDSA', encoding: 'PKCS8', rotationPolicy },
          ...renewal,
        });
        const world = new Simulation(record, []);
        let at = now;
        let last = now;
        // Each renewal comes in time, or late after a pause of the operator.
        for (let turn = 0; turn < 15 && at < end; turn += 1) {
          const issuedBefore = world.issued.length;
          world.reconcile(signer, at);
          const [entry] = world.record.status.secrets ?? [];
          assert.ok(entry !== undefined);
          const notAfter = new Date(entry.notAfter);
          const { secrets } = world.plan(signer, at);
          assert.deepEqual(
            secrets.map(({ step }) => step),
            [{ step: 'keep' }],
            'a further step is planned',
          );
          for (const secret of world.secrets.values()) assertSound(secret, signer);
          const isRenewed = world.issued.length > issuedBefore;
          if (isRenewed) assert.ok(notAfter > last, `renewed from ${last.toISOString()} to ${entry.notAfter}`);
          if (notAfter < end) assert.ok(notAfter > at, 'the certificate has expired before its CAs');
          if (isRenewed && turn > 0) counts.renewals += 1;
          if (isRenewed && notAfter.getTime() === end.getTime()) counts.cut += 1;
          last = notAfter;
          const due = Math.max(new Date(entry.renewalTime).getTime(), at.getTime());
          const late = ((pauses[turn % pauses.length] ?? 0) / 1_000_000) ** 4 * (end.getTime() - due);
          at = new Date(Math.max(Math.floor(due + late), at.getTime() + 1000));
        }
        // The remaining time is too short for another certificate.
        for (const beforeEndMs of [60_000, 2000, 1000, 1]) {
          const lastMoment = new Date(Math.max(end.getTime() - beforeEndMs, at.getTime()));
          if (lastMoment >= end) continue;
          world.reconcile(signer, lastMoment);
          const issued = world.issued.length;
          world.reconcile(signer, lastMoment);
          assert.equal(world.issued.length, issued, 'renewal loops');
        }
        if (path.length > 1 && path.at(-1)?.notAfter === end) counts.rootEndsFirst += 1;
      }),
      { numRuns: 50, seed: 19 },
    );
    assert.ok(
      Object.values(counts).every((count) => count > 10),
      `too few cases: ${JSON.stringify(counts)}`,
    );
  });
});

describe('a token', () => {
  type Event =
    | { readonly kind: 'token'; readonly value: string }
    | { readonly kind: 'reconcile'; readonly writes: number }
    | { readonly kind: 'noteLost' | 'secretLost'; readonly role: number };

  const events: fc.Arbitrary<Event> = fc.oneof(
    fc.constantFrom('a', 'b', 'c', 'd').map((value) => ({ kind: 'token' as const, value })),
    // The process is killed before its first write, between its writes, before the status, or not at all.
    fc.constantFrom(0, 1, 2, 9, 9).map((writes) => ({ kind: 'reconcile' as const, writes })),
    fc.constantFrom(0, 1).map((role) => ({ kind: 'noteLost' as const, role })),
    fc.constantFrom(0, 1).map((role) => ({ kind: 'secretLost' as const, role })),
  );

  test('acts exactly once on every Secret, despite crashes, lost annotations and lost Secrets', () => {
    const signer = signerOf(roots.old);
    let rotations = 0;
    fc.assert(
      fc.property(fc.array(events, { maxLength: 25 }), (history) => {
        const fixture = certificate()
          .asking({ client: { serviceAccount: 'a' } })
          .issuedBy(roots.old);
        const names = ['payments-server-tls', 'payments-client-tls'];
        const world = new Simulation(fixture.record, [fixture.secret('server'), fixture.secret('client')]);
        const serialOf = (name: string) => world.secrets.get(name)?.data?.[secretKeys.certificate];
        /** For the current token: the Secrets when it was set, and the number of certificates issued before it. */
        let asked: { token: string; serials: unknown[]; issuedBefore: number } | undefined;
        const used = new Set<string>();

        const assertOnce = () => {
          const since = world.issued
            .slice(asked?.issuedBefore ?? 0)
            .filter(({ reason }) => reason === 'RotationRequested');
          for (const role of ['server', 'client']) {
            assert.ok(since.filter((one) => one.role === role).length <= (asked === undefined ? 0 : 1));
          }
        };
        for (const event of history) {
          if (event.kind === 'token') {
            // The same value again is not a new request. A value from long ago is not used.
            if (used.has(event.value)) continue;
            used.add(event.value);
            asked = { token: event.value, serials: names.map(serialOf), issuedBefore: world.issued.length };
            world.record = { ...world.record, rotateToken: event.value };
          } else if (event.kind === 'reconcile') {
            world.reconcile(signer, now, event.writes);
          } else {
            const name = names[event.role] ?? '';
            const secret = world.secrets.get(name);
            if (secret === undefined) continue;
            const isHandled = world.record.status.lastHandledRotate === world.record.rotateToken;
            if (event.kind === 'secretLost') world.secrets.delete(name);
            // Until status records the rotation, only the annotation on the Secret does.
            else if (isHandled)
              world.secrets.set(name, withMarks('annotations', { [annotations.rotate]: undefined })(secret));
          }
          assertOnce();
        }
        world.reconcile(signer, now);
        assertOnce();
        if (asked === undefined) return;
        rotations += 1;
        assert.equal(world.record.status.lastHandledRotate, asked.token);
        for (const [i, name] of names.entries()) {
          assert.notEqual(serialOf(name), asked.serials[i], 'the token was not acted on');
          assert.equal(world.secrets.get(name)?.metadata.annotations?.[annotations.rotate], asked.token);
        }
      }),
      { numRuns: 300 },
    );
    assert.ok(rotations > 50, 'hardly any history had a token, so the property tests too little');
  });
});
