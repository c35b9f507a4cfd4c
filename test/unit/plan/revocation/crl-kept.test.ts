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

/** What the root Secret says once everything is carried out; the same when there is nothing to be done. */
function carriedOut(
  state: RevocationState,
  signers: readonly Issuer[],
  { requested = [], at = now, ...context }: Circumstances = {},
  stepsLeft = 2,
): RevocationState {
  const plan = planCrls(state, signers, requested, at, context);
  if (plan === undefined) return state;
  assert.ok(stepsLeft > 0, 'plans that are carried out leave others without end');
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

describe('revocations that were there stay', () => {
  const two = carriedOut(nothing, [active], { requested: [revocation('11'), revocation('22')] });

  test('when the root Secret is written over without them', () => {
    const after = carriedOut(nothing, [active], { before: two });
    assert.deepEqual(serialsOn(after.crls), [['11', '22']]);
    assert.deepEqual(after.revocations, two.revocations);
    assert.ok(numberOf(after) >= numberOf(two));
  });

  test('when a backup from before the last of them is put back', () => {
    const backup = carriedOut(nothing, [active], { requested: [revocation('11')], at: earlier(days(1)) });
    const after = carriedOut(backup, [active], { before: two });
    assert.deepEqual(serialsOn(after.crls), [['11', '22']]);
    assert.ok(numberOf(after) >= numberOf(two));
  });

  test('with a number that grows, when the clock was set back and the list is lost', () => {
    const at = earlier(days(2));
    const after = carriedOut(nothing, [active], { before: two, requested: [revocation('33')], at });
    assert.deepEqual(serialsOn(after.crls), [['11', '22', '33']]);
    assert.ok(numberOf(after) > numberOf(two));
  });

  test('when another root was made in place of a lost one, on the last list of the old one', () => {
    const trusted = [former.certificate, active.certificate];
    const old = carriedOut(nothing, [former], { requested: [revocation('11', former)] });
    const after = carriedOut(nothing, [active], { before: old, trusted });
    assert.deepEqual(serialsOn(after.crls), [[], ['11']]);
    assert.deepEqual(after.crls[1]?.der, old.crls[0]?.der);
  });

  test('on two lists that somebody has put there of one CA', () => {
    const one = carriedOut(nothing, [active], { requested: [revocation('11')] });
    const other = carriedOut(nothing, [active], { requested: [revocation('22')], at: later(hours(1)) });
    const after = carriedOut({ crls: [...one.crls, ...other.crls], revocations: [] }, [active]);
    assert.deepEqual(serialsOn(after.crls), [['11', '22']]);
  });
});

describe('the list of a CA whose key is not here', () => {
  const listOf = (signer: Issuer, until: Date, number = 7n): Crl =>
    issueCrl(signer, { number, thisUpdate: earlier(days(40)), nextUpdate: until, revoked: [] });
  const withList = (crl: Crl): RevocationState => {
    const state = carriedOut(nothing, [active]);
    return { ...state, crls: [...state.crls, crl] };
  };

  test('is kept as it is, wherever in ca.crl it was put', () => {
    const crl = listOf(former, later(days(3)));
    const { crls } = carriedOut({ crls: [crl], revocations: [] }, [active]);
    assert.deepEqual(crls[1]?.der, crl.der);
    const reversed = carriedOut({ ...nothing, crls: crls.toReversed() }, [active]);
    assert.deepEqual(
      reversed.crls.map(({ der }) => der),
      crls.map(({ der }) => der),
    );
  });

  test('is kept after its end while its root is trusted, and no longer', () => {
    const crl = listOf(former, earlier(days(1)));
    const trusted = [active.certificate, former.certificate];
    assert.deepEqual(carriedOut(withList(crl), [active], { trusted }).crls[1]?.der, crl.der);
    assert.equal(carriedOut(withList(crl), [active], { trusted: [active.certificate] }).crls.length, 1);
  });

  test('gives way to a later one of that CA', () => {
    const [one, next] = [listOf(former, later(days(3))), listOf(former, later(days(3)), 8n)];
    const state = withList(one);
    const { crls } = carriedOut({ ...state, crls: [...state.crls, next] }, [active]);
    assert.deepEqual(
      crls.slice(1).map(({ number }) => number),
      [8n],
    );
  });

  test('has no say in when our own is signed anew', () => {
    const bundle = crlBundle(withList(listOf(former, later(days(3)))), [active]);
    assert.ok(bundle !== undefined);
    assert.deepEqual(crlRenewalTime(bundle), later(days(10)));
  });
});

describe('what was published is believed', () => {
  const listed = (of: TestIssuer, serial: string, at = now) =>
    carriedOut(nothing, [of], { requested: [revocation(serial, of)], at }).crls;
  const own = carriedOut(nothing, [active], { requested: [revocation('11')] });
  const newer = listed(active, '22', later(hours(1)));
  const rows: Record<
    string,
    { published: readonly Crl[]; state?: RevocationState; crls: readonly Crl[]; entries: string[] }
  > = {
    'not where it is what the root Secret has': { published: own.crls, crls: [], entries: [] },
    'not where it is older': { published: listed(active, '33', earlier(hours(1))), crls: [], entries: [] },
    'where it is later, with its entries': { published: newer, crls: newer, entries: ['22'] },
    'where the root Secret has no list': { published: own.crls, state: nothing, crls: own.crls, entries: ['11'] },
    'as the list of a trusted root whose key is gone, whose entries nobody can list': {
      published: listed(former, '44'),
      crls: listed(former, '44'),
      entries: [],
    },
    'not as the list of an unknown CA': { published: listed(root({ name: 'Unknown' }), '55'), crls: [], entries: [] },
    'once, however often it is there': { published: [...newer, ...newer], crls: newer, entries: ['22'] },
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
  test('that nobody can list, since the key of its root is gone, is forgotten when its certificate has expired', () => {
    const requested = [revocation('11', former, later(days(3)))];
    const remembered = carriedOut(nothing, [active], { requested });
    assert.deepEqual(remembered.revocations, requested);
    assert.deepEqual(carriedOut(remembered, [active], { at: later(days(4)) }).revocations, []);
  });

  test('that is on a list leaves once a list was signed after its certificate had expired, whatever was seen before', () => {
    const before = carriedOut(nothing, [active], { requested: [revocation('11', active, later(days(3)))] });
    const late = later(days(15));
    const after = carriedOut(before, [active], { before, at: late });
    assert.deepEqual(serialsOn(after.crls), [[]]);
    assert.deepEqual(after.revocations, []);
  });

  test('that a person has written into revoked.json goes onto the list', () => {
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

test('as many as there may be fit into a root Secret, beside keys and roots', () => {
  // Every one of another namespace, with the longest name that a record remembers.
  const all = Array.from({ length: maxRevocations }, (_, i) => ({
    ...revocation(`7${(i + 1).toString(16).padStart(39, '0')}`),
    namespace: shareName(`${i}-${'n'.repeat(63)}`),
  }));
  const { crls, revocations } = carriedOut({ ...nothing, revocations: all }, [active]);
  assert.equal(revocations.length, maxRevocations);
  const size = encodeCrls(crls).length + encodeRevocations({ revocations, issuers: [active.certificate] }).length;
  // A Secret has a mebibyte.
  assert.ok(size < 896 * 1024, `${size} octets`);
});
