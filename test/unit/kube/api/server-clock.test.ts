import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { ServerClock } from '../../../../src/kube/api/server-clock.ts';

describe('the clock of the API server', () => {
  test('is unknown before the first answer with a Date', () => {
    const clock = new ServerClock(() => 0);
    for (const date of [undefined, '', 'yesterday']) clock.note(date);
    assert.equal(clock.now(), undefined);
  });

  test('runs on from the Date of the last answer, also if the system clock is set', () => {
    let ms = 500;
    const clock = new ServerClock(() => ms);
    clock.note('Mon, 30 Nov 2026 12:00:00 GMT');
    ms += 90_250;
    assert.deepEqual(clock.now(), new Date('2026-11-30T12:01:30.250Z'));
    clock.note('not a date');
    assert.deepEqual(clock.now(), new Date('2026-11-30T12:01:30.250Z'));
    clock.note('Mon, 30 Nov 2026 12:00:05 GMT');
    assert.deepEqual(clock.now(), new Date('2026-11-30T12:00:05.000Z'));
  });
});
