import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { annotations, secretKeys } from '../../../../src/api/constants.ts';
import { secretRecord } from '../../../../src/controllers/objects/leaf-secret.ts';
import { type Crl, type Issuer, isCrlOf, parseCrls } from '../../../../src/pki/index.ts';
import {
  encodeRevocations,
  leavesToRevoke,
  parseRevocations,
  planCrls,
  type Revocation,
  type RevocationState,
} from '../../../../src/plan/index.ts';
import { crlBundle } from '../../../../src/plan/revocation/crl-bundle.ts';
import { crlRenewalTime } from '../../../../src/plan/revocation/crl-schedule.ts';
import { maxRevocations } from '../../../../src/plan/revocation/crl-shares.ts';
import { issuerIdOf, root } from '../../../support/fixtures/roots.ts';
import { foreign, withData, withMarks } from '../../../support/fixtures/secret.ts';
import { days, earlier, hours, later, minutes, now } from '../../../support/fixtures/times.ts';
import { crlDataNow, issueCrl } from '../../../support/sign.ts';
import { authority, issued, signer } from '../certificate/certificate-table.ts';

const nothing: RevocationState = { crls: [], revocations: [] };
const other = root({ name: 'Other' });
const third = root({ name: 'Third' });

const serial = (n: number): string => `4${n.toString(16).padStart(39, '0')}`;
const revocation = (n: number, more: Partial<Revocation> = {}): Revocation => ({
  serialNumber: serial(n),
  issuer: issuerIdOf(signer),
  revokedAt: now,
  notAfter: later(days(30)),
  ...more,
});

/** The state of the root Secret after a plan was carried out, decoded from its bytes. Unchanged without a plan. */
function after(
  state: RevocationState,
  signers: readonly Issuer[],
  requested: readonly Revocation[] = [],
  at = now,
): RevocationState {
  const plan = planCrls(state, signers, requested, at);
  if (plan === undefined) return state;
  const data = crlDataNow(plan, signers);
  const text = (key: string) => Buffer.from(data[key] ?? '', 'base64').toString('latin1');
  return { crls: parseCrls(text('ca.crl')), ...parseRevocations(text('revoked.json')) };
}

const serialsOf = ({ crls }: RevocationState) => crls.map(({ revoked }) => revoked.map((entry) => entry.serialNumber));
const numbersOf = ({ crls }: RevocationState) => crls.map(({ number }) => number);

describe('the CRLs of an authority', () => {
  const fresh = after(nothing, [signer]);

  test('exist and are empty before the first revocation', () => {
    assert.deepEqual(serialsOf(fresh), [[]]);
    const [crl] = fresh.crls;
    assert.deepEqual(crl?.thisUpdate, earlier(minutes(5)));
    assert.deepEqual(crl?.nextUpdate, later(days(30)));
  });

  test('are kept when nothing has changed', () => {
    const state = after(nothing, [signer, other], [revocation(1)]);
    for (const at of [now, later(days(9))]) assert.equal(planCrls(state, [signer, other], [], at), undefined);
    assert.equal(planCrls(state, [signer, other], [revocation(1, { revokedAt: later(1000) })], now), undefined);
  });

  test('start with the CRL of the active signer', () => {
    const state = after(nothing, [signer, other], [revocation(1)]);
    assert.deepEqual(serialsOf(after(state, [other, signer])), [[], [serial(1)]]);
  });

  test('list each requested certificate once, with its first date', () => {
    const first = after(fresh, [signer], [revocation(2), revocation(1), revocation(2)]);
    assert.deepEqual(serialsOf(first), [[serial(1), serial(2)]]);
    const second = after(first, [signer], [revocation(3), revocation(1, { revokedAt: later(hours(1)) })], later(1000));
    assert.deepEqual(serialsOf(second), [[serial(1), serial(2), serial(3)]]);
    assert.deepEqual(second.crls[0]?.revoked[0]?.revokedAt, now);
  });

  test('have growing numbers when the last CRL is lost and when the clock was set back', () => {
    const first = after(nothing, [signer], [], now);
    const second = after(first, [signer], [revocation(1)], earlier(days(3)));
    const third = after(second, [signer], [revocation(2)], earlier(days(3)));
    const lost = after(nothing, [signer], [revocation(1)], later(minutes(1)));
    const all = [first, second, third, lost].flatMap(numbersOf);
    assert.deepEqual(
      all,
      all.toSorted((a, b) => (a < b ? -1 : 1)),
    );
    assert.equal(new Set(all).size, 4);
  });

  test('are renewed with their entries twenty days before they expire', () => {
    const state = after(nothing, [signer], [revocation(1)]);
    assert.equal(planCrls(state, [signer], [], later(days(10) - 1000)), undefined);
    const renewed = after(state, [signer], [], later(days(10)));
    assert.deepEqual(serialsOf(renewed), [[serial(1)]]);
    assert.deepEqual(renewed.crls[0]?.nextUpdate, later(days(40)));
    assert.ok((numbersOf(renewed)[0] ?? 0n) > (numbersOf(state)[0] ?? 0n));
  });

  test('are one for each signer, with the leaves that it issued', () => {
    const state = after(
      nothing,
      [signer, other, signer],
      [revocation(1), revocation(2, { issuer: issuerIdOf(other) })],
    );
    assert.deepEqual(serialsOf(state), [[serial(1)], [serial(2)]]);
  });

  test('do not list leaves of a missing signer; the record keeps them in case the signer returns', () => {
    const state = after(fresh, [signer], [revocation(1, { issuer: issuerIdOf(third) })]);
    assert.deepEqual(serialsOf(state), [[]]);
    assert.deepEqual(serialsOf(after(state, [signer, third])), [[], [serial(1)]]);
  });

  test('of a new root are signed at once, and the entries on the other CRL stay', () => {
    const state = after(after(nothing, [signer], [revocation(1)]), [signer, other]);
    assert.deepEqual(serialsOf(state), [[serial(1)], []]);
  });

  test('of a root whose key is gone are kept until they expire', () => {
    const both = after(nothing, [signer, other], [revocation(1, { issuer: issuerIdOf(other) })]);
    const kept = after(both, [signer], [revocation(2)], later(days(1)));
    assert.deepEqual(serialsOf(kept), [[serial(2)], [serial(1)]]);
    assert.deepEqual(kept.crls[1]?.der, both.crls[1]?.der);
    const ended = after(kept, [signer], [], later(days(31)));
    assert.equal(ended.crls.length, 1);
  });

  test('of other CAs, added by an administrator, are kept', () => {
    const brought = crlOf(third);
    const state = after({ crls: [brought], revocations: [] }, [signer]);
    assert.deepEqual(
      state.crls.map(({ issuer }) => issuer),
      [signer, third].map(({ certificate }) => certificate.subject),
    );
    assert.equal(planCrls(state, [signer], [], now), undefined);
  });

  test('of a signer are replaced when the signature does not verify', () => {
    const [own] = fresh.crls;
    assert.ok(own !== undefined);
    const tampered = { ...own, signature: Buffer.from(own.signature).fill(0, 8, 16) };
    const state = after({ crls: [tampered], revocations: [] }, [signer]);
    assert.deepEqual(serialsOf(state), [[]]);
    assert.ok(isCrlOf(state.crls[0] ?? tampered, signer.certificate));
  });

  test('keep entries whose record was lost until their issuer expires', () => {
    const { crls } = after(nothing, [signer], [revocation(1)]);
    const state = after({ crls, revocations: [] }, [signer], [revocation(2)], later(days(40)));
    assert.deepEqual(serialsOf(state), [[serial(1), serial(2)]]);
    assert.deepEqual(state.revocations[0]?.notAfter, signer.certificate.notAfter);
  });

  test('get entries that another client removed back from the record', () => {
    const state = after(nothing, [signer], [revocation(1)]);
    const repaired = after({ ...state, crls: [] }, [signer]);
    assert.deepEqual(serialsOf(repaired), [[serial(1)]]);
  });

  test('drop an entry after a CRL with it was signed after its certificate expired', () => {
    const state = after(nothing, [signer], [revocation(1, { notAfter: later(days(12)) })]);
    // Renewed once before the certificate expires and once after: both CRLs list it.
    const before = after(state, [signer], [], later(days(10)));
    assert.deepEqual(serialsOf(before), [[serial(1)]]);
    const expired = after(before, [signer], [], later(days(20)));
    assert.deepEqual(serialsOf(expired), [[serial(1)]]);
    const gone = after(expired, [signer], [], later(days(20) + hours(1)));
    assert.deepEqual(serialsOf(gone), [[]]);
    assert.deepEqual(gone.revocations, []);
  });

  test('are signed when one entry replaces another, although the count stays the same', () => {
    const state = after(nothing, [signer], [revocation(1, { notAfter: later(days(12)) })]);
    const last = after(state, [signer], [], later(days(20)));
    const requested = [revocation(2, { notAfter: later(days(60)) })];
    assert.deepEqual(serialsOf(after(last, [signer], requested, later(days(20) + hours(1)))), [[serial(2)]]);
  });

  test('with missing or different entries are signed again and keep their entries', () => {
    const right = after(nothing, [signer], [revocation(1), revocation(2)]);
    for (const serials of [[], [1], [1, 3], [3, 4]]) {
      const revoked = serials.map((n) => revocation(n));
      const odd = issueCrl(signer, { ...contentOf(revoked), nextUpdate: later(days(30)) });
      const crls = planCrls({ ...right, crls: [odd] }, [signer], [], now)?.crls ?? [];
      const lists = crls.map((list) => ('sign' in list ? list.sign.revoked.map((one) => one.serialNumber) : 'kept'));
      assert.deepEqual(lists, [[...new Set([1, 2, ...serials])].map(serial)], serials.join());
    }
  });

  test('list as many leaves as there is room for, and the others later', () => {
    const many = Array.from({ length: maxRevocations + 2 }, (_, n) => revocation(n, { namespace: 'shop' }));
    const state = after(nothing, [signer], many);
    assert.equal(state.revocations.length, maxRevocations / 4);
    assert.equal(planCrls(state, [signer], many, now), undefined);
    const others = after(state, [signer], [...many, revocation(maxRevocations + 3, { namespace: 'other' })]);
    assert.equal(others.revocations.length, maxRevocations / 4 + 1);
  });

  test('never lose an entry of an unexpired certificate to make room', () => {
    const before = Array.from({ length: maxRevocations }, (_, n) => revocation(n));
    const state = after({ ...nothing, revocations: before }, [signer]);
    const requested = [revocation(maxRevocations + 1, { namespace: 'shop' })];
    assert.equal(planCrls(state, [signer], requested, now), undefined);
    assert.equal(planCrls(state, [signer], requested, later(days(9))), undefined);
  });

  test('are empty again after a rotation of the root', () => {
    const before = Array.from({ length: maxRevocations }, (_, n) => revocation(n));
    const full = after({ ...nothing, revocations: before }, [signer]);
    const requested = [revocation(maxRevocations + 1, { namespace: 'shop', issuer: issuerIdOf(other) })];
    const both = after(full, [other, signer]);
    assert.equal(both.revocations.length, maxRevocations);
    const plan = planCrls(both, [other], requested, now, { trusted: [other.certificate] });
    assert.deepEqual(plan?.revocations, requested);
  });

  test('are signed by no CA whose key usage excludes it', () => {
    assert.deepEqual(planCrls(nothing, [withoutCrlSign], [], now), undefined);
    assert.equal(crlBundle(nothing, [withoutCrlSign]), undefined);
  });

  test('are published with their entries and the CAs whose leaves they can list', () => {
    const state = after(nothing, [signer, other], [revocation(1)]);
    const bundle = crlBundle(state, [signer, other]);
    assert.deepEqual(parseCrls(bundle?.pem ?? ''), state.crls);
    assert.deepEqual([...(bundle?.revoked ?? [])], [serial(1)]);
    assert.deepEqual(bundle?.issuers, [signer, other].map(issuerIdOf));
    assert.deepEqual(bundle?.nextUpdate, later(days(30)));
  });

  test('are renewed when the first of them is due, at every position', () => {
    const early = after(nothing, [signer]);
    for (const signers of [
      [signer, other],
      [other, signer],
    ]) {
      const state = after(early, signers, [], later(days(3)));
      const bundle = crlBundle(state, signers);
      assert.ok(bundle !== undefined);
      assert.deepEqual([bundle.nextUpdate, crlRenewalTime(bundle)], [later(days(30)), later(days(10))]);
      assert.equal(planCrls(state, signers, [], later(days(10) - 1000)), undefined);
      const renewed = after(state, signers, [], later(days(10)));
      // Only the CRL that was due is signed.
      const ends = renewed.crls.map(({ nextUpdate }) => nextUpdate);
      assert.deepEqual(
        ends,
        signers[0] === signer ? [later(days(40)), later(days(33))] : [later(days(33)), later(days(40))],
      );
    }
  });
});

const contentOf = (revoked: readonly Revocation[]) => ({
  number: 7n,
  thisUpdate: earlier(hours(1)),
  nextUpdate: later(days(25)),
  revoked,
});
const crlOf = (issuer: Issuer): Crl => issueCrl(issuer, contentOf([]));
/** A root that may only sign certificates, as parsing returns it. */
const withoutCrlSign: Issuer = {
  ...signer,
  certificate: { ...signer.certificate, keyUsage: new Set([5]) },
};

describe('the record of revocations', () => {
  const note = (issuer: string, ...row: readonly string[]) => {
    const revoked = [Object.assign([serial(1), '2026-01-01T00:00:00Z', '2027-01-01T00:00:00Z'], row)];
    return JSON.stringify({ version: 2, issuers: { [issuer]: { revoked } } });
  };

  test('decodes to the encoded value', () => {
    const revocations = [
      revocation(1, { namespace: 'shop' }),
      revocation(2, { notAfter: later(days(3)), issuer: issuerIdOf(other) }),
    ];
    const record = { revocations, issuers: [signer.certificate] };
    const read = parseRevocations(encodeRevocations(record));
    assert.deepEqual(read.revocations, revocations);
    assert.deepEqual(
      read.issuers.map(({ fingerprint }) => fingerprint),
      [signer.certificate.fingerprint],
    );
  });

  test('of version 1 is decoded with the fingerprint of the root as the issuer', () => {
    const row = [serial(1), '2026-01-01T00:00:00Z', '2027-01-01T00:00:00Z'];
    const { revocations, issuers } = parseRevocations(JSON.stringify({ [signer.anchor.fingerprint]: [row] }));
    assert.deepEqual(
      revocations.map(({ serialNumber, issuer }) => [serialNumber, issuer]),
      [[serial(1), signer.anchor.fingerprint]],
    );
    assert.deepEqual(issuers, []);
  });

  test('of version 2 has no namespaces, and neither has an entry that an administrator wrote', () => {
    const { revocations } = parseRevocations(note(issuerIdOf(signer)));
    assert.deepEqual(
      revocations.map(({ serialNumber, namespace }) => [serialNumber, namespace]),
      [[serial(1), undefined]],
    );
    assert.equal(
      parseRevocations(note(issuerIdOf(signer), serial(1), '2026-01-01T00:00:00Z', '2027-01-01T00:00:00Z', 'Not one'))
        .revocations[0]?.namespace,
      undefined,
    );
  });

  test('rejects a certificate that does not match its identity', () => {
    const text = encodeRevocations({ revocations: [], issuers: [signer.certificate] });
    const swapped = text.replace(signer.certificate.der.toString('base64'), other.certificate.der.toString('base64'));
    assert.notEqual(swapped, text);
    assert.deepEqual(parseRevocations(swapped).issuers, []);
  });

  test('contains only values that fit into a CRL, because one other value would prevent the signing of all entries', () => {
    const aRoot = 'a'.repeat(64);
    assert.equal(parseRevocations(note(aRoot)).revocations.length, 1);
    for (const odd of [note(aRoot, 'f'.repeat(40)), note(aRoot, `4${'0'.repeat(40)}`), note('A'.repeat(64))]) {
      assert.deepEqual(parseRevocations(odd).revocations, [], odd);
    }
    for (const time of ['1949-12-31T00:00:00Z', '+010000-01-01T00:00:00Z', 'never']) {
      assert.deepEqual(parseRevocations(note(aRoot, serial(1), time)).revocations, [], time);
    }
  });

  const inVersion2 = [
    null,
    7,
    [],
    {},
    { a: 1 },
    { ['a'.repeat(64)]: null },
    { ['a'.repeat(64)]: { certificate: 'AA==', revoked: [[]] } },
  ];
  const odd = ['', '{', 'null', '7', '{}', '[null]', '[[]]', '[["zz","aa","x","y"]]', '[[1,2,3,4]]', '{"version":3}'];
  for (const text of [...odd, ...inVersion2.map((issuers) => JSON.stringify({ version: 2, issuers }))]) {
    test(`is empty when the text is ${JSON.stringify(text)}`, () => {
      assert.deepEqual(parseRevocations(text), { revocations: [], issuers: [] });
    });
  }
});

describe('the leaves that a request to revoke names', () => {
  const asking = issued.with({ revokeToken: 't1' });
  const leaves = (given: typeof issued, secret: ReturnType<typeof recordOf> | undefined = recordOf(given)) =>
    leavesToRevoke(given.record, 'server', secret, now).map(({ serialNumber }) => serialNumber);
  const recordOf = (given: typeof issued) => given.observed({ state: 'missing' }).roles[0]?.secret;
  const content = recordOf(issued)?.content;
  const leaf = content !== undefined && 'leaf' in content ? content.leaf : undefined;
  const mine = leaf?.serialNumber ?? '';
  const remembered = (serialNumber: string, notAfter = later(days(1))) => ({
    secrets: [
      {
        role: 'server' as const,
        secretName: 'payments-server-tls',
        serialNumber,
        fingerprint: 'f',
        rootFingerprint: signer.anchor.fingerprint,
        notBefore: '2026-01-01T00:00:00Z',
        notAfter: notAfter.toISOString(),
        renewalTime: '2026-02-01T00:00:00Z',
        revision: 1,
      },
    ],
  });

  test('are none without a request', () => assert.deepEqual(leaves(issued), []));
  test('include the leaf in the Secret', () => assert.deepEqual(leaves(asking), [mine]));
  test('include the leaf that was in the Secret before it was lost or overwritten', () => {
    assert.deepEqual(leaves(asking.remembering(remembered('51'))), [mine, '51']);
    assert.deepEqual(
      leavesToRevoke(asking.remembering(remembered('51')).record, 'server', undefined, now).map(
        (one) => one.serialNumber,
      ),
      ['51'],
    );
  });
  test('include replaced leaves that have not expired', () => {
    const replaced = [
      { serialNumber: '52', rootFingerprint: signer.anchor.fingerprint, notAfter: later(days(1)).toISOString() },
      { serialNumber: '53', rootFingerprint: signer.anchor.fingerprint, notAfter: now.toISOString() },
    ];
    const [entry] = remembered(mine).secrets;
    assert.ok(entry !== undefined);
    assert.deepEqual(leaves(asking.remembering({ secrets: [{ ...entry, replaced }] })), [mine, '52']);
  });
  test('are listed once each', () => assert.deepEqual(leaves(asking.remembering(remembered(mine))), [mine]));
  test('do not include expired leaves', () => {
    assert.deepEqual(leaves(asking.remembering(remembered('51', now))), [mine]);
    const expired = asking.issuedBy(signer, earlier(days(90)));
    assert.deepEqual(leaves(expired), []);
    assert.deepEqual(leaves(asking.issuedBy(signer, earlier(days(90) - 1000))).length, 1);
  });
  test('have the issuer from status while their root is unknown', () => {
    const told = asking.remembering(issued.reported(authority).record.status);
    const unknown = secretRecord(issued.secret('server'), []);
    const found = (given: typeof issued) =>
      leavesToRevoke(given.record, 'server', unknown, now).map(({ serialNumber, issuer }) => [serialNumber, issuer]);
    assert.deepEqual(found(told), [[mine, issuerIdOf(signer)]]);
    assert.deepEqual(found(asking), []);
    assert.deepEqual(found(asking.remembering(remembered('51'))), [['51', signer.anchor.fingerprint]]);
  });
  test('do not include a role for which the request was handled', () => {
    const handled = asking.whereSecret('server', (secret) => ({
      ...secret,
      metadata: { ...secret.metadata, annotations: { ...secret.metadata.annotations, [annotations.revoke]: 't1' } },
    }));
    assert.deepEqual(leaves(handled), []);
    assert.deepEqual(leaves(asking.remembering({ lastHandledRevoke: 't1' })), []);
  });
  test('are the leaves in the Secret and in status, even if another client changed the annotation on the Secret', () => {
    const note = withMarks('annotations', { [annotations.revoke]: 't1' });
    const told = asking.remembering(issued.reported(authority).record.status);
    assert.deepEqual(leaves(told.whereSecret('server', note)), [mine]);
    // The leaf that was issued for the request, and is not in status yet.
    assert.deepEqual(leaves(told.issuedBy(signer).whereSecret('server', note)), [mine]);
  });
  test('do not include the leaf of a foreign or corrupted Secret', () => {
    assert.deepEqual(leaves(asking.whereSecret('server', foreign)), []);
    assert.deepEqual(leaves(asking.whereSecret('server', withData({ [secretKeys.certificate]: 'x' }))), []);
  });
});
