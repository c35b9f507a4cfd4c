import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { crlData } from '../../../src/controllers/root-crl.ts';
import { parseCrls } from '../../../src/pki/index.ts';
import { crlIntervalMs, paceCrls } from '../../../src/plan/crl-pace.ts';
import { parseRevocations, type Revocation, type RevocationState } from '../../../src/plan/index.ts';
import { days, earlier, issuerIdOf, later, minutes, now, root } from '../../support/fixtures.ts';

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
const paced = (state: RevocationState, asked: readonly Revocation[] = [], at = now) =>
  paceCrls(state, [signer], asked, at);

/** What the root Secret says after all that is to be done at that time, read back from its bytes. */
function after(state: RevocationState, asked: readonly Revocation[] = [], at = now): RevocationState {
  const { plan } = paced(state, asked, at);
  if (plan === undefined) return state;
  const data = crlData(plan, [signer]);
  const text = (key: string) => Buffer.from(data[key] ?? '', 'base64').toString('latin1');
  return after({ crls: parseCrls(text('ca.crl')), ...parseRevocations(text('revoked.json')) }, asked, at);
}

const serialsOn = ({ crls }: RevocationState) => crls.flatMap(({ revoked }) => revoked.map((one) => one.serialNumber));

const empty = after(nothing);
const one = after(empty, [revocation('1a')]);

describe('requests to revoke', () => {
  test('do not wait when nothing was revoked for a while, though a list was signed just now', () => {
    assert.deepEqual(serialsOn(one), ['1a']);
    assert.deepEqual(serialsOn(after(one, [revocation('2b')], later(crlIntervalMs))), ['1a', '2b']);
  });

  test('that come soon after others wait together, and are looked at again then', () => {
    const asked = [revocation('2b'), revocation('3c')];
    for (const ms of [0, 1, crlIntervalMs - 1]) {
      assert.deepEqual(paced(one, asked, later(ms)), { nextAt: later(crlIntervalMs) });
    }
    assert.deepEqual(serialsOn(after(one, asked, later(crlIntervalMs))), ['1a', '2b', '3c']);
  });

  test('do not wait for a clock that was set back', () => {
    assert.deepEqual(serialsOn(after(one, [revocation('2b')], earlier(days(1)))), ['1a', '2b']);
  });

  test('go along with what has to be signed anyway', () => {
    const lost = { ...one, crls: [] };
    assert.deepEqual(serialsOn(after(lost, [revocation('2b')], later(1))), ['1a', '2b']);
  });

  test('are looked at again when the next certificate on the list expires, if there is no room for them', () => {
    const own = Array.from({ length: 1250 }, (_, i) =>
      revocation(`7${i.toString(16).padStart(7, '0')}`, { notAfter: later(days(i === 3 ? 1 : 30)) }),
    );
    const full = after(empty, own);
    assert.equal(full.revocations.length, 1250);
    const asked = [revocation('1a')];
    const { plan, nextAt } = paced(full, asked, later(minutes(1)));
    assert.equal(plan, undefined);
    assert.deepEqual(nextAt, later(days(1) + minutes(5) + 1000));
    assert.equal(paced(full, [], later(minutes(1))).nextAt, undefined);
    // Long before the list is renewed: signed once more with the expired entry (RFC 5280 3.3), and then without.
    const freed = after(full, asked, nextAt);
    assert.equal(freed.revocations.length, 1250);
    assert.ok(serialsOn(freed).includes('1a'));
  });
});
