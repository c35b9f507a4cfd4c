import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AuthorityViews } from '../../../../src/controllers/cache/authority-states.ts';
import { statusChange } from '../../../../src/controllers/objects/status-writer.ts';
import { trustBundle } from '../../../../src/pki/index.ts';
import type { AuthorityVerdict, RotationReport } from '../../../../src/plan/index.ts';
import { authority, intermediate, later, now, root } from '../../../support/fixtures.ts';

const [a, b] = [root({ name: 'A' }), root({ name: 'B' })];
const verdict = (...[active = a, ...others]: (typeof a)[]): AuthorityVerdict => ({
  state: 'ready',
  root: active,
  bundle: trustBundle(
    active.anchor,
    others.map(({ anchor }) => anchor),
  ),
  tolerated: [],
});
const bad: AuthorityVerdict = { state: 'notReady', reason: 'RootExpired', message: 'x' };

describe('what certificates see of an authority', () => {
  test('is unknown until its root was looked at, and again once it is gone', () => {
    const views = new AuthorityViews();
    assert.deepEqual(views.view('default'), { state: 'unknown' });
    views.set(authority(), verdict(a));
    views.delete('default');
    assert.deepEqual([views.view('default'), views.material('default')], [{ state: 'unknown' }, undefined]);
  });

  test('is its root without the key, which is for signing alone', () => {
    const views = new AuthorityViews();
    views.set(authority(), verdict(a, b));
    assert.deepEqual(views.view('default'), {
      state: 'ready',
      root: a.certificate,
      intermediates: [],
      anchor: a.anchor,
      bundle: views.material('default')?.bundle,
      tolerated: [],
    });
    assert.equal(views.material('default')?.signer?.root, a);
    assert.deepEqual(views.roots(), [a.certificate, b.certificate]);
    assert.deepEqual([...views.active()], [['default', a]]);
  });

  test('has no signer while the root is bad', () => {
    const views = new AuthorityViews();
    views.set(authority(), verdict(a));
    views.set(authority(), bad);
    assert.deepEqual([views.material('default'), [...views.active()]], [undefined, []]);
  });

  const changes: [title: string, before: AuthorityVerdict, after: AuthorityVerdict, changed: boolean][] = [
    ['the same root', verdict(a, b), verdict(a, b), false],
    ['one root more', verdict(a), verdict(a, b), true],
    ['another active root', verdict(a, b), verdict(b, a), true],
    ['another intermediate under it', verdict(intermediate(a)), verdict(intermediate(a)), true],
    ['a root gone bad', verdict(a), bad, true],
    ['the same bad root', bad, bad, false],
    ['a root that is bad in another way', bad, { ...bad, reason: 'RootMissing' }, true],
    ['a repaired root', bad, verdict(a), true],
  ];
  for (const [title, before, after, changed] of changes) {
    test(`${changed ? 'is' : 'is not'} worth another look for ${title}`, () => {
      const views = new AuthorityViews();
      assert.equal(views.set(authority(), before), 'whole');
      assert.equal(views.set(authority(), after), changed ? 'whole' : 'none');
    });
  }
});

describe('the rotations under way', () => {
  const report = (id: string) => ({ note: { id } }) as RotationReport;

  test('are those that the last look at each authority has found', () => {
    const views = new AuthorityViews();
    views.set(authority(), verdict(a), report('r1'));
    views.set(authority({ name: 'other' }), verdict(b), report('r2'));
    assert.deepEqual(
      [...views.rotations()].map(([name, { note }]) => [name, note.id]),
      [
        ['default', 'r1'],
        ['other', 'r2'],
      ],
    );
    views.set(authority(), verdict(a));
    assert.deepEqual(
      [...views.rotations()].map(([name]) => name),
      ['other'],
    );
    views.delete('other');
    assert.deepEqual([...views.rotations()], []);
  });

  test('are nothing that certificates have to be looked at for', () => {
    const views = new AuthorityViews();
    views.set(authority(), verdict(a), report('r1'));
    assert.equal(views.set(authority(), verdict(a), report('r2')), 'none');
    assert.equal([...views.rotations()][0]?.[1].note.id, 'r2');
  });

  test('are forgotten with all else', () => {
    const views = new AuthorityViews();
    views.set(authority(), verdict(a), report('r1'));
    views.clear();
    assert.deepEqual([[...views.rotations()], views.view('default')], [[], { state: 'unknown' }]);
  });
});

describe('an authority that waits', () => {
  const waits = { reason: 'RootDistributing', message: 'm' };
  const waiting: AuthorityVerdict = { ...(verdict(a, b) as AuthorityVerdict & { state: 'ready' }), waits };
  const reissue = { id: 'r1', since: now, windowMs: 5, resumedAt: now };

  test('has bundles to write and nothing to sign with', () => {
    const views = new AuthorityViews();
    views.set(authority(), waiting);
    const material = views.material('default');
    assert.deepEqual([material?.signer, material?.bundle.roots], [undefined, [a.certificate, b.certificate]]);
    assert.deepEqual([[...views.active()], views.roots()], [[], [a.certificate, b.certificate]]);
    const view = views.view('default');
    assert.deepEqual(view.state === 'ready' && view.waits, waits);
  });

  test('is worth another look when it has ceased to wait, and when certificates begin to switch', () => {
    const views = new AuthorityViews();
    views.set(authority(), waiting);
    assert.equal(views.set(authority(), verdict(a, b)), 'whole');
    const switching = { ...(verdict(a, b) as AuthorityVerdict & { state: 'ready' }), reissue };
    assert.equal(views.set(authority(), switching), 'whole');
    assert.equal(views.set(authority(), { ...switching, reissue: { ...reissue } }), 'none');
    assert.equal(views.set(authority(), { ...switching, tolerated: ['x'] }), 'whole');
  });
});

describe('the patch of a status', () => {
  const condition = { type: 'Ready', status: 'True', reason: 'Issued', message: 'm' } as const;
  const wanted = { observedGeneration: 1, conditions: [condition], notAfter: 'x' };
  const [first] = [now.toISOString().replace('.000', '')];
  const written = { ...wanted, conditions: [{ ...condition, observedGeneration: 1, lastTransitionTime: first }] };

  test('is the whole status at first', () => assert.deepEqual(statusChange({}, wanted, now)?.patch, written));
  test('is nothing once it is written', () => assert.equal(statusChange(written, wanted, later(5000)), undefined));

  test('has what changes and, with null, what goes', () => {
    const actual = { ...written, failedIssuanceAttempts: 2 };
    const other = { ...wanted, notAfter: 'y' };
    assert.deepEqual(statusChange(actual, other, now)?.patch, {
      notAfter: 'y',
      failedIssuanceAttempts: null,
    });
  });

  test('leaves the time of a transition alone while the status of the condition stays', () => {
    const changed = { ...wanted, conditions: [{ ...condition, message: 'n' }] };
    const conditions = [{ ...condition, message: 'n', observedGeneration: 1, lastTransitionTime: first }];
    assert.deepEqual(statusChange(written, changed, later(5000))?.patch, { conditions });
  });
});
