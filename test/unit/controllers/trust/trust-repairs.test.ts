import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TrustRepairs } from '../../../../src/controllers/trust/trust-repairs.ts';
import { hours, later, minutes } from '../../../support/fixtures/times.ts';

const key = 'ConfigMap shop/trust';

/** A target that was written once and then repaired this often, one second apart. */
function repaired(times: number): { repairs: TrustRepairs; lastMs: number } {
  const repairs = new TrustRepairs();
  for (let i = 0; i <= times; i += 1) repairs.noteWrite(key, 'a', later(i * 1000));
  return { repairs, lastMs: times * 1000 };
}

const waitsMs = ({ repairs, lastMs }: ReturnType<typeof repaired>, content = 'a') =>
  repairs.nextWriteTime(key, content).getTime() - later(lastMs).getTime();

describe('a published bundle', () => {
  test('may be written at once if the operator has written nothing yet', () => {
    assert.deepEqual(new TrustRepairs().nextWriteTime(key, 'a'), new Date(0));
    assert.deepEqual(repaired(5).repairs.nextWriteTime('ConfigMap other/trust', 'a'), new Date(0));
  });

  const seconds = [1, 1, 1, 30, 60, 120, 240, 480, 960, 1200, 1200];
  for (const [times, pause] of seconds.entries()) {
    test(`is repaired ${pause} s after repair ${times}, or up to 10% earlier`, () => {
      const ms = waitsMs(repaired(times));
      assert.ok(pause === 1 ? ms === 1000 : ms <= pause * 1000 && ms >= pause * 900, `${ms} ms`);
    });
  }

  test('is written with new content one second after the last write, however often it was repaired', () => {
    assert.equal(waitsMs(repaired(9), 'b'), 1000);
    const made = repaired(9);
    made.repairs.noteWrite(key, 'b', later(made.lastMs));
    assert.equal(waitsMs(made, 'b'), 1000);
    assert.equal(made.repairs.isContested(key, 'b', later(made.lastMs)), false);
  });

  test('is contested from the third repair until the next one is due', () => {
    const { repairs, lastMs } = repaired(3);
    assert.deepEqual(
      [lastMs, lastMs + 26_000, lastMs + 30_000].map((ms) => repairs.isContested(key, 'a', later(ms))),
      [true, true, false],
    );
    assert.equal(repaired(2).repairs.isContested(key, 'a', later(2000)), false);
  });

  test('has its repairs forgotten after an hour, and when nothing is published there any more', () => {
    const { repairs, lastMs } = repaired(9);
    const late = lastMs + hours(1);
    repairs.noteWrite(key, 'a', later(late));
    assert.equal(repairs.nextWriteTime(key, 'a').getTime(), later(late + 1000).getTime());
    const gone = repaired(9).repairs;
    gone.forget(key);
    assert.deepEqual(gone.nextWriteTime(key, 'a'), new Date(0));
  });

  test('has its writer looked up once after each repair, and keeps the name until another one is known', () => {
    const { repairs, lastMs } = repaired(3);
    assert.equal(repairs.isUnnamed(key), true);
    assert.match(repairs.message(key), /^another client keeps changing it:/);
    repairs.name(key, 'kubectl (data)');
    assert.equal(repairs.isUnnamed(key), false);
    assert.match(repairs.message(key), /^kubectl \(data\) keeps changing it:/);
    repairs.noteWrite(key, 'a', later(lastMs + minutes(1)));
    assert.equal(repairs.isUnnamed(key), true);
    assert.match(repairs.message(key), /^kubectl \(data\) keeps changing it:/, 'the next repair does not forget it');
    repairs.name(key, undefined);
    assert.match(repairs.message(key), /^kubectl \(data\) keeps changing it:/);
    assert.equal(repairs.isUnnamed(key), false);
  });
});
