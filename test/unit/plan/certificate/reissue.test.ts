import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Reissue, reissueTime } from '../../../../src/plan/certificate/reissue.ts';
import { days, earlier, hours, later, minutes, now } from '../../../support/fixtures/times.ts';
import * as fc from '../../../support/properties.ts';

const windowMs = minutes(10);
/** The current leader started before the switch. */
const reissue: Reissue = { id: 'r1', since: now, windowMs, resumedAt: earlier(hours(1)) };
const uids = Array.from({ length: 1000 }, (_, i) => `uid-${i}`);
const timesOf = (given: Reissue): number[] => uids.map((uid) => reissueTime(given, uid).getTime());

/** Throws when one tenth of the window holds much more, or less, than a tenth of the times. */
function assertSpread(times: readonly number[], from: number, overMs: number): void {
  const counts = Array.from({ length: 10 }, () => 0);
  for (const time of times) {
    const part = Math.floor(((time - from) / overMs) * 10);
    assert.ok(part >= 0 && part < 10, `${new Date(time).toISOString()} is outside`);
    counts[part] = (counts[part] ?? 0) + 1;
  }
  for (const count of counts) assert.ok(count > 60 && count < 140, counts.join(' '));
}

describe('the time at which a resource switches to the new root', () => {
  test('is spread evenly over the window', () => assertSpread(timesOf(reissue), now.getTime(), windowMs));

  test('is the same on each call, and for each leader that started before it', () => {
    assert.deepEqual(timesOf(reissue), timesOf(reissue));
    assert.deepEqual(timesOf(reissue), timesOf({ ...reissue, resumedAt: now }));
    assert.deepEqual(timesOf(reissue), timesOf({ ...reissue, resumedAt: new Date(0) }));
  });

  test('differs between resources, and between rotations', () => {
    const times = timesOf(reissue);
    assert.ok(new Set(times).size > 990);
    const others = timesOf({ ...reissue, id: 'r2' });
    assert.ok(times.filter((time, i) => time === others[i]).length < 10);
  });

  test('is the start when the window is empty', () => {
    assert.deepEqual(new Set(timesOf({ ...reissue, windowMs: 0 })), new Set([now.getTime()]));
  });

  test('is never outside the window, for every start and UID', () => {
    fc.assert(
      fc.property(fc.string(), fc.nat({ max: days(30) }), fc.nat({ max: days(400) }), (uid, window, at) => {
        const time = reissueTime({ ...reissue, windowMs: window, since: later(at) }, uid).getTime();
        assert.ok(time >= later(at).getTime() && time <= later(at + window).getTime());
      }),
    );
  });
});

describe('a switch that was missed while there was no leader', () => {
  const late = (afterMs: number): Reissue => ({ ...reissue, resumedAt: later(afterMs) });
  const missed = (given: Reissue): number[] =>
    uids
      .map((uid, i) => ({ uid, moment: timesOf(reissue)[i] ?? 0 }))
      .filter(({ moment }) => moment < given.resumedAt.getTime())
      .map(({ uid }) => reissueTime(given, uid).getTime());

  test('is spread over the window again by a leader that starts after the window', () => {
    const given = late(hours(5));
    assert.equal(missed(given).length, uids.length);
    assertSpread(missed(given), given.resumedAt.getTime(), windowMs);
  });

  test('is spread over the time without a leader if that is shorter', () => {
    const given = late(windowMs / 2);
    const times = missed(given);
    assert.ok(times.length > 400 && times.length < 600);
    for (const time of times) {
      assert.ok(time >= given.resumedAt.getTime() && time < given.resumedAt.getTime() + windowMs / 2);
    }
  });

  test('does not change the times that were not missed', () => {
    const given = late(windowMs / 2);
    const before = timesOf(reissue);
    const after = timesOf(given);
    for (const [i, time] of before.entries()) {
      if (time >= given.resumedAt.getTime()) assert.equal(after[i], time);
    }
  });

  test('gets another time with each leader, so that short-lived leaders together reach every resource', () => {
    const [first, second] = [late(hours(5)), late(hours(6))].map((given) =>
      missed(given).map((time) => time - given.resumedAt.getTime()),
    ) as [number[], number[]];
    assert.ok(first.filter((time, i) => time === second[i]).length < 10);
    const reached = new Set<string>();
    for (let leader = 0; leader < 100; leader += 1) {
      const given = late(hours(5) + leader * minutes(1));
      for (const uid of uids) {
        if (reissueTime(given, uid).getTime() < given.resumedAt.getTime() + minutes(1)) reached.add(uid);
      }
    }
    assert.ok(reached.size > 990, `only ${reached.size} resources were reached by leaders of a minute each`);
  });

  test('is never before the start of the leader', () => {
    fc.assert(
      fc.property(fc.string(), fc.nat({ max: days(3) }), (uid, afterMs) => {
        const given = late(afterMs);
        const time = reissueTime(given, uid).getTime();
        const own = reissueTime(reissue, uid).getTime();
        assert.ok(own >= given.resumedAt.getTime() ? time === own : time >= given.resumedAt.getTime());
        assert.ok(time < given.resumedAt.getTime() + windowMs);
      }),
    );
  });

  test('is due at once when the start is unknown because a clock was set back', () => {
    const given = { ...reissue, since: new Date(0), resumedAt: new Date(0) };
    assert.ok(timesOf(given).every((time) => time <= now.getTime()));
  });
});
