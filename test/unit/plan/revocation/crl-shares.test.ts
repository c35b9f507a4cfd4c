import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Revocation } from '../../../../src/plan/index.ts';
import {
  countEntries,
  isShareName,
  maxRequestsPerNamespace,
  maxRevocations,
  roomFor,
  shareName,
  shareOf,
  withinShares,
} from '../../../../src/plan/revocation/crl-shares.ts';
import { days, later, now } from '../../../support/fixtures/times.ts';

let serials = 0;
const requested = (namespace: string, count = 1): Revocation[] =>
  Array.from({ length: count }, () => ({
    serialNumber: (++serials).toString(16).padStart(8, '0'),
    issuer: 'issuer',
    revokedAt: now,
    notAfter: later(days(3650)),
    namespace,
  }));

/** The entries after each of these namespaces has requested as much as possible, one after the other. */
function after(greedy: readonly string[], before: readonly Revocation[] = []): Revocation[] {
  return greedy.reduce<Revocation[]>(
    (entries, namespace) => [...entries, ...withinShares(countEntries(entries), requested(namespace, maxRevocations))],
    [...before],
  );
}

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `greedy-${i}`);

describe('the share of a namespace', () => {
  test('is a quarter of the room that the others leave', () => {
    assert.equal(after(['a']).length, maxRevocations / 4);
    assert.equal(after(['a', 'b']).length, 1250 + 937);
    assert.equal(shareOf(countEntries(after(['a'])), 'a'), 1250);
    assert.equal(shareOf(countEntries(after(['a'])), 'b'), 937);
  });

  test('and twice the certificates of one resource fit into the requests that one plan reads', () => {
    assert.ok(maxRequestsPerNamespace >= 2 * shareOf(countEntries([]), 'a'));
    // Three roles, each with its certificate and the replaced ones in status.
    assert.ok(maxRequestsPerNamespace >= 2 * 3 * (1 + 256));
  });

  test('does not grow with repeated requests', () => {
    const entries = after(['a']);
    assert.deepEqual(withinShares(countEntries(entries), requested('a', 10)), []);
    assert.equal(after(['a', 'a', 'a']).length, 1250);
  });

  for (const [count, left] of [
    [1, 937],
    [5, 297],
    [10, 70],
    [20, 4],
  ] as const) {
    test(`is still ${left} certificates after ${count} other namespaces used their shares`, () => {
      assert.equal(roomFor(countEntries(after(names(count))), 'honest'), left);
    });
  }

  test('never fills the CRL, with any number of namespaces', () => {
    const entries = after(names(200));
    assert.ok(entries.length < maxRevocations, `${entries.length} entries`);
  });

  test('depends on all entries, including entries without a known namespace', () => {
    const unknown = requested('x', 4000).map(({ serialNumber, issuer, revokedAt, notAfter }) => ({
      serialNumber,
      issuer,
      revokedAt,
      notAfter,
    }));
    assert.equal(shareOf(countEntries(unknown), 'a'), 250);
    assert.equal(after(['a'], unknown).length, 4250);
  });

  test('is given to simultaneous requests in turns by namespace, and in order within a namespace', () => {
    const entries = countEntries(after(names(12)));
    const [a, b] = [requested('a', 100), requested('b', 100)];
    const got = withinShares(entries, [...b, ...a]);
    const of = (all: readonly Revocation[]) => got.filter((one) => all.includes(one));
    assert.ok(of(a).length > 0 && Math.abs(of(a).length - of(b).length) <= 1, `${of(a).length} and ${of(b).length}`);
    assert.deepEqual(of(a), a.slice(0, of(a).length));
    assert.deepEqual(withinShares(entries, [...a, ...b]), got);
  });
});

describe('the name of a namespace in a record', () => {
  test('is the full name if that is short', () => assert.equal(shareName('shop'), 'shop'));

  test('is short and unique for every namespace', () => {
    const long = ['a', 'b'].map((end) => shareName(`${'n'.repeat(62)}${end}`));
    assert.equal(new Set(long).size, 2);
    for (const name of [...long, 'shop', shareName('a-'.repeat(30))]) {
      assert.ok(name.length <= 32 && isShareName(name), name);
    }
  });

  for (const text of ['', 'A', '-a', 'a'.repeat(33), 'a b', 'undefined\n']) {
    test(`is not ${JSON.stringify(text)}`, () => assert.equal(isShareName(text), false));
  }
});
