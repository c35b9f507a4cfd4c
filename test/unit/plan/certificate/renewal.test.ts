import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { backdateMs } from '../../../../src/pki/index.ts';
import { afterFailure } from '../../../../src/plan/certificate/failed-attempts.ts';
import { type RenewalSettings, renewalTime } from '../../../../src/plan/certificate/renewal.ts';
import { parseDurationMs } from '../../../../src/plan/timing/duration.ts';
import { hashFraction } from '../../../../src/plan/timing/jitter.ts';
import { days, hours, later, minutes, now } from '../../../support/fixtures/times.ts';
import * as fc from '../../../support/properties.ts';

describe('a duration', () => {
  const durations: [text: string, ms: number | undefined][] = [
    ['2160h', 2160 * 3_600_000],
    ['1h30m', 5_400_000],
    ['5m', 300_000],
    ['90s', 90_000],
    ['500ms', 500],
    ['1m500ms', 60_500],
    ['1.5h', 5_400_000],
    ['0s', 0],
    ['0.0004s', 0],
    ['30m1h', 5_400_000],
    ['', undefined],
    ['5', undefined],
    ['h', undefined],
    ['90d', undefined],
    ['1w', undefined],
    ['-5m', undefined],
    ['+5m', undefined],
    ['5 m', undefined],
    [' 5m', undefined],
    ['5m\n', undefined],
    ['5M', undefined],
    ['.5h', undefined],
    ['5.h', undefined],
    ['1e3h', undefined],
    ['5us', undefined],
    ['NaNh', undefined],
    ['Infinityh', undefined],
    ['٥m', undefined],
    [`${'9'.repeat(400)}h`, undefined],
  ];
  for (const [text, ms] of durations) {
    const shown = JSON.stringify(text.slice(0, 20));
    test(`${shown} is ${ms === undefined ? 'not valid' : `${ms} ms`}`, () => assert.equal(parseDurationMs(text), ms));
  }
});

/** A leaf that is issued now for a duration. */
const leafLasting = (ms: number) => ({ notBefore: later(-backdateMs), notAfter: later(ms) });
// Bounds that depend on each other shrink by a millisecond per step, so only the first counterexample is reported.
const unshrunk = { numRuns: 2000, endOnFailure: true };
const goDuration = (ms: number): string => `${ms}ms`;
const seeds = fc.uuid();

describe('the renewal time', () => {
  /** The shortest and the longest time before expiry at which a leaf that is issued now is renewed. */
  const bounds = (durationMs: number, settings: Omit<RenewalSettings, 'duration'>, seed: string): number =>
    later(durationMs).getTime() -
    renewalTime(leafLasting(durationMs), { duration: goDuration(durationMs), ...settings }, seed).getTime();

  const cases: [title: string, durationMs: number, settings: Omit<RenewalSettings, 'duration'>, leftMs: number][] = [
    ['leaves a third of the lifetime by default', days(90), {}, (days(90) + backdateMs) / 3],
    ['leaves the requested time', days(90), { renewBefore: '720h' }, days(30)],
    ['leaves the requested share', days(90), { renewBeforePercentage: 50 }, (days(90) + backdateMs) / 2],
    ['leaves one hour of a year', days(365), { renewBefore: '1h' }, hours(1)],
    [
      'leaves a third when the root’s expiry cut the lifetime below the requested time',
      days(10),
      { renewBefore: '720h' },
      (days(10) + backdateMs) / 3,
    ],
    [
      'leaves a third when the requested share reaches into the backdating',
      minutes(5),
      { renewBeforePercentage: 99 },
      minutes(10) / 3,
    ],
    ['leaves a third of the shortest duration', minutes(5), {}, minutes(10) / 3],
    [
      'leaves all but ten seconds when a longer time is requested',
      minutes(5),
      { renewBefore: '4m59s' },
      minutes(5) - 10_000,
    ],
  ];
  for (const [title, durationMs, settings, leftMs] of cases) {
    test(`${title}, and up to a tenth more`, () => {
      fc.assert(
        fc.property(seeds, (seed) => {
          const left = bounds(durationMs, settings, seed);
          // Truncated to whole seconds.
          assert.ok(left >= leftMs - 1 && left <= leftMs * 1.1 + 1000, `${left} ms`);
        }),
      );
    });
  }

  const settings = fc.oneof(
    fc.constant({}),
    fc.integer({ min: 1, max: 99 }).map((renewBeforePercentage) => ({ renewBeforePercentage })),
    fc.integer({ min: 1, max: days(400) }).map((ms) => ({ renewBefore: goDuration(ms) })),
  );
  const durations = fc.integer({ min: minutes(5), max: days(400) });

  test('is always after the issue and not after the expiry, so that renewal does not loop', () => {
    fc.assert(
      fc.property(durations, settings, seeds, (durationMs, asked, seed) => {
        const left = bounds(durationMs, asked, seed);
        assert.ok(left >= 0 && left <= durationMs - 8000, `${left} of ${durationMs} ms`);
      }),
      unshrunk,
    );
  });

  test('is within a leaf’s lifetime when the root has cut its start or its end', () => {
    const cut = fc.integer({ min: 1000, max: days(400) });
    fc.assert(
      fc.property(cut, durations, settings, seeds, (lifetimeMs, durationMs, asked, seed) => {
        const leaf = { notBefore: now, notAfter: later(lifetimeMs) };
        const due = renewalTime(leaf, { duration: goDuration(durationMs), ...asked }, seed);
        // Truncated to whole seconds.
        assert.ok(due.getTime() > now.getTime() - 1000 && due <= leaf.notAfter);
      }),
      unshrunk,
    );
  });

  test('is the same for the same leaf, in whole seconds', () => {
    fc.assert(
      fc.property(durations, settings, seeds, (durationMs, asked, seed) => {
        const of = () => renewalTime(leafLasting(durationMs), { duration: goDuration(durationMs), ...asked }, seed);
        assert.deepEqual(of(), of());
        assert.equal(of().getTime() % 1000, 0);
      }),
    );
  });

  test('is spread evenly over certificates that were issued together', () => {
    const third = (days(90) + backdateMs) / 3;
    const shares = Array.from({ length: 1000 }, (_, i) => bounds(days(90), {}, `uid-${i}/server`) / third - 1);
    const tenths = Array.from({ length: 10 }, (_, i) => shares.filter((share) => Math.floor(share * 100) === i).length);
    // 100 each on average, with a standard deviation below 10; the seeds are fixed.
    assert.ok(
      tenths.every((count) => count > 60 && count < 140),
      tenths.join(),
    );
  });

  test('is spread by hashes that fill the unit interval', () => {
    fc.assert(fc.property(fc.string(), (seed) => hashFraction(seed) >= 0 && hashFraction(seed) < 1));
  });
});

describe('the back-off', () => {
  const delay = (previousAttempts: number, seed = 'uid', expiry?: Date): number =>
    afterFailure(previousAttempts, now, seed, expiry).nextRetryTime.getTime() - now.getTime();

  const fullDelays = [5, 10, 20, 40, 80, 160, 320, 600, 600, 600];
  for (const [attempts, seconds] of fullDelays.entries()) {
    test(`after failure ${attempts + 1} is ${seconds} s, or up to a tenth less`, () => {
      fc.assert(
        fc.property(seeds, (seed) => {
          assert.ok(delay(attempts, seed) <= seconds * 1000 && delay(attempts, seed) >= seconds * 900);
        }),
      );
    });
  }

  test('counts attempts and records the time of the failure', () => {
    const { attempts, lastFailureTime } = afterFailure(3, now, 'uid');
    assert.deepEqual([attempts, lastFailureTime], [4, now]);
  });

  test('grows to ten minutes and stays there', () => {
    fc.assert(
      fc.property(seeds, fc.nat({ max: 6 }), fc.integer({ min: 7, max: 1_000_000 }), (seed, few, many) => {
        assert.ok(delay(few + 1, seed) > delay(few, seed));
        assert.ok(delay(many, seed) <= minutes(10) && delay(many, seed) >= minutes(9));
      }),
    );
  });

  test('never ends after the expiry of the current certificate', () => {
    fc.assert(
      fc.property(seeds, fc.nat({ max: 30 }), fc.integer({ min: 1, max: hours(2) }), (seed, attempts, untilExpiry) => {
        assert.equal(delay(attempts, seed, later(untilExpiry)), Math.min(delay(attempts, seed), untilExpiry));
      }),
    );
  });

  test('ignores the expiry of a certificate that has expired', () => {
    for (const expiry of [now, later(-1)]) assert.equal(delay(5, 'uid', expiry), delay(5));
  });

  test('differs between resources', () => {
    assert.equal(new Set(Array.from({ length: 100 }, (_, i) => delay(8, `uid-${i}`))).size, 100);
  });
});
