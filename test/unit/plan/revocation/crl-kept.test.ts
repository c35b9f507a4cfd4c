import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Crl, encodeCrls, type Issuer } from '../../../../src/pki/index.ts';
import { crlBundle } from '../../../../src/plan/revocation/crl-bundle.ts';
import { planCrls } from '../../../../src/plan/revocation/crl-plan.ts';
import { crlRenewalTime } from '../../../../src/plan/revocation/crl-schedule.ts';
import { maxRevocations, shareName } from '../../../../src/plan/revocation/crl-shares.ts';
import { publishedState } from '../../../../src/plan/revocation/published-crls.ts';
import { encodeRevocations, parseRevocations } from '../../../../src/plan/revocation/revocation-record.ts';
import type { CrlContext, Revocation, RevocationState } from '../../../../src/plan/revocation/revocation-state.ts';
import { issuerIdOf, root } from '../../../support/fixtures/roots.ts';
import { days, earlier, hours, later, now } from '../../../support/fixtures/times.ts';
import { issueCrl, type TestIssuer } from '../../../support/sign.ts';

const nothing: RevocationState = { crls: [], revocations: [] };
const [active, former] = [root({ name: 'Active' }), root({ name: 'Former' })];

const revocation = (serialNumber: string, of = active, notAfter = later(days(30))): Revocation => ({
  serialNumber,
  issuer: issuerIdOf(of),
  revokedAt: earlier(hours(1)),
  notAfter,
});

type Circumstances = CrlContext & { readonly requested?: readonly Revocation[]; readonly at?: Date };

/** The state of the root Secret after every plan was carried out. */
function carriedOut(
  state: RevocationState,
  signers: readonly Issuer[],
  { requested = [], at = now, ...context }: Circumstances = {},
  stepsLeft = 2,
): RevocationState {
  const plan = planCrls(state, signers, requested, at, context);
  if (plan === undefined) return state;
  assert.ok(stepsLeft > 0, 'carrying out plans does not converge');
  const crls = plan.crls.map((list) => {
    if ('keep' in list) return list.keep;
    const signer = signers.find((one) => issuerIdOf(one) === list.sign.issuer);
    assert.ok(signer !== undefined);
    return issueCrl(signer, list.sign);
  });
  const after = { crls, ...parseRevocations(encodeRevocations(plan)) };
  return carriedOut(after, signers, { requested, at, ...context }, stepsLeft - 1);
}

const serialsOn = (crls: readonly Crl[]) => crls.map(({ revoked }) => revoked.map(({ serialNumber }) => serialNumber));
const numberOf = ({ crls: [first] }: RevocationState): bigint => first?.number ?? 0n;

describe('known revocations stay', () => {
  const two = carriedOut(nothing, [active], { requested: [revocation('11'), revocation('22')] });

  test('when the root Secret is overwritten without them', () => {
    const after = carriedOut(nothing, [active], { before: two });
    assert.deepEqual(serialsOn(after.crls), [['11', '22']]);
    assert.deepEqual(after.revocations, two.revocations);
    assert.ok(numberOf(after) >= numberOf(two));
  });

  test('when an older backup is restored', () => {
    const backup = carriedOut(nothing, [active], { requested: [revocation('11')], at: earlier(days(1)) });
    const after = carriedOut(backup, [active], { before: two });
    assert.deepEqual(serialsOn(after.crls), [['11', '22']]);
    assert.ok(numberOf(after) >= numberOf(two));
  });

  test('with a growing number when the clock was set back and the CRL was lost', () => {
    const at = earlier(days(2));
    const after = carriedOut(nothing, [active], { before: two, requested: [revocation('33')], at });
    assert.deepEqual(serialsOn(after.crls), [['11', '22', '33']]);
    assert.ok(numberOf(after) > numberOf(two));
  });

  test('on the last CRL of a lost root that was replaced', () => {
    const trusted = [former.certificate, active.certificate];
    const old = carriedOut(nothing, [former], { requested: [revocation('11', former)] });
    const after = carriedOut(nothing, [active], { before: old, trusted });
    assert.deepEqual(serialsOn(after.crls), [[], ['11']]);
    assert.deepEqual(after.crls[1]?.der, old.crls[0]?.der);
  });

  test('when another client added two CRLs of one CA', () => {
    const one = carriedOut(nothing, [active], { requested: [revocation('11')] });
    const other = carriedOut(nothing, [active], { requested: [revocation('22')], at: later(hours(1)) });
    const after = carriedOut({ crls: [...one.crls, ...other.crls], revocations: [] }, [active]);
    assert.deepEqual(serialsOn(after.crls), [['11', '22']]);
  });
});

describe('the CRL of a CA whose key is missing', () => {
  const listOf = (signer: Issuer, until: Date, number = 7n): Crl =>
    issueCrl(signer, { number, thisUpdate: earlier(days(40)), nextUpdate: until, revoked: [] });
  const withList = (crl: Crl): RevocationState => {
    const state = carriedOut(nothing, [active]);
    return { ...state, crls: [...state.crls, crl] };
  };

  test('is kept unchanged at every position in ca.crl', () => {
    const crl = listOf(former, later(days(3)));
    const { crls } = carriedOut({ crls: [crl], revocations: [] }, [active]);
    assert.deepEqual(crls[1]?.der, crl.der);
    const reversed = carriedOut({ ...nothing, crls: crls.toReversed() }, [active]);
    assert.deepEqual(
      reversed.crls.map(({ der }) => der),
      crls.map(({ der }) => der),
    );
  });

  test('is kept after its expiry only while its root is trusted', () => {
    const crl = listOf(former, earlier(days(1)));
    const trusted = [active.certificate, former.certificate];
    assert.deepEqual(carriedOut(withList(crl), [active], { trusted }).crls[1]?.der, crl.der);
    assert.equal(carriedOut(withList(crl), [active], { trusted: [active.certificate] }).crls.length, 1);
  });

  test('is replaced by a later CRL of that CA', () => {
    const [one, next] = [listOf(former, later(days(3))), listOf(former, later(days(3)), 8n)];
    const state = withList(one);
    const { crls } = carriedOut({ ...state, crls: [...state.crls, next] }, [active]);
    assert.deepEqual(
      crls.slice(1).map(({ number }) => number),
      [8n],
    );
  });

  test('does not affect when the signer’s own CRL is renewed', () => {
    const bundle = crlBundle(withList(listOf(former, later(days(3)))), [active]);
    assert.ok(bundle !== undefined);
    assert.deepEqual(crlRenewalTime(bundle), later(days(10)));
  });
});

describe('a published CRL is restored', () => {
  const listed = (of: TestIssuer, serial: string, at = now) =>
    carriedOut(nothing, [of], { requested: [revocation(serial, of)], at }).crls;
  const own = carriedOut(nothing, [active], { requested: [revocation('11')] });
  const newer = listed(active, '22', later(hours(1)));
  const rows: Record<
    string,
    { published: readonly Crl[]; state?: RevocationState; crls: readonly Crl[]; entries: string[] }
  > = {
    'not when the root Secret has it': { published: own.crls, crls: [], entries: [] },
    'not when it is older': { published: listed(active, '33', earlier(hours(1))), crls: [], entries: [] },
    'when it is later, with its entries': { published: newer, crls: newer, entries: ['22'] },
    'when the root Secret has no CRL': { published: own.crls, state: nothing, crls: own.crls, entries: ['11'] },
    'without its entries when it is the CRL of a trusted root whose key is gone': {
      published: listed(former, '44'),
      crls: listed(former, '44'),
      entries: [],
    },
    'not when it is the CRL of an unknown CA': {
      published: listed(root({ name: 'Unknown' }), '55'),
      crls: [],
      entries: [],
    },
    'once, even if it was published several times': { published: [...newer, ...newer], crls: newer, entries: ['22'] },
  };
  for (const [title, { published, state = own, crls, entries }] of Object.entries(rows)) {
    test(title, () => {
      const believed = publishedState(published, state, [active], [active.certificate, former.certificate]);
      assert.deepEqual(serialsOn(believed.crls), serialsOn(crls));
      assert.deepEqual([...new Set(believed.revocations.map(({ serialNumber }) => serialNumber))], entries);
      assert.ok(believed.revocations.every(({ notAfter }) => notAfter === active.certificate.notAfter));
    });
  }
});

describe('an entry', () => {
  test('that cannot be listed because the key of its root is gone is dropped when its certificate has expired', () => {
    const requested = [revocation('11', former, later(days(3)))];
    const remembered = carriedOut(nothing, [active], { requested });
    assert.deepEqual(remembered.revocations, requested);
    assert.deepEqual(carriedOut(remembered, [active], { at: later(days(4)) }).revocations, []);
  });

  test('on a CRL leaves after a CRL was signed after its certificate expired, even if an earlier state held it', () => {
    const before = carriedOut(nothing, [active], { requested: [revocation('11', active, later(days(3)))] });
    const late = later(days(15));
    const after = carriedOut(before, [active], { before, at: late });
    assert.deepEqual(serialsOn(after.crls), [[]]);
    assert.deepEqual(after.revocations, []);
  });

  test('that an administrator wrote into revoked.json gets onto the CRL', () => {
    const rows =
      '["22", "2026-02-01T00:00:00Z", "2026-05-01T00:00:00Z"], ["11", "2026-02-01T00:00:00Z", "2026-05-01T00:00:00Z"]';
    const version1 = `{"${active.certificate.fingerprint}": [${rows}]}`;
    const version2 = `{"version": 2, "issuers": {"${issuerIdOf(active)}": {"revoked": [${rows}]}}}`;
    for (const text of [version1, version2]) {
      const state = { ...carriedOut(nothing, [active]), revocations: parseRevocations(text).revocations };
      assert.deepEqual(serialsOn(carriedOut(state, [active]).crls), [['11', '22']]);
    }
  });
});

test('the largest number of entries fits into a root Secret together with keys and roots', () => {
  // Each entry has another namespace, with the longest name that a record stores.
  const all = Array.from({ length: maxRevocations }, (_, i) => ({
    ...revocation(`7${(i + 1).toString(16).padStart(39, '0')}`),
    namespace: shareName(`${i}-${'n'.repeat(63)}`),
  }));
  const { crls, revocations } = carriedOut({ ...nothing, revocations: all }, [active]);
  assert.equal(revocations.length, maxRevocations);
  const size = encodeCrls(crls).length + encodeRevocations({ revocations, issuers: [active.certificate] }).length;
  // A Secret holds at most one mebibyte.
  assert.ok(size < 896 * 1024, `${size} octets`);
});
