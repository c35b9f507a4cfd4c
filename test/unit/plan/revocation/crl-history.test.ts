import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Crl, type Issuer, isCrlOf, parseCrls } from '../../../../src/pki/index.ts';
import { crlBundle } from '../../../../src/plan/revocation/crl-bundle.ts';
import { planCrls } from '../../../../src/plan/revocation/crl-plan.ts';
import { crlRenewBeforeMs } from '../../../../src/plan/revocation/crl-schedule.ts';
import { parseRevocations } from '../../../../src/plan/revocation/revocation-record.ts';
import type { CrlContext, Revocation, RevocationState } from '../../../../src/plan/revocation/revocation-state.ts';
import { issuerIdOf, namesakeOf, root } from '../../../support/fixtures/roots.ts';
import { days, hours, later } from '../../../support/fixtures/times.ts';
import * as fc from '../../../support/properties.ts';
import { crlDataNow, issueCrl } from '../../../support/sign.ts';

const first = root({ name: 'First' });
/** Two CAs with one name and different keys, and a third CA. */
const cas = [first, namesakeOf(first), root({ name: 'Other' })];
const attacker = namesakeOf(first, true);
const trusted = cas.map(({ anchor }) => anchor);

type Event =
  | { readonly kind: 'revoke'; readonly ca: number; readonly days: number }
  | { readonly kind: 'wait'; readonly days: number }
  | { readonly kind: 'signers'; readonly cas: readonly number[] }
  | { readonly kind: 'lists' | 'note' | 'both' | 'forged' };

const ca = fc.nat({ max: cas.length - 1 });
const events: fc.Arbitrary<Event> = fc.oneof(
  {
    arbitrary: fc.record({ kind: fc.constant('revoke' as const), ca, days: fc.integer({ min: 1, max: 40 }) }),
    weight: 4,
  },
  { arbitrary: fc.record({ kind: fc.constant('wait' as const), days: fc.integer({ min: 1, max: 25 }) }), weight: 3 },
  fc.record({ kind: fc.constant('signers' as const), cas: fc.shuffledSubarray([0, 1, 2], { minLength: 1 }) }),
  // Another client's changes of the root Secret: it removes the CRLs, the record or both, or adds a forged CRL.
  fc.constantFrom('lists' as const, 'note' as const, 'both' as const, 'forged' as const).map((kind) => ({ kind })),
);

/** The root Secret, its signers, and every revoked leaf. */
class World {
  state: RevocationState = { crls: [], revocations: [] };
  signers: readonly Issuer[] = cas;
  at = later(0);
  readonly revoked = new Map<string, Revocation>();
  #asked: Revocation[] = [];

  apply(event: Event): void {
    const before = this.state;
    if (event.kind === 'wait') this.at = new Date(this.at.getTime() + days(event.days));
    if (event.kind === 'signers') this.signers = event.cas.flatMap((n) => cas[n] ?? []);
    if (event.kind === 'lists' || event.kind === 'both') this.state = { ...this.state, crls: [] };
    if (event.kind === 'note' || event.kind === 'both') this.state = { crls: this.state.crls, revocations: [] };
    if (event.kind === 'forged') this.state = { ...this.state, crls: [forged(this.at), ...this.state.crls] };
    if (event.kind === 'revoke') this.#ask(event.ca, event.days);
    // The operator knows the content that it read before.
    this.#settle({ trusted, before });
    this.#settle({ trusted });
  }

  #ask(n: number, lifetimeDays: number): void {
    const serialNumber = `5${this.revoked.size.toString(16).padStart(7, '0')}`;
    const issuer = issuerIdOf(cas[n] ?? first);
    const notAfter = new Date(this.at.getTime() + days(lifetimeDays));
    const one = { serialNumber, issuer, revokedAt: this.at, notAfter, namespace: 'shop' };
    this.revoked.set(serialNumber, one);
    this.#asked.push(one);
  }

  #settle(context: CrlContext): void {
    this.#asked = this.#asked.filter(({ notAfter }) => notAfter > this.at);
    for (let step = 0; ; step += 1) {
      const plan = planCrls(this.state, this.signers, this.#asked, this.at, context);
      if (plan === undefined) return;
      assert.ok(step < 3, 'carrying out plans does not converge');
      const data = crlDataNow(plan, this.signers);
      const text = (key: string) => Buffer.from(data[key] ?? '', 'base64').toString('latin1');
      this.state = { crls: parseCrls(text('ca.crl')), ...parseRevocations(text('revoked.json')) };
    }
  }
}

/** A forged CRL with the name and all identifiers of the first CA. */
const forged = (at: Date): Crl =>
  issueCrl(attacker, {
    number: 10n ** 20n,
    thisUpdate: new Date(at.getTime() - hours(1)),
    nextUpdate: new Date(at.getTime() + days(100)),
    revoked: [{ serialNumber: '99', revokedAt: at }],
  });

test('after every change of the root Secret, each signer has one fresh CRL with a growing number and its own leaves', () => {
  const counts = { listed: 0, namesakes: 0, dropped: 0 };
  fc.assert(
    fc.property(fc.array(events, { minLength: 3, maxLength: 14 }), (history) => {
      const world = new World();
      const numbers = new Map<Issuer, bigint>();
      for (const event of history) {
        world.apply(event);
        const { state, signers, at } = world;
        const lists = signers.map((signer) => {
          const own = state.crls.filter((crl) => isCrlOf(crl, signer.certificate));
          const [list] = own;
          assert.ok(list !== undefined && own.length === 1, `${own.length} lists`);
          const onIt = new Set(list.revoked.map(({ serialNumber }) => serialNumber));
          const ofIts = [...world.revoked.values()].filter(({ issuer }) => issuer === issuerIdOf(signer));
          const unexpired = ofIts.filter(({ notAfter }) => notAfter > at);
          for (const { serialNumber } of unexpired)
            assert.ok(onIt.has(serialNumber), 'a revoked leaf is missing on the CRL');
          for (const serial of onIt)
            assert.ok(
              ofIts.some((one) => one.serialNumber === serial),
              'a leaf is on the CRL of another CA',
            );
          assert.ok(list.nextUpdate.getTime() - at.getTime() > crlRenewBeforeMs, 'the CRL was due for renewal');
          assert.ok(list.number >= (numbers.get(signer) ?? 0n) && list.number < 10n ** 20n, `number ${list.number}`);
          numbers.set(signer, list.number);
          counts.listed += unexpired.length;
          if (unexpired.length > 0 && signer.certificate.subject.equals(attacker.certificate.subject))
            counts.namesakes += 1;
          if (onIt.size < ofIts.length) counts.dropped += 1;
          return list;
        });
        assert.ok(!state.crls.some((crl) => isCrlOf(crl, attacker.certificate)), 'the forged CRL was kept');
        const ends = lists.map(({ nextUpdate }) => nextUpdate.getTime());
        assert.equal(crlBundle(state, signers)?.nextUpdate.getTime(), Math.min(...ends));
      }
    }),
    { numRuns: 100, seed: 19 },
  );
  assert.ok(
    Object.values(counts).every((count) => count > 50),
    `too few cases: ${JSON.stringify(counts)}`,
  );
});
