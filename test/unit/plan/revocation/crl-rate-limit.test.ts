import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeCertificates, inspectIssuer, parseCrls, parseTrustAnchors } from '../../../../src/pki/index.ts';
import { parseRevocations, planAuthority, type Revocation, type RevocationState } from '../../../../src/plan/index.ts';
import { crlIntervalMs, planCrlsWithinRate } from '../../../../src/plan/revocation/crl-rate-limit.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { encodedRoot, issuerIdOf, root } from '../../../support/fixtures/roots.ts';
import { days, earlier, later, minutes, now } from '../../../support/fixtures/times.ts';
import { crlDataNow, issueCrl } from '../../../support/sign.ts';

const signer = root();

const revocation = (serialNumber: string, more: Partial<Revocation> = {}): Revocation => ({
  serialNumber,
  issuer: issuerIdOf(signer),
  revokedAt: now,
  notAfter: later(days(30)),
  namespace: 'shop',
  ...more,
});

const nothing: RevocationState = { crls: [], revocations: [] };
const paced = (state: RevocationState, requested: readonly Revocation[] = [], at = now, places = 0) =>
  planCrlsWithinRate(state, [signer], requested, at, { publicationCount: () => places });

/** The state of the root Secret, decoded from its bytes, after plans for the time `at` were carried out until none is left. */
function after(state: RevocationState, requested: readonly Revocation[] = [], at = now, places = 0): RevocationState {
  const { plan } = paced(state, requested, at, places);
  if (plan === undefined) return state;
  const data = crlDataNow(plan, [signer]);
  const text = (key: string) => Buffer.from(data[key] ?? '', 'base64').toString('latin1');
  return after({ crls: parseCrls(text('ca.crl')), ...parseRevocations(text('revoked.json')) }, requested, at, places);
}

/** A request: its time in milliseconds after `now`, and the leaves to revoke. */
type Request = readonly [ms: number, requested: Revocation];

const seconds = (n: number): number => n * 1000;
let serials = 0;

/** Regular requests of one namespace, for certificates of one hour, until a given time. */
function requests(namespace: string, everyMs: number, untilMs: number): Request[] {
  return Array.from({ length: Math.ceil(untilMs / everyMs) }, (_, i): Request => {
    serials += 1;
    const serialNumber = `5${serials.toString(16).padStart(7, '0')}`;
    return [i * everyMs, revocation(serialNumber, { namespace, notAfter: later(i * everyMs + minutes(60)) })];
  });
}

/**
 * Plans at each request and at each nextAt, as the operator does.
 * @returns when CRLs were signed, and how long each request waited, all in milliseconds
 */
function answer(made: readonly Request[]) {
  const order = made.toSorted(([a], [b]) => a - b);
  const listed = new Map<string, number>();
  const signings: number[] = [];
  let state = empty;
  let at = order[0]?.[0];
  while (at !== undefined) {
    const date = later(at);
    const requested = order
      .filter(([ms, one]) => ms <= date.getTime() - now.getTime() && one.notAfter > date)
      .map(([, one]) => ({ ...one, revokedAt: date }));
    const next = after(state, requested, date);
    if (next !== state) signings.push(at);
    for (const serial of serialsOn(next)) listed.set(serial, listed.get(serial) ?? at);
    state = next;
    const { nextAt } = paced(state, requested, date);
    const ms = at;
    const moments = [
      ...order.map(([one]) => one).filter((one) => one > ms),
      ...(nextAt === undefined ? [] : [nextAt.getTime() - now.getTime()]),
    ];
    at = moments.length === 0 ? undefined : Math.min(...moments);
  }
  const waits = (of: readonly Request[]) =>
    of.map(([ms, { serialNumber }]) => (listed.get(serialNumber) ?? Number.POSITIVE_INFINITY) - ms);
  return { signings, waits };
}

const serialsOn = ({ crls }: RevocationState) => crls.flatMap(({ revoked }) => revoked.map((one) => one.serialNumber));

const empty = after(nothing);
const one = after(empty, [revocation('1a')]);

describe('requests to revoke', () => {
  test('do not wait after a quiet time, even if a CRL was just signed', () => {
    assert.deepEqual(serialsOn(one), ['1a']);
    assert.deepEqual(serialsOn(after(one, [revocation('2b')], later(crlIntervalMs))), ['1a', '2b']);
  });

  test('that follow others shortly wait together, and are planned again after the interval', () => {
    const requested = [revocation('2b'), revocation('3c')];
    for (const ms of [0, 1, crlIntervalMs - 1]) {
      assert.deepEqual(paced(one, requested, later(ms)), { nextAt: later(crlIntervalMs) });
    }
    assert.deepEqual(serialsOn(after(one, requested, later(crlIntervalMs))), ['1a', '2b', '3c']);
  });

  test('do not wait for a clock that was set back', () => {
    assert.deepEqual(serialsOn(after(one, [revocation('2b')], earlier(days(1)))), ['1a', '2b']);
  });

  test('do not wait because the CRL of another CA was just signed', () => {
    const theirs = issueCrl(root({ name: 'Other' }), {
      number: 1n,
      thisUpdate: earlier(minutes(5)),
      nextUpdate: later(days(30)),
      revoked: [{ serialNumber: '99', revokedAt: now }],
    });
    const state = after({ ...empty, crls: [...empty.crls, theirs] });
    assert.equal(state.crls.length, 2);
    assert.ok(serialsOn(after(state, [revocation('2b')], later(1))).includes('2b'));
  });

  test('that wait for room are planned again when there is room, even if others wait longer', () => {
    // One namespace has used its whole share, and another sends a request each minute.
    const greedy = Array.from({ length: 12 }, (_, i) =>
      revocation(`6${i.toString(16).padStart(7, '0')}`, { namespace: 'greedy', revokedAt: earlier(minutes(12 - i)) }),
    );
    const own = Array.from({ length: 1247 }, (_, i) =>
      revocation(`7${i.toString(16).padStart(7, '0')}`, {
        revokedAt: earlier(days(1)),
        notAfter: i === 3 ? earlier(minutes(4)) : later(days(30)),
      }),
    );
    const state = after({ crls: [], revocations: [...greedy, ...own] }, [], earlier(minutes(1)));
    assert.equal(state.revocations.length, 1259);
    const [mine, theirs] = [revocation('1a'), revocation('2b', { namespace: 'greedy' })];
    const room = later(minutes(1) + 1000);
    assert.deepEqual(paced(state, [theirs]).nextAt, later(minutes(4)));
    assert.deepEqual(paced(state, [mine]).nextAt, room);
    assert.deepEqual(paced(state, [mine, theirs]).nextAt, room);
  });

  test('are included when a CRL is signed for another reason', () => {
    const lost = { ...one, crls: [] };
    assert.deepEqual(serialsOn(after(lost, [revocation('2b')], later(1))), ['1a', '2b']);
  });

  test('without room are planned again when the next certificate on the CRL expires', () => {
    const own = Array.from({ length: 1250 }, (_, i) =>
      revocation(`7${i.toString(16).padStart(7, '0')}`, { notAfter: later(days(i === 3 ? 1 : 30)) }),
    );
    const full = after(empty, own);
    assert.equal(full.revocations.length, 1250);
    const requested = [revocation('1a')];
    const { plan, nextAt } = paced(full, requested, later(minutes(1)));
    assert.equal(plan, undefined);
    assert.deepEqual(nextAt, later(days(1) + minutes(5) + 1000));
    assert.equal(paced(full, [], later(minutes(1))).nextAt, undefined);
    // Two CRLs are signed, long before a renewal is due: one still has the expired entry (RFC 5280 3.3), the next does not.
    const freed = after(full, requested, nextAt);
    assert.equal(freed.revocations.length, 1250);
    assert.ok(serialsOn(freed).includes('1a'));
  });
});

describe('a namespace that keeps sending requests to revoke', () => {
  const attack = requests('greedy', seconds(5), minutes(60));

  test('causes only a few signings in an hour', (t) => {
    const { signings, waits } = answer(attack);
    t.diagnostic(`${attack.length} requests, ${signings.length} signings`);
    assert.ok(signings.length <= 24, `${signings.length} signings`);
    assert.ok(Math.max(...waits(attack)) <= minutes(5));
  });

  test('does not make another namespace wait longer than the interval', (t) => {
    const half = attack.slice(0, attack.length / 2);
    const [last = 0] = answer(half.slice(0, half.length / 2)).signings.slice(-1);
    const others = ['shop', 'bank', 'post'].flatMap((namespace, i) =>
      // The first one comes 1 s after a signing for the attacker.
      requests(namespace, minutes(11), minutes(22)).map(([ms, one]): Request => [last + 1000 + ms + minutes(i), one]),
    );
    const { signings, waits } = answer([...half, ...others]);
    const most = Math.max(...waits(others));
    t.diagnostic(`${others.length} requests of others: ${signings.length} signings, the longest wait ${most} ms`);
    assert.ok(most > 0 && most <= crlIntervalMs, `${most} ms`);
    assert.ok(signings.length <= 24 + others.length, `${signings.length} signings`);
  });

  test('starts over after a quiet time: its next requests wait only for the interval', () => {
    const early = requests('greedy', seconds(5), minutes(2));
    const [last = 0] = answer(early).signings.slice(-1);
    const again = requests('greedy', seconds(6), seconds(30)).map(([ms, one]): Request => {
      const at = last + minutes(10) + 1000 + ms;
      return [at, { ...one, notAfter: later(at + minutes(60)) }];
    });
    assert.ok(Math.max(...answer([...early, ...again]).waits(again)) <= crlIntervalMs);
  });

  test('is answered at once after a quiet time', () => {
    const early = requests('greedy', seconds(5), minutes(2));
    const [last = 0] = answer(early).signings.slice(-1);
    const [request = assert.fail()] = requests('greedy', seconds(1), 1);
    const again: Request = [last + minutes(10) + 1000, request[1]];
    assert.deepEqual(answer([...early, again]).waits([again]), [0]);
  });

  test('is not delayed by entries without a known namespace', () => {
    const unknown = requests('greedy', seconds(5), minutes(2)).map(
      ([ms, { serialNumber, issuer, revokedAt, notAfter }]) => {
        const request: Request = [ms, { serialNumber, issuer, revokedAt, notAfter }];
        return request;
      },
    );
    assert.ok(Math.max(...answer(unknown).waits(unknown)) <= crlIntervalMs);
  });
});

test('twenty requests one after the other are answered within a minute', () => {
  const incident = requests('shop', 2500, seconds(50));
  assert.equal(incident.length, 20);
  const { signings } = answer(incident);
  assert.ok(Math.max(...signings) <= minutes(1), signings.join());
});

test('requests wait longer when many objects hold the CRL', () => {
  const waiting = [revocation('2b')];
  assert.deepEqual(paced(one, waiting, later(1), 250), { nextAt: later(crlIntervalMs) });
  assert.deepEqual(paced(one, waiting, later(1), 1000), { nextAt: later(seconds(20)) });
  assert.deepEqual(serialsOn(after(one, waiting, later(seconds(20)), 1000)), ['1a', '2b']);
  const { crt, key } = encodedRoot(signer);
  const inspection = inspectIssuer(crt, key, now);
  const publications = Array.from({ length: 1000 }, (_, i) => ({
    namespace: `ns-${i}`,
    displayName: 'ConfigMap',
    changedAtMs: 0,
  }));
  const observed = {
    authority: authority(),
    secret: { resourceVersion: '7', inspection, anchors: parseTrustAnchors(encodeCertificates([signer.certificate])) },
    certificates: 1,
    rollout: { secrets: [], publications, examinedSecrets: 0, monotonicMs: 0 },
    leadingSince: now,
    revocation: one,
    requestedRevocations: waiting,
  };
  assert.deepEqual(planAuthority(observed, later(1)).nextCrlsAt, later(seconds(20)));
});
