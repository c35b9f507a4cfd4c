import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Crl, type Issuer, isCrlOf, parseCrls } from '../../../../src/pki/index.ts';
import { crlBundle } from '../../../../src/plan/revocation/crl-bundle.ts';
import { planCrls } from '../../../../src/plan/revocation/crl-plan.ts';
import { publishedState } from '../../../../src/plan/revocation/published-crls.ts';
import { parseRevocations } from '../../../../src/plan/revocation/revocation-record.ts';
import type { Revocation, RevocationState } from '../../../../src/plan/revocation/revocation-state.ts';
import { intermediate, issuerIdOf, namesakeOf, root } from '../../../support/fixtures/roots.ts';
import { days, earlier, hours, later, now } from '../../../support/fixtures/times.ts';
import { crlDataNow, issueCrl } from '../../../support/sign.ts';

const nothing: RevocationState = { crls: [], revocations: [] };
const signer = root({ name: 'Signer' });
const serialsOn = (crls: readonly Crl[]) => crls.map(({ revoked }) => revoked.map(({ serialNumber }) => serialNumber));
const revocation = (serialNumber: string, of: Issuer): Revocation => ({
  serialNumber,
  issuer: issuerIdOf(of),
  revokedAt: now,
  notAfter: later(days(30)),
});

/** The state of the root Secret after a plan was carried out, decoded from its bytes. Unchanged without a plan. */
function after(
  state: RevocationState,
  signers: readonly Issuer[],
  requested: readonly Revocation[] = [],
  before: RevocationState = nothing,
): RevocationState {
  const plan = planCrls(state, signers, requested, now, { before, trusted: signers.map(({ anchor }) => anchor) });
  if (plan === undefined) return state;
  const data = crlDataNow(plan, signers);
  const text = (key: string) => Buffer.from(data[key] ?? '', 'base64').toString('latin1');
  return { crls: parseCrls(text('ca.crl')), ...parseRevocations(text('revoked.json')) };
}

/**
 * A CRL of another CA with the name of the signer. It is later than every CRL of the signer, and lists a leaf of the
 * signer.
 */
const listOf = (namesake: Issuer): Crl =>
  issueCrl(namesake, {
    number: 10n ** 20n,
    thisUpdate: earlier(hours(1)),
    nextUpdate: later(days(300)),
    revoked: [{ serialNumber: '99', revokedAt: now }],
  });

const own = after(nothing, [signer], [revocation('11', signer)]);
const kinds = {
  'its own key identifier': namesakeOf(signer),
  'the key identifier of the signer': namesakeOf(signer, true),
};
for (const [title, namesake] of Object.entries(kinds)) {
  describe(`a CRL of another CA with the name of the signer and ${title}`, () => {
    const foreign = listOf(namesake);

    test('has the name of the signer but does not verify with its key', () => {
      assert.deepEqual(foreign.issuer, signer.certificate.subject);
      assert.deepEqual([isCrlOf(foreign, signer.certificate), isCrlOf(foreign, namesake.certificate)], [false, true]);
    });

    const states: Record<string, [state: RevocationState, before?: RevocationState]> = {
      'alone in the Secret': [{ ...own, crls: [foreign] }],
      'before the CRL of the signer': [{ ...own, crls: [foreign, ...own.crls] }],
      'after the CRL of the signer': [{ ...own, crls: [...own.crls, foreign] }],
      'in the earlier state': [own, { ...nothing, crls: [foreign] }],
      'in both states': [
        { ...own, crls: [foreign] },
        { ...own, crls: [foreign] },
      ],
    };
    for (const [where, [state, before]] of Object.entries(states)) {
      test(`${where} is not used as the CRL of the signer and adds no entry to it`, () => {
        const { crls, revocations } = after(state, [signer], [], before);
        const [first] = crls;
        assert.ok(first !== undefined && isCrlOf(first, signer.certificate));
        assert.deepEqual(serialsOn([first]), [['11']]);
        assert.ok(first.number < foreign.number, 'its number was used for the CRL of the signer');
        assert.deepEqual(
          revocations.map(({ serialNumber }) => serialNumber),
          ['11'],
        );
      });
    }

    test('does not change the CRL of the signer', () => {
      const { crls } = after({ ...own, crls: [...own.crls, foreign] }, [signer]);
      assert.deepEqual(crls[0]?.der, own.crls[0]?.der);
    });

    test('is not published as the CRL of the signer and does not affect its renewal', () => {
      assert.equal(crlBundle({ ...own, crls: [foreign] }, [signer]), undefined);
      const soon = issueCrl(namesake, {
        number: 1n,
        thisUpdate: earlier(hours(1)),
        nextUpdate: later(1000),
        revoked: [],
      });
      const bundle = crlBundle({ ...own, crls: [soon, ...own.crls] }, [signer]);
      assert.deepEqual(bundle?.nextUpdate, own.crls[0]?.nextUpdate);
    });

    test('is not restored from a publication', () => {
      assert.deepEqual(publishedState([foreign], nothing, [signer], [signer.anchor]), nothing);
      const both = publishedState([...own.crls, foreign], nothing, [signer], [signer.anchor]);
      assert.deepEqual(serialsOn(both.crls), [['11']]);
      assert.deepEqual(
        both.revocations.map(({ serialNumber }) => serialNumber),
        ['11'],
      );
    });

    test('is separate from the CRL of the signer while both CAs sign: each lists its own leaves', () => {
      const requested = [revocation('11', signer), revocation('22', namesake)];
      const both = after(nothing, [signer, namesake], requested);
      const listed = [signer, namesake].map(({ certificate }) => both.crls.filter((crl) => isCrlOf(crl, certificate)));
      assert.deepEqual(listed.map(serialsOn), [[['11']], [['22']]]);
      assert.equal(planCrls(both, [signer, namesake], requested, now), undefined);
      assert.deepEqual(crlBundle(both, [signer, namesake])?.issuers, [signer, namesake].map(issuerIdOf));
    });
  });
}

test('a forged CRL with the key identifier of the signer is removed; the CRL of an unknown CA is kept', () => {
  const [own1, forged] = [listOf(kinds['its own key identifier']), listOf(kinds['the key identifier of the signer'])];
  const { crls } = after({ ...own, crls: [...own.crls, forged, own1] }, [signer]);
  assert.deepEqual(
    crls.map(({ der }) => der),
    [own.crls[0]?.der, own1.der],
  );
});

describe('an intermediate that got a new key under its old name', () => {
  const anchor = root({ name: 'Anchor' });
  const [old, rekeyed] = [intermediate(anchor, { name: 'Issuing' }), intermediate(anchor, { name: 'Issuing' })];

  test('has its own CRL next to the CRL of the old key, and each entry is on the CRL of the key that issued the leaf', () => {
    assert.deepEqual(old.certificate.subject, rekeyed.certificate.subject);
    const first = after(nothing, [old], [revocation('11', old)]);
    const both = after(first, [rekeyed, old], [revocation('22', rekeyed), revocation('33', old)]);
    assert.deepEqual(serialsOn(both.crls), [['22'], ['11', '33']]);
    assert.deepEqual(
      both.crls.map((crl) => [old, rekeyed].map(({ certificate }) => isCrlOf(crl, certificate))),
      [
        [false, true],
        [true, false],
      ],
    );
  });

  test('gets an entry of a version 1 record on the CRL of the key that listed it', () => {
    const { crls } = after(nothing, [old], [revocation('11', old)]);
    const version1 = `{"${anchor.anchor.fingerprint}": [["11", "2026-02-01T00:00:00Z", "2026-05-01T00:00:00Z"]]}`;
    const both = after({ crls, ...parseRevocations(version1) }, [rekeyed, old]);
    assert.deepEqual(serialsOn(both.crls), [[], ['11']]);
    assert.deepEqual(
      both.revocations.map(({ issuer }) => issuer),
      [issuerIdOf(old)],
    );
  });
});
