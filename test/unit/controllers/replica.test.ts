import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { AuthorityProcess } from './world/authority-process.ts';

const never = new AbortController().signal;
const rootsOf = ({ replica }: AuthorityProcess) => replica.roots().map(({ fingerprint }) => fingerprint);

describe('the roots that may have signed a leaf', () => {
  // If this fails: a certificate that is in use does not keep a gate of a rotation closed.
  test('are those in status until the root Secret of the authority is read', async (t) => {
    const leader = await AuthorityProcess.created(t);
    const process = await AuthorityProcess.begin(t, leader.api);
    const { fingerprint } = leader.root().certificate;
    assert.deepEqual(process.replica.authorityStates.get('default'), { state: 'unknown' });
    assert.deepEqual(rootsOf(process), [fingerprint]);
    await process.replica.refreshRoots(never);
    assert.deepEqual(rootsOf(process), [fingerprint], 'it counts once');
  });

  test('exclude those of a deleted authority', async (t) => {
    const process = await AuthorityProcess.created(t);
    const standby = process.replica.standBy();
    t.after(() => standby.stop());
    await process.remove();
    await process.deliver();
    await eventually(() => assert.deepEqual(rootsOf(process), []));
    assert.deepEqual(process.replica.authorityStates.get('default'), { state: 'unknown' });
  });
});
