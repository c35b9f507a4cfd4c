import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AuthorityStates } from '../../../../src/controllers/cache/authority-states.ts';
import { trustBundle } from '../../../../src/pki/index.ts';
import { type AuthorityVerdict, recordedUntil } from '../../../../src/plan/index.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { intermediate, root, rootIdOf } from '../../../support/fixtures/roots.ts';
import { days, later, now } from '../../../support/fixtures/times.ts';

const [a, b] = [root({ name: 'A' }), root({ name: 'B' })];
const verdict = (...[active = a, ...others]: (typeof a)[]): AuthorityVerdict => ({
  state: 'ready',
  issuer: active,
  bundle: trustBundle(
    active.anchor,
    others.map(({ anchor }) => anchor),
  ),
  acceptedBundleDigests: [],
});
const bad: AuthorityVerdict = { state: 'notReady', reason: 'RootExpired', message: 'x' };

describe('the state of an authority', () => {
  test('is unknown until its root is read, and after it was deleted', () => {
    const authorityStates = new AuthorityStates();
    assert.deepEqual(authorityStates.get('default'), { state: 'unknown' });
    authorityStates.set(authority(), verdict(a));
    authorityStates.delete('default');
    assert.deepEqual(
      [authorityStates.get('default'), authorityStates.material('default')],
      [{ state: 'unknown' }, undefined],
    );
  });

  test('holds its root without the key, which only the signing material has', () => {
    const authorityStates = new AuthorityStates();
    authorityStates.set(authority(), verdict(a, b));
    assert.deepEqual(authorityStates.get('default'), {
      state: 'ready',
      issuer: a.certificate,
      intermediates: [],
      anchor: a.anchor,
      bundle: authorityStates.material('default')?.bundle,
      acceptedBundleDigests: [],
    });
    assert.equal(authorityStates.material('default')?.issuer?.root, a);
    assert.deepEqual(authorityStates.roots(), [a.certificate, b.certificate]);
    assert.deepEqual([...authorityStates.issuers()], [['default', a]]);
  });

  test('has no signing material while the root is invalid', () => {
    const authorityStates = new AuthorityStates();
    authorityStates.set(authority(), verdict(a));
    authorityStates.set(authority(), bad);
    assert.deepEqual([authorityStates.material('default'), [...authorityStates.issuers()]], [undefined, []]);
  });

  const changes: [title: string, before: AuthorityVerdict, after: AuthorityVerdict, changed: boolean][] = [
    ['the same root', verdict(a, b), verdict(a, b), false],
    ['another trusted root', verdict(a), verdict(a, b), true],
    ['another active root', verdict(a, b), verdict(b, a), true],
    ['another intermediate of the same root', verdict(intermediate(a)), verdict(intermediate(a)), true],
    ['a root that became invalid', verdict(a), bad, true],
    ['the same invalid root', bad, bad, false],
    ['a root that is invalid for another reason', bad, { ...bad, reason: 'RootMissing' }, true],
    ['a repaired root', bad, verdict(a), true],
  ];
  for (const [title, before, after, changed] of changes) {
    test(`${changed ? 'changes' : 'does not change'} for ${title}`, () => {
      const authorityStates = new AuthorityStates();
      assert.deepEqual(authorityStates.set(authority(), before), ['whole']);
      assert.deepEqual(authorityStates.set(authority(), after), changed ? ['whole'] : []);
    });
  }
});

test('the state of an authority changes only for pods when the root Secret records longer certificates', () => {
  const authorityStates = new AuthorityStates();
  const recorded = (until: Date): AuthorityVerdict => ({
    ...(verdict(a) as AuthorityVerdict & { state: 'ready' }),
    podLeaves: { roots: new Map([[rootIdOf(a), until]]), issuers: new Map() },
  });
  authorityStates.set(authority(), verdict(a));
  assert.deepEqual(authorityStates.set(authority(), recorded(later(days(1)))), ['podLeaves']);
  assert.deepEqual(authorityStates.set(authority(), recorded(later(days(1)))), []);
  assert.deepEqual(authorityStates.set(authority(), recorded(later(days(2)))), ['podLeaves']);
  const state = authorityStates.get('default');
  assert.deepEqual(recordedUntil(state.state === 'ready' ? state.podLeaves : undefined, rootIdOf(a)), later(days(2)));
  assert.deepEqual(authorityStates.set(authority(), bad), ['whole']);
});

test('the state of an authority that was deleted and created again is a new one, although nothing else differs', () => {
  const authorityStates = new AuthorityStates();
  authorityStates.set(authority(), verdict(a));
  assert.equal(authorityStates.uidOf('default'), authority().uid);
  assert.deepEqual(authorityStates.set(authority({ uid: 'another' }), verdict(a)), ['whole']);
  assert.equal(authorityStates.uidOf('default'), 'another');
});

test('the states of authorities are forgotten when a term begins', () => {
  const authorityStates = new AuthorityStates();
  authorityStates.set(authority(), verdict(a));
  authorityStates.clear();
  assert.deepEqual(authorityStates.get('default'), { state: 'unknown' });
});

describe('an authority that waits', () => {
  const waits = { reason: 'RootDistributing', message: 'm' };
  const waiting: AuthorityVerdict = {
    ...(verdict(a, b) as AuthorityVerdict & { state: 'ready' }),
    issuancePaused: waits,
  };
  const reissue = { id: 'r1', since: now, windowMs: 5, resumedAt: now };

  test('has bundles to write and no issuer', () => {
    const authorityStates = new AuthorityStates();
    authorityStates.set(authority(), waiting);
    const material = authorityStates.material('default');
    assert.deepEqual([material?.issuer, material?.bundle.roots], [undefined, [a.certificate, b.certificate]]);
    assert.deepEqual([[...authorityStates.issuers()], authorityStates.roots()], [[], [a.certificate, b.certificate]]);
    const view = authorityStates.get('default');
    assert.deepEqual(view.state === 'ready' && view.issuancePaused, waits);
  });

  test('changes state when it no longer waits, and when certificates start to switch', () => {
    const authorityStates = new AuthorityStates();
    authorityStates.set(authority(), waiting);
    assert.deepEqual(authorityStates.set(authority(), verdict(a, b)), ['whole']);
    const switching = { ...(verdict(a, b) as AuthorityVerdict & { state: 'ready' }), reissue };
    assert.deepEqual(authorityStates.set(authority(), switching), ['whole']);
    assert.deepEqual(authorityStates.set(authority(), { ...switching, reissue: { ...reissue } }), []);
    assert.deepEqual(authorityStates.set(authority(), { ...switching, acceptedBundleDigests: ['x'] }), ['whole']);
  });
});
