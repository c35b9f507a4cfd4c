import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encoded } from '../../../../src/pki/asn1/der.ts';
import { type Crl, caId, type Issuer, parseCrls, uniqueAnchors } from '../../../../src/pki/index.ts';
import { parseCertificate } from '../../../../src/pki/x509/certificate.ts';
import { crlBundle } from '../../../../src/plan/revocation/crl-bundle.ts';
import { planCrls } from '../../../../src/plan/revocation/crl-plan.ts';
import { parseRevocations } from '../../../../src/plan/revocation/revocation-record.ts';
import type { CrlContext, Revocation, RevocationState } from '../../../../src/plan/revocation/revocation-state.ts';
import { intermediate, issuerIdOf, root, rootIdOf } from '../../../support/fixtures/roots.ts';
import { days, later, now } from '../../../support/fixtures/times.ts';
import { makeCa } from '../../../support/roots/make.ts';
import { crlDataNow, withSigner } from '../../../support/sign.ts';
import { renewedRoot } from '../rotation/rotation-roots.ts';

const anchor = root({ name: 'Anchor' });
const renewed = renewedRoot(anchor, 'Anchor');
const other = root({ name: 'Other' });
const [first, second] = [intermediate(anchor, { name: 'First' }), intermediate(anchor, { name: 'Second' })];
const nothing: RevocationState = { crls: [], revocations: [] };
const anchors = (...signers: readonly Issuer[]) => signers.map((signer) => signer.anchor);
const serialsOn = (crls: readonly Crl[]) => crls.map(({ revoked }) => revoked.map(({ serialNumber }) => serialNumber));

const revocation = (serialNumber: string, signer: Issuer, notAfter = later(days(30))): Revocation => ({
  serialNumber,
  issuer: issuerIdOf(signer),
  revokedAt: now,
  notAfter,
});

/** The state of the root Secret after a plan was carried out, decoded from its bytes. Unchanged without a plan. */
function after(
  state: RevocationState,
  signers: readonly Issuer[],
  {
    requested = [],
    at = now,
    ...context
  }: CrlContext & { readonly requested?: readonly Revocation[]; readonly at?: Date } = {},
): RevocationState {
  const plan = planCrls(state, signers, requested, at, context);
  if (plan === undefined) return state;
  const data = crlDataNow(plan, signers);
  const text = (key: string) => Buffer.from(data[key] ?? '', 'base64').toString('latin1');
  const next = { crls: parseCrls(text('ca.crl')), ...parseRevocations(text('revoked.json')) };
  assert.equal(planCrls(next, signers, requested, at, context), undefined, 'a carried out plan leaves another plan');
  return next;
}

describe('a root that was renewed with the same key', () => {
  const state = after(nothing, [anchor], { requested: [revocation('11', anchor)], trusted: anchors(anchor) });

  test('keeps the CRL of the earlier certificate unchanged', () => {
    assert.equal(issuerIdOf(renewed), issuerIdOf(anchor));
    assert.equal(planCrls(state, [renewed], [], now, { trusted: anchors(renewed) }), undefined);
  });

  test('revokes leaves from before and after the renewal on one CRL', () => {
    const requested = [revocation('22', renewed)];
    const { crls } = after(state, [renewed, anchor], { requested, trusted: anchors(renewed) });
    assert.deepEqual(serialsOn(crls), [['11', '22']]);
    assert.ok((crls[0]?.number ?? 0n) > (state.crls[0]?.number ?? 0n));
  });

  test('and another key identifier gets a CRL with that identifier, which OpenSSL looks up', () => {
    const { subject } = anchor.certificate;
    const made = makeCa({ subject: encoded(subject), key: anchor.key, keyId: Buffer.alloc(20, 7) });
    const certificate = parseCertificate(made.der);
    const again = withSigner({ certificate, key: anchor.key, intermediates: [], anchor: certificate });
    assert.equal(issuerIdOf(again), issuerIdOf(anchor));
    const { crls } = after(state, [again], { trusted: anchors(again) });
    assert.deepEqual(serialsOn(crls), [['11']]);
    assert.equal(crls[0]?.authorityKeyId, '07'.repeat(20));
  });

  test('is one anchor: the certificate that lasts longest', () => {
    assert.equal(rootIdOf(renewed), rootIdOf(anchor));
    for (const several of [anchors(anchor, renewed, other), anchors(renewed, other, anchor)]) {
      const fingerprints = uniqueAnchors(several).map(({ fingerprint }) => fingerprint);
      assert.deepEqual(new Set(fingerprints), new Set(anchors(renewed, other).map(({ fingerprint }) => fingerprint)));
    }
  });

  test('loses the CRL for all of its certificates when it is retired', () => {
    const retired = after(state, [other], { trusted: anchors(other) });
    assert.deepEqual(serialsOn(retired.crls), [[]]);
    assert.deepEqual(retired.revocations, []);
    assert.deepEqual(retired.issuers?.map(caId), [issuerIdOf(other)]);
  });
});

describe('a record of version 1', () => {
  const listed = after(nothing, [first], { requested: [revocation('11', first)], trusted: anchors(first) });
  const version1 = (...serials: readonly string[]) =>
    parseRevocations(
      JSON.stringify({
        [anchor.anchor.fingerprint]: serials.map((serial) => [serial, '2026-02-01T00:00:00Z', '2026-05-01T00:00:00Z']),
      }),
    );

  test('is assigned to the issuer that listed the certificate, although another one signs now', () => {
    const old = { crls: listed.crls, ...version1('11') };
    const { revocations, crls } = after(old, [second, first], { trusted: anchors(second) });
    assert.deepEqual(
      revocations.map(({ issuer }) => issuer),
      [issuerIdOf(first)],
    );
    assert.deepEqual(serialsOn(crls), [[], ['11']]);
  });

  test('is assigned to the signer under the root of the certificate if no CRL lists it', () => {
    const { crls } = after({ crls: [], ...version1('22') }, [second], { trusted: anchors(second) });
    assert.deepEqual(serialsOn(crls), [['22']]);
  });
});

describe('an intermediate that was replaced under the same root', () => {
  const trusted = anchors(anchor);
  const both = after(nothing, [second, first], { requested: [revocation('11', first, later(days(60)))], trusted });

  test('has its own CRL while its key is in the Secret', () => {
    assert.deepEqual(serialsOn(both.crls), [[], ['11']]);
    const { crls } = after(both, [second, first], { requested: [revocation('22', first)], trusted });
    assert.deepEqual(serialsOn(crls), [[], ['11', '22']]);
  });

  test('keeps its last CRL without its key, while it is in use or has an unexpired entry', () => {
    const isInUse = (issuer: string) => issuer === issuerIdOf(first);
    const kept = after(both, [second], { trusted, isInUse });
    assert.deepEqual(serialsOn(kept.crls), [[], ['11']]);
    assert.deepEqual(kept.crls[1]?.der, both.crls[1]?.der);
    const unused = after(kept, [second], { trusted, isInUse: () => false });
    assert.deepEqual(serialsOn(unused.crls), [[], ['11']]);
    const expired = after(unused, [second], { trusted, isInUse: () => false, at: later(days(61)) });
    assert.deepEqual(serialsOn(expired.crls), [[]]);
  });

  test('is reported as a CA whose CRL cannot be renewed, while it is in use', () => {
    const bundle = crlBundle(both, [second], { isInUse: (issuer) => issuer === issuerIdOf(first) });
    assert.deepEqual(bundle?.issuers, [issuerIdOf(second)]);
    assert.deepEqual(
      bundle?.unrenewable.map(({ issuer, nextUpdate }) => [issuer, nextUpdate]),
      [[issuerIdOf(first), both.crls[1]?.nextUpdate]],
    );
    assert.deepEqual(crlBundle(both, [second], { isInUse: () => false })?.unrenewable, []);
    assert.deepEqual(crlBundle(both, [second, first])?.unrenewable, [], 'its key is in the Secret');
  });

  test('is reported with the expiry of the last one of several CRLs', () => {
    const [, early] = both.crls;
    const [, late] = after(both, [second, first], { trusted, at: later(days(10)) }).crls;
    assert.ok(early !== undefined && late !== undefined && late.nextUpdate > early.nextUpdate);
    for (const lists of [
      [early, late],
      [late, early],
    ]) {
      const state = { ...both, crls: [...both.crls.slice(0, 1), ...lists] };
      assert.deepEqual(crlBundle(state, [second])?.unrenewable[0]?.nextUpdate, late.nextUpdate);
    }
  });

  test('never has its certificates on the CRL of another intermediate', () => {
    const { crls, revocations } = after(both, [second], { requested: [revocation('22', first)], trusted });
    assert.deepEqual(serialsOn(crls), [[], ['11']]);
    assert.deepEqual(serialsOn(after({ crls, revocations }, [second, first], { trusted }).crls), [[], ['11', '22']]);
  });
});

describe('the record of a CA whose key is gone', () => {
  const trusted = anchors(anchor);
  const listed = after(nothing, [second, first], { requested: [revocation('11', first, later(days(60)))], trusted });

  test('holds its CRL without entries only while the CA is in use', () => {
    const empty = after(nothing, [second, first], { trusted });
    const lists = (isInUse: boolean) => after(empty, [second], { trusted, isInUse: () => isInUse }).crls.length;
    assert.deepEqual([lists(true), lists(false)], [2, 1]);
  });

  test('holds the CRL of a trusted root that is not in use', () => {
    const both = after(nothing, [anchor, other], { trusted: anchors(anchor, other) });
    const kept = after(both, [anchor], { trusted: anchors(anchor, other), isInUse: () => false });
    assert.equal(kept.crls.length, 2);
  });

  test('holds its certificate as long as it has an entry, even without its CRL', () => {
    const { crls, ...rest } = listed;
    const without = after({ crls: crls.slice(0, 1), ...rest }, [second], { trusted });
    assert.deepEqual(without.issuers?.map(caId).sort(), [first, second].map(issuerIdOf).sort());
    const expired = after(without, [second], { trusted, at: later(days(61)) });
    assert.deepEqual(expired.issuers?.map(caId), [issuerIdOf(second)]);
  });

  test('holds its entries while the trusted roots are unknown', () => {
    const { crls, ...rest } = listed;
    const { revocations } = after({ crls: crls.slice(0, 1), ...rest }, [second]);
    assert.deepEqual(
      revocations.map(({ serialNumber }) => serialNumber),
      ['11'],
    );
  });

  test('is removed for CAs that signed each other but do not chain to a trusted root', () => {
    const [a, b] = [makeCa({ name: 'A' }), makeCa({ name: 'B' })];
    const signedBy = (ca: typeof a, by: typeof a) =>
      parseCertificate(makeCa({ subject: encoded(ca.subject), key: ca.key, keyId: ca.keyId, by }).der);
    const loop = [signedBy(a, b), signedBy(b, a)] as const;
    const entry = { ...revocation('11', first), issuer: caId(loop[0]) };
    const state = { ...nothing, revocations: [entry], issuers: loop };
    assert.deepEqual(after(state, [anchor], { trusted }).revocations, []);
  });
});

test('an entry stays with the issuer in its record, even if another CRL has the same serial number', () => {
  const trusted = anchors(anchor);
  const ofFirst = after(nothing, [first], { requested: [revocation('11', first)], trusted });
  const record = { revocations: [revocation('11', second)], issuers: [first.certificate, second.certificate] };
  const { crls } = after({ crls: ofFirst.crls, ...record }, [second, first], { trusted });
  assert.deepEqual(serialsOn(crls)[0], ['11']);
});

test('a certificate whose issuer is not trusted is not listed', () => {
  const context = { trusted: anchors(anchor) };
  const state = after(nothing, [anchor], context);
  for (const issuer of [issuerIdOf(other), other.anchor.fingerprint]) {
    assert.equal(planCrls(state, [anchor], [{ ...revocation('11', other), issuer }], now, context), undefined);
  }
});
