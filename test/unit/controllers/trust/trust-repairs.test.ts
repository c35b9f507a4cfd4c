import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TrustRepairs } from '../../../../src/controllers/trust/trust-repairs.ts';
import { hours, minutes } from '../../../support/fixtures/times.ts';

const key = 'ConfigMap shop/trust';

/** A target that was written once and then repaired this often, one second apart. */
function repaired(times: number) {
  const clock = { ms: 0 };
  const repairs = new TrustRepairs(() => clock.ms);
  for (let i = 0; i <= times; i += 1) {
    clock.ms = i * 1000;
    repairs.noteWrite(key, 'a');
  }
  return { repairs, clock };
}

describe('a published bundle', () => {
  test('may be written at once if the operator has written nothing yet', () => {
    assert.equal(new TrustRepairs(() => 0).waitMs(key, 'a'), 0);
    assert.equal(repaired(5).repairs.waitMs('ConfigMap other/trust', 'a'), 0);
  });

  const seconds = [1, 1, 1, 30, 60, 120, 240, 480, 960, 1200, 1200];
  for (const [times, pause] of seconds.entries()) {
    test(`is repaired ${pause} s after repair ${times}, or up to 10% earlier`, () => {
      const ms = repaired(times).repairs.waitMs(key, 'a');
      assert.ok(pause === 1 ? ms === 1000 : ms <= pause * 1000 && ms >= pause * 900, `${ms} ms`);
    });
  }

  test('is written with new content one second after the last write, however often it was repaired', () => {
    const { repairs } = repaired(9);
    assert.equal(repairs.waitMs(key, 'b'), 1000);
    repairs.noteWrite(key, 'b');
    assert.equal(repairs.waitMs(key, 'b'), 1000);
    assert.equal(repairs.isContested(key, 'b'), false);
  });

  test('is contested from the third repair until the next one is due', () => {
    const { repairs, clock } = repaired(3);
    const at = (ms: number) => {
      clock.ms = 3000 + ms;
      return repairs.isContested(key, 'a');
    };
    assert.deepEqual([0, 26_000, 30_000].map(at), [true, true, false]);
    assert.equal(repaired(2).repairs.isContested(key, 'a'), false);
  });

  test('has its repairs forgotten after an hour, and when nothing is published there any more', () => {
    const { repairs, clock } = repaired(9);
    clock.ms += hours(1);
    repairs.noteWrite(key, 'a');
    assert.equal(repairs.waitMs(key, 'a'), 1000);
    const gone = repaired(9).repairs;
    gone.forget(key);
    assert.equal(gone.waitMs(key, 'a'), 0);
  });

  test('has its writer looked up once after each repair, and keeps the name until another one is known', () => {
    const { repairs, clock } = repaired(3);
    assert.equal(repairs.isUnnamed(key), true);
    assert.match(repairs.message(key), /^another client keeps changing it:/);
    repairs.name(key, 'kubectl (data)');
    assert.equal(repairs.isUnnamed(key), false);
    assert.match(repairs.message(key), /^kubectl \(data\) keeps changing it:/);
    clock.ms += minutes(1);
    repairs.noteWrite(key, 'a');
    assert.equal(repairs.isUnnamed(key), true);
    assert.match(repairs.message(key), /^kubectl \(data\) keeps changing it:/, 'the next repair does not forget it');
    repairs.name(key, undefined);
    assert.match(repairs.message(key), /^kubectl \(data\) keeps changing it:/);
    assert.equal(repairs.isUnnamed(key), false);
  });
});
